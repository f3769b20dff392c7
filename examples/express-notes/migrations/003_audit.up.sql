-- Append-only by grants: the runtime role may add and read, and the database sets number and time. No foreign key to
-- members or notes, so that history outlives what it tells of.
CREATE TABLE audit_events (
  team_id uuid NOT NULL REFERENCES teams (id),
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT now(),
  actor_id uuid NOT NULL,
  action text NOT NULL,
  subject_id uuid NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (team_id, id)
);

GRANT SELECT, INSERT (team_id, actor_id, action, subject_id, details) ON audit_events TO :app_role;
