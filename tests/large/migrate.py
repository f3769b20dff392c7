"""Brings an empty database to the schema: the teams' own tables, and as many kinds of things as KINDS says."""

from __future__ import annotations

import os

import psycopg

OWN = """
CREATE TABLE teams (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE members (
    id serial PRIMARY KEY, team_id int NOT NULL REFERENCES teams, role text NOT NULL, token text NOT NULL UNIQUE
);
"""
THING = """
CREATE TABLE {name}s (
    id serial PRIMARY KEY,
    team_id int NOT NULL REFERENCES teams,
    title text NOT NULL,
    archived bool NOT NULL DEFAULT false
);
CREATE INDEX ON {name}s (team_id);
"""

with psycopg.connect(os.environ["DATABASE_URL"]) as db:
    db.execute(OWN.encode())
    for name in os.environ["KINDS"].split():
        db.execute(THING.format(name=name).encode())
