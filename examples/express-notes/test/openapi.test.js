import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createApp } from '../src/app.js';
import { openapi } from '../src/http.js';
import { SECRET_KEY, startApp } from './support.js';

let app;
before(async () => {
  app = await startApp();
});
after(() => app.stop());

const operations = Object.entries(openapi.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

test('openapi.json lists the routes of the app, all of them and no others', async () => {
  const { router } = createApp({ pool: app.pool, secretKey: SECRET_KEY });
  const routes = router.stack.filter((layer) => layer.route).flatMap(({ route }) =>
    Object.keys(route.methods).map((method) => `${method.toUpperCase()} ${route.path.replace(/:(\w+)/g, '{$1}')}`),
  );
  assert.deepEqual(routes.sort(), operations.map(({ method, path }) => `${method} ${path}`).sort());
  assert.deepEqual((await app.call('GET', '/openapi.json')).body, openapi);
});

test('each operation lets in the roles it names and nobody else', async () => {
  const team = await app.team('roles');
  const tokens = { admin: team.token, anonymous: undefined };
  for (const role of ['writer', 'reader']) tokens[role] = (await app.member(team, role)).token;
  const guarded = operations.filter(({ operation }) => operation['x-roles']);
  assert.equal(guarded.length, 10);
  // Logging out ends the session that the others need, so it comes last.
  guarded.sort((one, other) => (one.path === '/auth/logout') - (other.path === '/auth/logout'));
  for (const { path, method, operation } of guarded) {
    const schema = operation.requestBody?.content['application/json'].schema.$ref.split('/').pop();
    for (const [role, token] of Object.entries(tokens)) {
      const allowed = operation['x-roles'].includes(role);
      const bodies = {
        NoteInput: { title: 'x', body: 'y' },
        MemberInput: { email: `new-${role}@roles.example`, password: 'battery staple', role: 'reader' },
      };
      const rowOf = {
        '/notes/{id}': "INSERT INTO notes (team_id, title, body) VALUES ($1, 'x', 'y') RETURNING id",
        '/members/{id}': `INSERT INTO members (team_id, email, password_hash, role) VALUES ($1, '${role}@victims.example', '', 'reader') RETURNING id`,
      };
      const row = rowOf[path] && (await app.rows(rowOf[path], [team.id]))[0];
      const reply = await app.call(method, path.replace('{id}', row?.id), { token, body: bodies[schema] });
      const expected = role === 'anonymous' ? [401] : allowed ? [200, 201, 204] : [403];
      assert.ok(expected.includes(reply.status), `${role}: ${method} ${path} answers ${reply.status}`);
    }
  }
});

test('what is not valid is refused with a reason', async () => {
  const team = await app.team('limits');
  const post = (path, body) => app.call('POST', path, { token: team.token, body });
  for (const body of [{}, [], { title: '', body: '' }, { title: 'x', body: 1 }, { title: 'a\u0000', body: '' }, { title: 'x'.repeat(201), body: '' }]) {
    assert.equal((await post('/notes', body)).status, 422, JSON.stringify(body));
  }
  for (const email of ['', 'no', 'İ@limits.example', 'a@b', 'a@limits.example\n']) {
    assert.equal((await post('/members', { email, password: 'battery staple', role: 'reader' })).status, 422, email);
  }
  const raw = await fetch(`${app.base}/notes`, {
    method: 'POST', headers: { authorization: `Bearer ${team.token}`, 'content-type': 'application/json' }, body: '{',
  });
  assert.deepEqual([raw.status, await raw.json()], [400, { status: 400, title: 'The request cannot be read' }]);
  assert.equal((await app.call('GET', '/nowhere', { token: team.token })).status, 404);
});
