CREATE TABLE teams (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  slug text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE members (
  team_id uuid NOT NULL REFERENCES teams (id),
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  email text NOT NULL CHECK (email = lower(email)),
  password_hash text NOT NULL,
  role text NOT NULL CHECK (role IN ('admin', 'writer', 'reader')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (team_id, id),
  UNIQUE (team_id, email)
);

-- One session is one family of refresh tokens. Removing the member removes it.
CREATE TABLE sessions (
  team_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  member_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL DEFAULT now() + interval '30 days',
  revoked_at timestamptz,
  PRIMARY KEY (team_id, id),
  FOREIGN KEY (team_id, member_id) REFERENCES members (team_id, id) ON DELETE CASCADE
);
CREATE INDEX ON sessions (team_id, member_id);

CREATE TABLE refresh_tokens (
  hash bytea PRIMARY KEY,
  team_id uuid NOT NULL,
  session_id uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz,
  FOREIGN KEY (team_id, session_id) REFERENCES sessions (team_id, id) ON DELETE CASCADE
);
CREATE INDEX ON refresh_tokens (team_id, session_id);

GRANT SELECT, INSERT (name, slug) ON teams TO :app_role;
GRANT SELECT, INSERT (team_id, email, password_hash, role), DELETE ON members TO :app_role;
GRANT SELECT, INSERT (team_id, member_id), UPDATE (revoked_at) ON sessions TO :app_role;
GRANT SELECT, INSERT (hash, team_id, session_id), UPDATE (used_at) ON refresh_tokens TO :app_role;
