CREATE TABLE teams (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE members (
    id serial PRIMARY KEY, team_id int NOT NULL REFERENCES teams, role text NOT NULL, token text NOT NULL UNIQUE
);
CREATE TABLE notes (id serial PRIMARY KEY, team_id int NOT NULL REFERENCES teams, text text NOT NULL);
