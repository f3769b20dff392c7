CREATE TABLE teams (id serial PRIMARY KEY, name text NOT NULL, credits int NOT NULL DEFAULT 0);
CREATE TABLE members (
    id serial PRIMARY KEY, team_id int NOT NULL REFERENCES teams, role text NOT NULL, token text NOT NULL UNIQUE
);
CREATE TABLE notes (id serial PRIMARY KEY, team_id int NOT NULL REFERENCES teams, text text NOT NULL);
CREATE TABLE orders (
    id serial PRIMARY KEY, team_id int NOT NULL REFERENCES teams, status text NOT NULL, paid_at timestamptz
);
CREATE TABLE inbox (event text PRIMARY KEY);
CREATE TABLE handled (event text NOT NULL);  -- no key: who writes to it locks first
CREATE TABLE queue (
    id serial PRIMARY KEY, order_id int NOT NULL REFERENCES orders, told_at bigint NOT NULL,
    taken_until timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE jobs (id serial PRIMARY KEY, order_id int NOT NULL REFERENCES orders);
