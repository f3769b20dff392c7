import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { SignJWT, jwtVerify } from 'jose';

const ISSUER = 'express-notes';
const AUDIENCE = 'express-notes-api';
const TYPE = 'at+jwt'; // RFC 9068
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const isUuid = (value) => typeof value === 'string' && UUID.test(value);

/** Access tokens name a member and a session; what these may do is asked of the database at each request. */
export function accessTokens(secretKey) {
  const key = new TextEncoder().encode(secretKey);
  return {
    issue: (member) =>
      new SignJWT({ tid: member.team_id, sid: member.session_id })
        .setProtectedHeader({ alg: 'HS256', typ: TYPE })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject(member.id)
        .setIssuedAt()
        .setExpirationTime('5 minutes')
        .sign(key),

    /** The claims, or null when the token is not one of ours, for us, and in its time. */
    async verify(token) {
      const expected = { algorithms: ['HS256'], issuer: ISSUER, audience: AUDIENCE, typ: TYPE, requiredClaims: ['exp', 'iat'] };
      const { payload } = await jwtVerify(token, key, expected).catch((error) => {
        if (typeof error.code === 'string' && error.code.startsWith('ERR_J')) return { payload: null };
        throw error;
      });
      const ours = payload && payload.aud === AUDIENCE && [payload.sub, payload.tid, payload.sid].every(isUuid);
      return ours ? payload : null;
    },
  };
}

export const newRefreshToken = () => randomBytes(32).toString('base64url');
export const hashRefreshToken = (token) => createHash('sha256').update(token).digest();

const scryptAsync = promisify(scrypt);
const COST = { N: 2 ** 15, r: 8, p: 3, maxmem: 64 * 1024 * 1024 }; // OWASP Password Storage Cheat Sheet
const KEY_BYTES = 32;

export async function hashPassword(password) {
  const salt = randomBytes(16);
  const hash = await scryptAsync(password.normalize('NFKC'), salt, KEY_BYTES, COST);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), hash.toString('base64')].join('$');
}

export async function checkPassword(password, stored) {
  const [, N, r, p, salt, hash] = stored.split('$');
  const cost = { N: Number(N), r: Number(r), p: Number(p), maxmem: COST.maxmem };
  const given = await scryptAsync(password.normalize('NFKC'), Buffer.from(salt, 'base64'), KEY_BYTES, cost);
  return timingSafeEqual(given, Buffer.from(hash, 'base64'));
}

// Checked when the member is unknown, so that an unknown e-mail costs the time of a wrong password.
export const UNKNOWN_MEMBER_HASH = await hashPassword(randomBytes(16).toString('hex'));
