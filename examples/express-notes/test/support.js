import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import pg from 'pg';
import { migrate } from '../migrate.js';
import { createApp } from '../src/app.js';
import { createPool } from '../src/db.js';
import { openapi } from '../src/http.js';

export const SECRET_KEY = randomBytes(32).toString('base64');
const ajv = new Ajv2020({ strict: false, formats: { uuid: true, 'date-time': true } });
ajv.addSchema(openapi, 'openapi');

/** A database of its own with an owner and a runtime role, not migrated. */
export async function createDatabase() {
  const base = process.env.TEST_DATABASE_URL;
  if (!base) throw new Error('TEST_DATABASE_URL must be the URL of a PostgreSQL role that may create roles and databases');
  const name = `notes_test_${randomBytes(6).toString('hex')}`;
  const password = randomBytes(12).toString('hex');
  const admin = new pg.Client({ connectionString: base });
  await admin.connect();
  await admin.query(`CREATE ROLE ${name}_owner LOGIN PASSWORD '${password}'`);
  await admin.query(`CREATE ROLE ${name}_app LOGIN PASSWORD '${password}'`);
  await admin.query(`CREATE DATABASE ${name} OWNER ${name}_owner`);
  const urlOf = (role) => {
    const url = new URL(base);
    Object.assign(url, { username: role, password, pathname: `/${name}` });
    return url.href;
  };
  return {
    appRole: `${name}_app`,
    ownerUrl: urlOf(`${name}_owner`),
    appUrl: urlOf(`${name}_app`),
    async drop() {
      await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await admin.query(`DROP ROLE ${name}_app, ${name}_owner`);
      await admin.end();
    },
  };
}

/** The app on a migrated database of its own. `app.stop()` leaves nothing behind. */
export async function startApp() {
  const database = await createDatabase();
  const { ownerUrl: url, appRole } = database;
  const step = (direction, count) => migrate({ url, appRole, direction, count });
  await step('up');
  const pool = createPool(database.appUrl);
  const owner = new pg.Client({ connectionString: url });
  await owner.connect();
  const server = createApp({ pool, secretKey: SECRET_KEY }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const base = `http://127.0.0.1:${server.address().port}`;

  const app = {
    base,
    pool,
    owner,
    migrate: step,
    /** One request; whatever comes back has to be what the OpenAPI document says. */
    async call(method, path, { token, body, headers = {} } = {}) {
      const response = await fetch(base + path, {
        method,
        headers: {
          ...(token && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...headers,
        },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      const json = text ? JSON.parse(text) : undefined;
      assertDocumented(method, path, response, json);
      return { status: response.status, body: json, text };
    },
    async team(slug, email = `ada@${slug}.example`) {
      const reply = await app.call('POST', '/teams', { body: { name: slug, slug, email, password: 'correct horse' } });
      assert.equal(reply.status, 201, reply.text);
      return { slug, id: reply.body.team.id, token: reply.body.access_token, refresh: reply.body.refresh_token };
    },
    async member(team, role, email = `${role}@${team.slug}.example`) {
      const password = 'battery staple';
      const added = await app.call('POST', '/members', { token: team.token, body: { email, password, role } });
      assert.equal(added.status, 201, added.text);
      const login = await app.call('POST', '/auth/login', { body: { team: team.slug, email, password } });
      assert.equal(login.status, 200, login.text);
      return { id: added.body.id, email, token: login.body.access_token, refresh: login.body.refresh_token };
    },
    async note(token, title = 'title') {
      const reply = await app.call('POST', '/notes', { token, body: { title, body: `body of ${title}` } });
      assert.equal(reply.status, 201, reply.text);
      return reply.body;
    },
    async rows(text, values) {
      return (await owner.query(text, values)).rows;
    },
    async stop() {
      await new Promise((resolve) => server.close(resolve));
      await pool.end();
      await owner.end();
      await database.drop();
    },
  };
  return app;
}

function assertDocumented(method, path, response, json) {
  const parts = path.split('?')[0].split('/');
  const template = Object.keys(openapi.paths).find((known) => {
    const wanted = known.split('/');
    return wanted.length === parts.length && wanted.every((part, i) => part.startsWith('{') || part === parts[i]);
  });
  const operation = openapi.paths[template]?.[method.toLowerCase()];
  if (!operation) return;
  const found = operation.responses[response.status];
  assert.ok(found, `${method} ${template} answers ${response.status}, which openapi.json does not know: ${JSON.stringify(json)}`);
  const documented = found.$ref ? openapi.components.responses[found.$ref.split('/').pop()] : found;
  const [media] = Object.entries(documented.content ?? {});
  if (!media) return assert.equal(json, undefined);
  assert.equal(response.headers.get('content-type').split(';')[0], media[0]);
  const { $ref } = media[1].schema;
  const items = media[1].schema.items?.$ref;
  for (const value of items ? json : [json]) {
    const reference = items ?? $ref;
    if (!reference) continue;
    const validate = ajv.getSchema(`openapi${reference}`);
    assert.ok(validate(value), `${method} ${template} ${response.status}: ${ajv.errorsText(validate.errors)}`);
  }
}
