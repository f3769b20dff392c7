// node migrate.js up | down [n]: applies or takes back the files in migrations/, as the role that owns the tables.
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { readMigrations } from './src/migrations.js';

const LOCK = 7_310_452;

export async function migrate({ url, appRole, direction, count = 1 }) {
  if (!url || !appRole) throw new Error('MIGRATION_DATABASE_URL and APP_DB_ROLE must be set');
  const files = await readMigrations();
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // Of two runners at once, the second waits here and then finds nothing left to do.
    await client.query('SELECT pg_advisory_lock($1)', [LOCK]);
    await refuseOwner(client, appRole);
    const applied = await readLedger(client, appRole);
    applied.forEach((row, i) => {
      if (files[i]?.name !== row.name) throw new Error(`the database has migration ${row.name}, this code does not`);
      if (files[i].digest !== row.digest) throw new Error(`migration ${row.name} was edited after it was applied`);
    });
    if (direction === 'down' && applied.length < count) throw new Error(`only ${applied.length} migrations are applied`);
    const steps = direction === 'up' ? files.slice(applied.length) : files.slice(0, applied.length).reverse().slice(0, count);
    for (const step of steps) await run(client, step, direction, appRole);
    return steps.map((step) => step.name);
  } finally {
    await client.end();
  }
}

// Grants bind only a role that cannot become the owner of the tables; a superuser can become anyone.
async function refuseOwner(client, appRole) {
  const { rows } = await client.query("SELECT pg_has_role($1, current_user, 'MEMBER') AS reaches", [appRole]);
  if (rows[0].reaches) throw new Error(`APP_DB_ROLE ${appRole} owns the tables or can become their owner`);
}

async function readLedger(client, appRole) {
  const { rows } = await client.query("SELECT to_regclass('schema_migrations') IS NOT NULL AS found");
  if (!rows[0].found) {
    await client.query(
      `CREATE TABLE schema_migrations (
         name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());
       GRANT SELECT ON schema_migrations TO ${client.escapeIdentifier(appRole)}`,
    );
  }
  return (await client.query('SELECT name, digest FROM schema_migrations ORDER BY name')).rows;
}

async function run(client, step, direction, appRole) {
  await client.query('BEGIN');
  await client.query("SET LOCAL lock_timeout = '5s'");
  await client.query(step[direction].replaceAll(':app_role', client.escapeIdentifier(appRole)));
  if (direction === 'up') {
    await client.query('INSERT INTO schema_migrations (name, digest) VALUES ($1, $2)', [step.name, step.digest]);
  } else {
    await client.query('DELETE FROM schema_migrations WHERE name = $1', [step.name]);
  }
  await client.query('COMMIT');
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [direction, count = '1', ...rest] = process.argv.slice(2);
  if (!['up', 'down'].includes(direction) || !/^[1-9]\d*$/.test(count) || rest.length) {
    console.error('usage: node migrate.js up | down [n]');
    process.exit(2);
  }
  const { MIGRATION_DATABASE_URL: url, APP_DB_ROLE: appRole } = process.env;
  for (const name of await migrate({ url, appRole, direction, count: Number(count) })) console.log(`${direction} ${name}`);
}
