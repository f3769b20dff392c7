import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { transaction } from './db.js';
import { sql } from './sql.js';

export const openapi = JSON.parse(readFileSync(new URL('../openapi.json', import.meta.url), 'utf8'));

const ajv = new Ajv2020({ strict: false, formats: { uuid: true, 'date-time': true } });
ajv.addSchema(openapi, 'openapi');

/** An answer other than success. One wording per status, so that a foreign id reads like one that never was (RFC 9457). */
export class Problem extends Error {
  static TITLES = {
    400: 'The request cannot be read',
    401: 'Not signed in',
    403: 'Your role does not allow this',
    404: 'Not found',
    409: 'This conflicts with what is there',
    413: 'The body is too large',
    415: 'The body has an unknown encoding',
    422: 'The request is not valid',
    500: 'Something went wrong here',
  };

  constructor(status, detail) {
    super(detail ?? Problem.TITLES[status]);
    Object.assign(this, { status, detail });
  }
}

/** The request body, when it is what the OpenAPI document says, else a 422. */
export function readBody(req, schema) {
  const validate = ajv.getSchema(`openapi#/components/schemas/${schema}`);
  if (!validate(req.body)) throw new Problem(422, ajv.errorsText(validate.errors, { dataVar: 'body' }));
  return req.body;
}

/** Makes `guarded(roles, work)`: a handler that runs `work` for live members with one of the roles, in one transaction. */
export function guard(pool, tokens) {
  return (roles, work, prepare) => async (req, res) => {
    const readOnly = req.method === 'GET' || req.method === 'HEAD';
    const token = /^Bearer ([\w.-]+)$/i.exec(req.get('authorization') ?? '')?.[1];
    const claims = token && (await tokens.verify(token));
    if (!claims) throw new Problem(401);
    const authorize = async (db) => {
      const { rows } = await db.query(sql.principal, [claims.tid, claims.sid, claims.sub]);
      if (!rows[0]) throw new Problem(401);
      if (!roles.includes(rows[0].role)) throw new Problem(403);
      return rows[0];
    };
    let prepared;
    if (prepare) {
      // Slow work before the transaction, and only for those who may ask for it.
      await transaction(pool, { readOnly: true }, authorize);
      prepared = await prepare(req);
    }
    const reply = await transaction(pool, { readOnly }, async (db) => {
      if (!readOnly) await db.query(sql.enterAs, [claims.tid, claims.sub]);
      const me = await authorize(db);
      return work({ db, me, req, prepared });
    });
    send(res, reply);
  };
}

export function send(res, { status = 200, body }) {
  if (body === undefined) res.status(status).end();
  else res.status(status).json(body);
}

export function sendProblem(error, req, res, next) {
  if (res.headersSent) return next(error);
  // unique_violation and foreign_key_violation: somebody else was faster. Names of constraints stay inside.
  const status = ['23505', '23503'].includes(error.code) ? 409 : error.status in Problem.TITLES ? error.status : 500;
  if (status === 500) console.error(JSON.stringify({ event: 'request.failed', code: error.code, stack: error.stack }));
  if (status === 401) res.set('WWW-Authenticate', 'Bearer');
  const detail = error instanceof Problem ? error.detail : undefined;
  return res.status(status).type('application/problem+json').send(JSON.stringify({ status, title: Problem.TITLES[status], detail }));
}
