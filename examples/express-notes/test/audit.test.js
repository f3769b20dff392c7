import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startApp } from './support.js';

let app;
let team;
before(async () => {
  app = await startApp();
  team = await app.team('acme');
});
after(() => app.stop());

const events = () => app.rows('SELECT action, actor_id, subject_id FROM audit_events ORDER BY id');

test('each change leaves one event that names who, what and whom', async () => {
  const writer = await app.member(team, 'writer');
  const [{ id: adminId }] = await app.rows("SELECT id FROM members WHERE role = 'admin'");
  const count = (await events()).length;
  const note = await app.note(writer.token);
  const path = `/notes/${note.id}`;
  await app.call('PUT', path, { token: writer.token, body: { title: 'a', body: 'b' } });
  await app.call('GET', path, { token: writer.token });
  await app.call('DELETE', path, { token: writer.token });
  await app.call('DELETE', path, { token: writer.token });
  await app.call('DELETE', `/members/${writer.id}`, { token: team.token });
  assert.deepEqual((await events()).slice(count), [
    { action: 'note.created', actor_id: writer.id, subject_id: note.id },
    { action: 'note.updated', actor_id: writer.id, subject_id: note.id },
    { action: 'note.deleted', actor_id: writer.id, subject_id: note.id },
    { action: 'member.removed', actor_id: adminId, subject_id: writer.id },
  ]);
});

test('the audit trail is for admins of this team, newest first, in pages', async () => {
  const all = (await app.call('GET', '/audit', { token: team.token })).body;
  assert.equal(all[0].action, 'member.removed');
  assert.deepEqual((await app.call('GET', `/audit?before=${all[0].id}`, { token: team.token })).body, all.slice(1));
  for (const query of ['before=x', 'before=1&before=2', 'before=9999999999999999999']) {
    assert.equal((await app.call('GET', `/audit?${query}`, { token: team.token })).status, 422);
  }
});

test('a change that cannot be audited does not happen', async () => {
  const note = await app.note(team.token);
  const member = await app.member(team, 'reader');
  const rows = () => app.rows('SELECT n.*, (SELECT count(*) FROM members) FROM notes n ORDER BY id');
  const before = await rows();
  await app.owner.query('ALTER TABLE audit_events ADD CONSTRAINT closed CHECK (false) NOT VALID');
  const body = { title: 'x', body: 'y' };
  const changes = [
    ['POST', '/notes', body],
    ['PUT', `/notes/${note.id}`, body],
    ['DELETE', `/notes/${note.id}`],
    ['DELETE', `/members/${member.id}`],
    ['POST', '/members', { email: 'n@acme.example', password: 'battery staple', role: 'reader' }],
    ['POST', '/auth/refresh', { refresh_token: member.refresh }],
    ['POST', '/auth/logout'],
  ];
  for (const [method, path, json] of changes) {
    const response = await fetch(app.base + path, {
      method,
      headers: { authorization: `Bearer ${team.token}`, 'content-type': 'application/json' },
      body: json && JSON.stringify(json),
    });
    assert.equal(response.status, 500, `${method} ${path}`);
    assert.deepEqual(await response.json(), { status: 500, title: 'Something went wrong here' });
  }
  await app.owner.query('ALTER TABLE audit_events DROP CONSTRAINT closed');
  assert.deepEqual(await rows(), before);
  assert.equal((await app.call('POST', '/auth/refresh', { body: { refresh_token: member.refresh } })).status, 200);
});

test('the runtime role can neither change history nor the schema', async () => {
  const forbidden = [
    "UPDATE audit_events SET action = 'x'",
    'DELETE FROM audit_events',
    'TRUNCATE audit_events',
    "INSERT INTO audit_events (team_id, at, actor_id, action, subject_id) SELECT id, now() - interval '1 day', id, 'x', id FROM teams",
    'ALTER TABLE audit_events DISABLE TRIGGER ALL',
    'DROP TABLE audit_events',
    'CREATE TABLE mine (x int)',
    "UPDATE members SET role = 'admin'",
    'UPDATE notes SET team_id = team_id',
    'DELETE FROM schema_migrations',
  ];
  for (const statement of forbidden) await assert.rejects(app.pool.query(statement), { code: '42501' }, statement);
  const owned = await app.pool.query('SELECT relname FROM pg_class WHERE pg_has_role(relowner, $1)', ['MEMBER']);
  assert.deepEqual(owned.rows, []);
});
