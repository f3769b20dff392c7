import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startApp } from './support.js';

let app;
let a;
let b;
before(async () => {
  app = await startApp();
  a = await app.team('alpha');
  b = await app.team('beta');
});
after(() => app.stop());

test('notes are written, listed, read, changed and deleted', async () => {
  const { token } = await app.member(a, 'writer');
  const note = await app.note(token, 'first');
  const change = { title: 'changed', body: '' };
  assert.equal((await app.call('PUT', `/notes/${note.id}`, { token, body: change })).body.title, 'changed');
  assert.equal((await app.call('GET', `/notes/${note.id}`, { token })).body.body, '');
  assert.deepEqual((await app.call('GET', '/notes', { token })).body.map((row) => row.id), [note.id]);
  assert.deepEqual((await app.call('GET', `/notes?before=${note.id}`, { token })).body, []);
  assert.equal((await app.call('DELETE', `/notes/${note.id}`, { token })).status, 204);
  assert.equal((await app.call('GET', `/notes/${note.id}`, { token })).status, 404);
});

test("another team's ids read like ids that never were, and nothing happens", async () => {
  const note = await app.note(a.token, 'canary');
  const member = await app.member(a, 'reader');
  const fingerprint = () => app.rows(
    "SELECT 'n', n::text FROM notes n UNION ALL SELECT 'm', m::text FROM members m UNION ALL SELECT 'e', e::text FROM audit_events e ORDER BY 1, 2",
  );
  const before = await fingerprint();
  const body = { title: 'taken', body: 'over' };
  for (const [method, path, id] of [['GET', '/notes', note.id], ['PUT', '/notes', note.id], ['DELETE', '/notes', note.id], ['DELETE', '/members', member.id]]) {
    const options = { token: b.token, body: method === 'PUT' ? body : undefined };
    const foreign = await app.call(method, `${path}/${id}`, options);
    const nonexistent = await app.call(method, `${path}/00000000-0000-4000-8000-000000000000`, options);
    const malformed = await app.call(method, `${path}/1%20OR%20true`, options);
    assert.equal(foreign.status, 404);
    assert.equal(foreign.text, nonexistent.text);
    assert.equal(foreign.text, malformed.text);
  }
  for (const path of ['/notes', '/members', '/audit', `/notes?before=${note.id}`]) {
    const reply = await app.call('GET', path, { token: b.token, headers: { 'x-tenant-id': a.id, host: 'alpha.example' } });
    assert.equal(reply.status, 200);
    assert.ok(!/canary|alpha/.test(reply.text) && !reply.text.includes(a.id), path);
  }
  assert.deepEqual(await fingerprint(), before);
  assert.equal((await app.call('GET', `/notes/${note.id}`, { token: member.token })).body.title, 'canary');
});

test('a body cannot choose team, author, role or id', async () => {
  for (const extra of ['team_id', 'author_id', 'id', 'role', 'created_at']) {
    const body = { title: 'x', body: 'y', [extra]: b.id };
    assert.equal((await app.call('POST', '/notes', { token: a.token, body })).status, 422);
  }
  const body = { email: 'x@alpha.example', password: 'battery staple', role: 'owner' };
  assert.equal((await app.call('POST', '/members', { token: a.token, body })).status, 422);
  assert.equal((await app.call('POST', '/members', { token: a.token, body: { ...body, role: 'reader', team_id: b.id } })).status, 422);
});

test('the same e-mail may join two teams, and one team only once', async () => {
  const email = 'Both@Example.com';
  const body = { email, password: 'battery staple', role: 'reader' };
  assert.equal((await app.call('POST', '/members', { token: a.token, body })).status, 201);
  assert.equal((await app.call('POST', '/members', { token: b.token, body })).status, 201);
  const twice = await app.call('POST', '/members', { token: a.token, body: { ...body, email: email.toLowerCase() } });
  assert.equal(twice.status, 409);
  assert.ok(!/members_|constraint|key/i.test(twice.text));
});

test('the database itself refuses a row that joins two teams', async () => {
  const note = 'INSERT INTO notes (team_id, author_id, title, body) SELECT $1, id, $2, $2 FROM members WHERE team_id = $3 LIMIT 1';
  await assert.rejects(app.pool.query(note, [a.id, 'x', b.id]), { code: '23503' });
});
