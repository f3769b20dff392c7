CREATE TABLE notes (
  team_id uuid NOT NULL REFERENCES teams (id),
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  author_id uuid,
  title text NOT NULL,
  body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (team_id, id),
  FOREIGN KEY (team_id, author_id) REFERENCES members (team_id, id) ON DELETE SET NULL (author_id)
);
CREATE INDEX ON notes (team_id, created_at, id);
CREATE INDEX ON notes (team_id, author_id);

GRANT SELECT, INSERT (team_id, author_id, title, body), UPDATE (title, body, updated_at), DELETE ON notes TO :app_role;
