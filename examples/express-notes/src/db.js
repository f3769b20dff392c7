import pg from 'pg';
import { readMigrations } from './migrations.js';
import { sql } from './sql.js';

// PostgreSQL: serialization_failure, deadlock_detected. The whole transaction was undone, so it may run again.
const RETRYABLE = new Set(['40001', '40P01']);
const ATTEMPTS = 3;

export function createPool(databaseUrl) {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 10,
    connectionTimeoutMillis: 10_000,
    statement_timeout: 30_000,
    idle_in_transaction_session_timeout: 30_000,
  });
  pool.on('error', (error) => console.error(JSON.stringify({ event: 'database.idle_client_lost', code: error.code })));
  return pool;
}

/** Runs `work(client)` in one transaction on one checked-out client; answers only after COMMIT. */
export async function transaction(pool, { readOnly = false }, work) {
  for (let attempt = 1; ; attempt += 1) {
    const client = await pool.connect();
    let lost;
    try {
      await client.query(readOnly ? 'BEGIN READ ONLY' : 'BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await client.query('ROLLBACK').catch((rollbackError) => {
        lost = rollbackError;
      });
      if (!RETRYABLE.has(error.code) || attempt === ATTEMPTS) throw error;
    } finally {
      client.release(lost);
    }
  }
}

export async function audit(client, actor, action, subjectId, details = {}) {
  await client.query(sql.audit, [actor.team_id, actor.id, action, subjectId, details]);
}

/** Null when this code can serve on this database, else why not. */
export async function whyNotReady(pool) {
  const files = await readMigrations();
  try {
    const applied = new Map((await pool.query(sql.ledger)).rows.map((row) => [row.name, row.digest]));
    const missing = files.find((file) => applied.get(file.name) !== file.digest);
    if (missing) return `migration ${missing.name} is not applied as this code has it`;
    // The ledger is a claim. Planning each statement as the runtime role tests columns, types and grants.
    await pool.query(Object.values(sql).map((statement) => `EXPLAIN (GENERIC_PLAN) ${statement}`).join(';\n'));
    return null;
  } catch (error) {
    console.error(JSON.stringify({ event: 'health.not_ready', code: error.code, message: error.message }));
    return 'the database does not answer as this code needs';
  }
}
