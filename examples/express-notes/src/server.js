import { createApp } from './app.js';
import { createPool } from './db.js';

const { DATABASE_URL, SECRET_KEY = '', HOST = '127.0.0.1', PORT = '3000' } = process.env;
if (!DATABASE_URL) throw new Error('DATABASE_URL must be set to the URL of the runtime role');
if (Buffer.byteLength(SECRET_KEY) < 32 || new Set(SECRET_KEY).size < 10) {
  throw new Error('SECRET_KEY must be set to 32 or more random bytes, for instance from: openssl rand -base64 48');
}

const pool = createPool(DATABASE_URL);
await pool.query('SELECT 1'); // an unreachable database stops the start, not the first request

const server = createApp({ pool, secretKey: SECRET_KEY }).listen(Number(PORT), HOST, (error) => {
  if (error) throw error;
  console.log(JSON.stringify({ event: 'server.started', port: server.address().port }));
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => server.close(() => pool.end()));
}
