import express from 'express';
import { audit, transaction, whyNotReady } from './db.js';
import { Problem, guard, openapi, readBody, send, sendProblem } from './http.js';
import {
  UNKNOWN_MEMBER_HASH,
  accessTokens,
  checkPassword,
  hashPassword,
  hashRefreshToken,
  isUuid,
  newRefreshToken,
} from './security.js';
import { sql } from './sql.js';

const ADMIN = ['admin'];
const WRITERS = ['admin', 'writer'];
const EVERYBODY = ['admin', 'writer', 'reader'];

export function createApp({ pool, secretKey }) {
  const tokens = accessTokens(secretKey);
  const guarded = guard(pool, tokens);
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use((req, res, next) => {
    res.set('Cache-Control', 'no-store');
    next();
  });
  app.use(express.json({ limit: '100kb' }));

  app.get('/openapi.json', (req, res) => send(res, { body: openapi }));
  app.get('/health/ready', async (req, res) => {
    const reason = await whyNotReady(pool);
    send(res, reason ? { status: 503, body: { status: 'not ready', reason } } : { body: { status: 'ready' } });
  });

  addAuth(app, { pool, tokens, guarded });
  addMembers(app, guarded);
  addNotes(app, guarded);
  app.get('/audit', guarded(ADMIN, async ({ db, me, req }) => {
    const before = readCursor(req, (value) => /^\d{1,18}$/.test(value));
    return { body: (await db.query(sql.listAudit, [me.team_id, before])).rows };
  }));

  app.use(() => {
    throw new Problem(404);
  });
  app.use(sendProblem);
  return app;
}

function addAuth(app, { pool, tokens, guarded }) {
  const start = async (db, member) => {
    const { rows } = await db.query(sql.createSession, [member.team_id, member.id]);
    if (!rows[0]) throw new Problem(401);
    const signedIn = { ...member, session_id: rows[0].id };
    await audit(db, signedIn, 'session.started', signedIn.session_id);
    return signedIn;
  };
  const pair = async (db, member) => {
    const refreshToken = newRefreshToken();
    await db.query(sql.createRefreshToken, [hashRefreshToken(refreshToken), member.team_id, member.session_id]);
    return { access_token: await tokens.issue(member), refresh_token: refreshToken };
  };

  app.post('/teams', async (req, res) => {
    const { name, slug, email, password } = readBody(req, 'TeamInput');
    const hash = await hashPassword(password);
    const body = await transaction(pool, {}, async (db) => {
      const team = (await db.query(sql.createTeam, [name, slug])).rows[0];
      const admin = (await db.query(sql.createMember, [team.id, email.toLowerCase(), hash, 'admin'])).rows[0];
      const member = { team_id: team.id, id: admin.id };
      await audit(db, member, 'team.created', team.id);
      return { team, ...(await pair(db, await start(db, member))) };
    });
    send(res, { status: 201, body });
  });

  app.post('/auth/login', async (req, res) => {
    const { team, email, password } = readBody(req, 'LoginInput');
    const member = (await pool.query(sql.memberForLogin, [team, email.toLowerCase()])).rows[0];
    const right = await checkPassword(password, member?.password_hash ?? UNKNOWN_MEMBER_HASH);
    if (!member || !right) throw new Problem(401);
    const signedIn = { team_id: member.team_id, id: member.id };
    send(res, { body: await transaction(pool, {}, async (db) => pair(db, await start(db, signedIn))) });
  });

  app.post('/auth/refresh', async (req, res) => {
    const hash = hashRefreshToken(readBody(req, 'RefreshInput').refresh_token);
    const body = await transaction(pool, {}, async (db) => {
      const member = (await db.query(sql.useRefreshToken, [hash])).rows[0];
      if (member) {
        await audit(db, member, 'session.refreshed', member.session_id);
        return pair(db, member);
      }
      // A used token came back: whoever holds its children may be a thief. Returned, not thrown: this must be committed.
      const thief = (await db.query(sql.revokeReusedFamily, [hash])).rows[0];
      if (thief) await audit(db, thief, 'session.revoked_on_reuse', thief.session_id);
      return null;
    });
    if (!body) throw new Problem(401);
    send(res, { body });
  });

  app.post('/auth/logout', guarded(EVERYBODY, async ({ db, me }) => {
    await db.query(sql.revokeSession, [me.team_id, me.session_id]);
    await audit(db, me, 'session.ended', me.session_id);
    return { status: 204 };
  }));
}

function addMembers(app, guarded) {
  app.get('/members', guarded(EVERYBODY, async ({ db, me }) => ({
    body: (await db.query(sql.listMembers, [me.team_id])).rows,
  })));

  const hashed = async (req) => hashPassword(readBody(req, 'MemberInput').password);
  app.post('/members', guarded(ADMIN, async ({ db, me, req, prepared: hash }) => {
    const { email, role } = readBody(req, 'MemberInput');
    const member = (await db.query(sql.createMember, [me.team_id, email.toLowerCase(), hash, role])).rows[0];
    await audit(db, me, 'member.added', member.id, { role });
    return { status: 201, body: member };
  }, hashed));

  app.delete('/members/:id', guarded(ADMIN, async ({ db, me, req }) => {
    const id = readId(req);
    if (id === me.id) throw new Problem(409, 'Another admin has to remove you');
    await db.query(sql.shutOut, [me.team_id, id]);
    const member = (await db.query(sql.deleteMember, [me.team_id, id])).rows[0];
    if (!member) throw new Problem(404);
    await audit(db, me, 'member.removed', id, { role: member.role });
    return { status: 204 };
  }));
}

function addNotes(app, guarded) {
  app.get('/notes', guarded(EVERYBODY, async ({ db, me, req }) => ({
    body: (await db.query(sql.listNotes, [me.team_id, readCursor(req, isUuid)])).rows,
  })));

  app.post('/notes', guarded(WRITERS, async ({ db, me, req }) => {
    const { title, body } = readBody(req, 'NoteInput');
    const note = (await db.query(sql.createNote, [me.team_id, me.id, title, body])).rows[0];
    await audit(db, me, 'note.created', note.id);
    return { status: 201, body: note };
  }));

  app.get('/notes/:id', guarded(EVERYBODY, async ({ db, me, req }) => {
    const note = (await db.query(sql.noteById, [me.team_id, readId(req)])).rows[0];
    if (!note) throw new Problem(404);
    return { body: note };
  }));

  app.put('/notes/:id', guarded(WRITERS, async ({ db, me, req }) => {
    const { title, body } = readBody(req, 'NoteInput');
    const note = (await db.query(sql.updateNote, [me.team_id, readId(req), title, body])).rows[0];
    if (!note) throw new Problem(404);
    await audit(db, me, 'note.updated', note.id);
    return { body: note };
  }));

  app.delete('/notes/:id', guarded(WRITERS, async ({ db, me, req }) => {
    const id = readId(req);
    if ((await db.query(sql.deleteNote, [me.team_id, id])).rowCount === 0) throw new Problem(404);
    await audit(db, me, 'note.deleted', id);
    return { status: 204 };
  }));
}

function readId(req) {
  if (!isUuid(req.params.id)) throw new Problem(404);
  return req.params.id;
}

function readCursor(req, isCursor) {
  const { before = null } = req.query;
  if (before !== null && !(typeof before === 'string' && isCursor(before))) throw new Problem(422, 'before must be an id from this list');
  return before;
}
