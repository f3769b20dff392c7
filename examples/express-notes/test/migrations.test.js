import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, beforeEach, test } from 'node:test';
import { migrate } from '../migrate.js';
import { createDatabase, startApp } from './support.js';

let app;
before(async () => {
  app = await startApp();
});
beforeEach(() => app.migrate('up'));
after(() => app.stop());

const ready = async () => (await app.call('GET', '/health/ready')).status;
const schema = () => app.rows(`
  SELECT 'column' AS kind, table_name || '.' || column_name AS name, concat_ws(' ', data_type, column_default, is_nullable) AS text
    FROM information_schema.columns WHERE table_schema = 'public'
  UNION ALL SELECT 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT 'index', tablename || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
  UNION ALL SELECT 'grant', table_name || '.' || column_name, privilege_type
    FROM information_schema.column_privileges WHERE table_schema = 'public' AND grantee <> current_user
  UNION ALL SELECT 'class', relname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
  ORDER BY 1, 2, 3`);

test('each migration down and up again leads to the same schema, with rows in it', async () => {
  await app.team('seeded');
  for (const count of [1, 2, 3]) {
    const full = await schema();
    const names = await app.migrate('down', count);
    assert.equal(names.length, count);
    const less = await schema();
    assert.notDeepEqual(less, full);
    await app.migrate('up');
    assert.deepEqual(await schema(), full);
    await app.migrate('down', count);
    assert.deepEqual(await schema(), less);
    await app.migrate('up');
  }
  await assert.rejects(app.migrate('down', 4), /only 3 migrations/);
});

test('two runners at once apply each migration once', async () => {
  await app.migrate('down', 3);
  const applied = await Promise.all([app.migrate('up'), app.migrate('up')]);
  assert.deepEqual(applied.flat(), ['001_teams', '002_notes', '003_audit']);
});

test('a database with another history is refused', async () => {
  await app.owner.query("UPDATE schema_migrations SET digest = 'edited' WHERE name = '002_notes'");
  await assert.rejects(app.migrate('up'), /002_notes was edited/);
  assert.equal(await ready(), 503);
  await app.owner.query('DELETE FROM schema_migrations');
  await app.owner.query("INSERT INTO schema_migrations (name, digest) VALUES ('000_other', '')");
  await assert.rejects(app.migrate('up'), /000_other, this code does not/);
  await app.stop();
  app = await startApp();
});

test('a migration that fails leaves nothing behind', async () => {
  await app.migrate('down');
  const before = await schema();
  await app.owner.query('CREATE INDEX audit_events ON notes (title)');
  await assert.rejects(app.migrate('up'), /already exists/);
  await app.owner.query('DROP INDEX audit_events');
  assert.deepEqual(await schema(), before);
});

test('a runtime role that reaches the owner is refused', async () => {
  const database = await createDatabase();
  try {
    const appRole = database.appRole.replace(/_app$/, '_owner');
    await assert.rejects(migrate({ url: database.ownerUrl, appRole, direction: 'up' }), /can become their owner/);
  } finally {
    await database.drop();
  }
});

test('the app is ready only on a database its statements can run on', async () => {
  assert.equal(await ready(), 200);
  for (const [harm, repair] of [
    ['ALTER TABLE notes RENAME COLUMN body TO text', 'ALTER TABLE notes RENAME COLUMN text TO body'],
    [`REVOKE DELETE ON notes FROM "${new URL(app.pool.options.connectionString).username}"`, `GRANT DELETE ON notes TO "${new URL(app.pool.options.connectionString).username}"`],
    ['ALTER TABLE schema_migrations RENAME TO away', 'ALTER TABLE away RENAME TO schema_migrations'],
  ]) {
    await app.owner.query(harm);
    assert.equal(await ready(), 503, harm);
    await app.owner.query(repair);
    assert.equal(await ready(), 200, repair);
  }
  await app.migrate('down');
  assert.equal(await ready(), 503);
  await app.migrate('up');
  assert.equal(await ready(), 200);
});

test('the server does not start with a weak key or without its database, and stops on SIGTERM', async () => {
  const start = (env) => spawn(process.execPath, ['src/server.js'], {
    cwd: new URL('..', import.meta.url),
    env: { PATH: process.env.PATH, PORT: '0', DATABASE_URL: app.pool.options.connectionString, ...env },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const SECRET_KEY = 'Zm9yIHRoaXMgdGVzdCBvbmx5LCAzMiBieXRlcyBvciBtb3Jl';
  for (const env of [{}, { SECRET_KEY: 'secret' }, { SECRET_KEY: 'a'.repeat(40) }, { SECRET_KEY, DATABASE_URL: 'postgresql://127.0.0.1:1/none' }]) {
    assert.deepEqual(await once(start(env), 'exit'), [1, null]);
  }
  const server = start({ SECRET_KEY });
  const exit = once(server, 'exit');
  const [line] = await once(server.stdout.setEncoding('utf8'), 'data');
  assert.equal(JSON.parse(line).event, 'server.started');
  server.kill('SIGTERM');
  assert.deepEqual(await exit, [0, null]);
});
