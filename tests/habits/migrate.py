"""Brings an empty database to the schema."""

import os
from pathlib import Path

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as db:
    db.execute(Path(__file__).with_name("schema.sql").read_text().encode())
