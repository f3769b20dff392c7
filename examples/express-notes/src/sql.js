// Every statement the app sends, in one place: /health/ready plans each of them against the live schema and grants.

export const sql = {
  // Changes share a member's lock, the member's removal takes it alone: it waits for changes in flight, and later ones
  // wait for it and then find nobody. Row locks would do the same, but a steady stream of changes could starve it.
  enterAs: 'SELECT pg_advisory_xact_lock_shared(hashtextextended($1::text || $2::text, 0))',
  shutOut: 'SELECT pg_advisory_xact_lock(hashtextextended($1::text || $2::text, 0))',
  principal: `
    SELECT m.team_id, m.id, m.role, s.id AS session_id
    FROM sessions s JOIN members m ON m.team_id = s.team_id AND m.id = s.member_id
    WHERE s.team_id = $1 AND s.id = $2 AND s.member_id = $3 AND s.revoked_at IS NULL AND s.expires_at > now()`,

  createTeam: 'INSERT INTO teams (name, slug) VALUES ($1, $2) RETURNING id, name, slug',

  createMember: `
    INSERT INTO members (team_id, email, password_hash, role) VALUES ($1, $2, $3, $4)
    RETURNING id, email, role, created_at`,
  memberForLogin: `
    SELECT m.team_id, m.id, m.password_hash
    FROM members m JOIN teams t ON t.id = m.team_id
    WHERE t.slug = $1 AND m.email = $2`,
  listMembers: 'SELECT id, email, role, created_at FROM members WHERE team_id = $1 ORDER BY created_at, id LIMIT 500',
  deleteMember: 'DELETE FROM members WHERE team_id = $1 AND id = $2 RETURNING role',

  createSession: `
    INSERT INTO sessions (team_id, member_id) SELECT team_id, id FROM members WHERE team_id = $1 AND id = $2
    RETURNING id`,
  revokeSession: 'UPDATE sessions SET revoked_at = now() WHERE team_id = $1 AND id = $2',
  createRefreshToken: 'INSERT INTO refresh_tokens (hash, team_id, session_id) VALUES ($1, $2, $3)',
  useRefreshToken: `
    UPDATE refresh_tokens r SET used_at = now()
    FROM sessions s
    WHERE r.hash = $1 AND r.used_at IS NULL AND s.team_id = r.team_id AND s.id = r.session_id
      AND s.revoked_at IS NULL AND s.expires_at > now()
    RETURNING s.team_id, s.member_id AS id, s.id AS session_id`,
  revokeReusedFamily: `
    UPDATE sessions s SET revoked_at = now()
    FROM refresh_tokens r
    WHERE r.hash = $1 AND r.used_at IS NOT NULL AND s.team_id = r.team_id AND s.id = r.session_id
      AND s.revoked_at IS NULL
    RETURNING s.team_id, s.member_id AS id, s.id AS session_id`,

  createNote: `
    INSERT INTO notes (team_id, author_id, title, body) VALUES ($1, $2, $3, $4)
    RETURNING id, author_id, title, body, created_at, updated_at`,
  listNotes: `
    SELECT id, author_id, title, body, created_at, updated_at FROM notes
    WHERE team_id = $1 AND ($2::uuid IS NULL OR (created_at, id) <
      (SELECT n.created_at, n.id FROM notes n WHERE n.team_id = $1 AND n.id = $2))
    ORDER BY created_at DESC, id DESC LIMIT 100`,
  noteById: 'SELECT id, author_id, title, body, created_at, updated_at FROM notes WHERE team_id = $1 AND id = $2',
  updateNote: `
    UPDATE notes SET title = $3, body = $4, updated_at = now() WHERE team_id = $1 AND id = $2
    RETURNING id, author_id, title, body, created_at, updated_at`,
  deleteNote: 'DELETE FROM notes WHERE team_id = $1 AND id = $2',

  audit: 'INSERT INTO audit_events (team_id, actor_id, action, subject_id, details) VALUES ($1, $2, $3, $4, $5)',
  listAudit: `
    SELECT id, at, actor_id, action, subject_id, details FROM audit_events
    WHERE team_id = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT 100`,

  ledger: 'SELECT name, digest FROM schema_migrations',
};
