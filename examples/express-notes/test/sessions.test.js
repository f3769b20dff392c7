import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SignJWT, UnsecuredJWT, decodeJwt } from 'jose';
import { sql } from '../src/sql.js';
import { SECRET_KEY, startApp } from './support.js';

let app;
let team;
before(async () => {
  app = await startApp();
  team = await app.team('acme');
});
after(() => app.stop());

const refresh = (token) => app.call('POST', '/auth/refresh', { body: { refresh_token: token } });
const members = (token) => app.call('GET', '/members', { token });

test('a refresh token works once and its reuse ends the whole session', async () => {
  const member = await app.member(team, 'reader', 'reuse@acme.example');
  const first = await refresh(member.refresh);
  assert.equal(first.status, 200);
  assert.equal((await members(first.body.access_token)).status, 200);
  assert.equal((await refresh(member.refresh)).status, 401);
  assert.equal((await refresh(first.body.refresh_token)).status, 401);
  assert.equal((await members(first.body.access_token)).status, 401);
});

test('of twenty refreshes at once at most one succeeds and nothing of the session survives', async () => {
  const member = await app.member(team, 'reader', 'race@acme.example');
  const replies = await Promise.all(Array.from({ length: 20 }, () => refresh(member.refresh)));
  const won = replies.filter((reply) => reply.status === 200);
  assert.equal(won.length, 1);
  assert.equal((await refresh(won[0].body.refresh_token)).status, 401);
});

test('refreshing does not prolong a session', async () => {
  const member = await app.member(team, 'reader', 'cap@acme.example');
  const next = (await refresh(member.refresh)).body;
  await app.owner.query("UPDATE sessions SET expires_at = now() - interval '1 second' WHERE member_id = $1", [member.id]);
  assert.equal((await refresh(next.refresh_token)).status, 401);
  assert.equal((await members(next.access_token)).status, 401);
});

test('logout ends access and refresh tokens of this session only', async () => {
  const member = await app.member(team, 'reader', 'logout@acme.example');
  const login = { team: 'acme', email: member.email, password: 'battery staple' };
  const other = (await app.call('POST', '/auth/login', { body: login })).body;
  assert.equal((await app.call('POST', '/auth/logout', { token: member.token })).status, 204);
  assert.equal((await members(member.token)).status, 401);
  assert.equal((await refresh(member.refresh)).status, 401);
  assert.equal((await members(other.access_token)).status, 200);
});

test('a removed member is out at once, with every credential', async () => {
  const member = await app.member(team, 'writer', 'gone@acme.example');
  const note = await app.note(member.token);
  assert.equal((await app.call('DELETE', `/members/${member.id}`, { token: team.token })).status, 204);
  for (const [method, path] of [['GET', '/notes'], ['GET', `/notes/${note.id}`], ['POST', '/notes'], ['GET', '/members']]) {
    const body = method === 'POST' ? { title: 'a', body: 'b' } : undefined;
    assert.equal((await app.call(method, path, { token: member.token, body })).status, 401, `${method} ${path}`);
  }
  assert.equal((await refresh(member.refresh)).status, 401);
  const login = { team: 'acme', email: member.email, password: 'battery staple' };
  assert.equal((await app.call('POST', '/auth/login', { body: login })).status, 401);
  // Coming back makes a new member: old tokens stay dead.
  await app.member(team, 'reader', member.email);
  assert.equal((await members(member.token)).status, 401);
});

test('a removal waits for changes in flight and lets none in behind it', async () => {
  const member = await app.member(team, 'writer', 'flight@acme.example');
  const waiting = async (count) => {
    const query = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while ((await app.rows(query)).length < count);
  };
  await app.owner.query('BEGIN');
  await app.owner.query(sql.enterAs, [team.id, member.id]);
  const removal = app.call('DELETE', `/members/${member.id}`, { token: team.token });
  await waiting(1);
  const late = app.call('POST', '/notes', { token: member.token, body: { title: 'late', body: '' } });
  await waiting(2);
  await app.owner.query('COMMIT');
  assert.equal((await removal).status, 204);
  assert.equal((await late).status, 401);
});

test('of two admins who remove each other one stays', async () => {
  const pair = await app.team('duel');
  const rival = await app.member(pair, 'admin', 'rival@duel.example');
  const [me] = (await members(pair.token)).body.filter((member) => member.id !== rival.id);
  const replies = await Promise.all([
    app.call('DELETE', `/members/${rival.id}`, { token: pair.token }),
    app.call('DELETE', `/members/${me.id}`, { token: rival.token }),
  ]);
  assert.deepEqual(replies.map((reply) => reply.status).sort(), [204, 401]);
  assert.equal((await app.rows('SELECT 1 FROM members WHERE team_id = $1', [pair.id])).length, 1);
});

test('only tokens of this issuer, for this audience, of this type, in their time and with this key are accepted', async () => {
  const claims = decodeJwt(team.token);
  const key = new TextEncoder().encode(SECRET_KEY);
  const sign = (change = {}, header = {}, secret = key) => {
    const payload = { ...claims, ...change };
    for (const [name, value] of Object.entries(payload)) if (value === undefined) delete payload[name];
    return new SignJWT(payload).setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', ...header }).sign(secret);
  };
  assert.equal((await members(await sign())).status, 200);
  const [header, body, signature] = team.token.split('.');
  const refused = {
    'expired': await sign({ exp: claims.iat - 1 }),
    'without expiry': await sign({ exp: undefined }),
    'other audience': await sign({ aud: 'another-api' }),
    'without audience': await sign({ aud: undefined }),
    'several audiences': await sign({ aud: ['another-api', claims.aud] }),
    'other issuer': await sign({ iss: `${claims.iss}.evil` }),
    'without issuer': await sign({ iss: undefined }),
    'other type': await sign({}, { typ: 'JWT' }),
    'other algorithm': await sign({}, { alg: 'HS512' }),
    'no algorithm': new UnsecuredJWT(claims).encode(),
    'other key': await sign({}, {}, new TextEncoder().encode('x'.repeat(40))),
    'no such member': await sign({ sub: claims.tid }),
    'no member': await sign({ sub: undefined }),
    'a member that is no id': await sign({ sub: "' OR true --" }),
    'no session': await sign({ sid: undefined }),
    'other team': await sign({ tid: claims.sub }),
    'changed body': [header, `${body.slice(0, -1)}${body.endsWith('A') ? 'B' : 'A'}`, signature].join('.'),
    'a refresh token': team.refresh,
  };
  for (const [what, token] of Object.entries(refused)) assert.equal((await members(token)).status, 401, what);
  assert.equal((await refresh(team.token)).status, 401);
});

test('unknown team, unknown member and wrong password get the same answer', async () => {
  const login = (change) =>
    app.call('POST', '/auth/login', { body: { team: 'acme', email: 'ada@acme.example', password: 'correct horse', ...change } });
  assert.equal((await login({})).status, 200);
  const wrong = await Promise.all([login({ team: 'nobody' }), login({ email: 'x@acme.example' }), login({ password: 'wrong horse' })]);
  for (const reply of wrong) assert.deepEqual([reply.status, reply.text], [401, wrong[0].text]);
});

test('the database holds no password and no token in clear', async () => {
  const tables = ['teams', 'members', 'sessions', 'refresh_tokens', 'notes', 'audit_events'];
  let dump = '';
  for (const table of tables) dump += JSON.stringify(await app.rows(`SELECT t::text FROM ${table} t`));
  assert.ok(dump.includes('ada@acme.example'));
  for (const secret of ['correct horse', 'battery staple', team.refresh, team.token]) assert.ok(!dump.includes(secret));
});
