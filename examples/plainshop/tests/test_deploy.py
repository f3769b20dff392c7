import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from fastapi.testclient import TestClient
from plainshop.app import create_app
from plainshop.settings import load_settings
from sqlalchemy.exc import OperationalError

from tests.conftest import OWNER, ROOT, RUNTIME, alembic_config, environment, migrate

SHAPE = """
    SELECT 'column', table_name, column_name, data_type || is_nullable || coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'policy', tablename, policyname, coalesce(qual, '') || coalesce(with_check, '') FROM pg_policies
    UNION ALL SELECT 'right', table_name, grantee || column_name, privilege_type
    FROM information_schema.column_privileges WHERE table_schema = 'public'
    ORDER BY 1, 2, 3, 4
"""


@pytest.fixture
def empty(postgres, request):
    name = f"deploy_{abs(hash(request.node.name))}"
    postgres.create(name)
    return name


@pytest.fixture
def url(postgres, empty, monkeypatch):
    monkeypatch.setenv("MIGRATION_DATABASE_URL", postgres.url(OWNER, empty))
    monkeypatch.setenv("APP_DB_ROLE", RUNTIME)
    return postgres.url(OWNER, empty)


def test_each_downgrade_undoes_its_upgrade(url):
    def shape():
        with psycopg.connect(url) as connection:
            return connection.execute(SHAPE).fetchall()

    script = ScriptDirectory.from_config(alembic_config())
    assert len(script.get_heads()) == 1
    revisions = [revision.revision for revision in script.walk_revisions()][::-1]
    command.upgrade(alembic_config(), revisions[0])
    command.downgrade(alembic_config(), "base")
    before = [shape()]
    for revision in revisions:
        command.upgrade(alembic_config(), revision)
        before.append(shape())
    for expected in before[-2::-1]:
        command.downgrade(alembic_config(), "-1")
        assert shape() == expected


def run(*arguments, **more):
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True, **more)


def test_two_migration_runs_at_once_both_end_well(url):
    runs = [run("-m", "alembic", "upgrade", "head") for _ in range(2)]
    assert [r.communicate()[1] is None or r.returncode for r in runs] == [0, 0]


def test_a_migration_gives_up_on_a_lock_it_cannot_have(url):
    migrate(url, "0003")
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE shops IN ACCESS EXCLUSIVE MODE")
        late = run("-m", "alembic", "upgrade", "head")
        _, said = late.communicate()
    assert late.returncode != 0
    assert "lock timeout" in said
    migrate(url)


@pytest.mark.parametrize("name", ["Evil", 'x" TO postgres; --', ""])
def test_the_role_name_is_validated(url, monkeypatch, name):
    monkeypatch.setenv("APP_DB_ROLE", name)
    with pytest.raises(ValueError, match="APP_DB_ROLE"):
        command.upgrade(alembic_config(), "head")


def test_an_unmigrated_older_or_damaged_database_is_not_ready(postgres, empty, url, monkeypatch):
    for name, value in environment(postgres.url(RUNTIME, empty)).items():
        monkeypatch.setenv(name, value)
    app = create_app(load_settings())
    readiness = app.state.readiness
    with TestClient(app) as client:

        def answers():
            readiness._checked = 0.0
            login = {"shop": "alpha", "email": "a@b.example", "password": "x"}
            paths = (client.get("/health/ready"), client.post("/auth/login", json=login))
            return [answer.status_code for answer in paths]

        assert answers() == [503, 503]
        migrate(url, "0003")
        assert answers() == [503, 503]
        migrate(url)
        assert answers() == [200, 401]
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute("ALTER TABLE members RENAME COLUMN password_hash TO password_hash_gone")
            assert (
                client.post("/auth/login", json={"shop": "a1", "email": "a@b.example", "password": "x"}).status_code
                == 503
            )
            assert answers() == [503, 503]
            owner.execute("ALTER TABLE members RENAME COLUMN password_hash_gone TO password_hash")
            assert answers() == [200, 401]
            owner.execute(f"REVOKE SELECT ON orders FROM {RUNTIME}")  # noqa: S608
            assert answers()[0] == 503
        assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("role", ["postgres", OWNER])
def test_a_role_that_may_too_much_ends_the_start(postgres, migrated, monkeypatch, role):
    for name, value in environment(postgres.url(role, migrated)).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match="DATABASE_URL"), TestClient(create_app(load_settings())):
        pass


def test_a_database_that_cannot_be_reached_ends_the_start(postgres, tmp_path, monkeypatch):
    for name, value in environment(f"postgresql://x@/x?host={tmp_path}").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OperationalError), TestClient(create_app(load_settings())):
        pass


def test_the_worker_ends_on_sigterm(postgres, migrated):
    told = environment(postgres.url(RUNTIME, migrated)) | {"PATH": os.environ["PATH"]}
    worker = run("-m", "plainshop.worker", env=told)
    started = threading.Event()

    def listen():
        for line in worker.stderr:
            if "started" in line:
                started.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert started.wait(60)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    listener.join()
    worker.stderr.close()


def test_nothing_reads_a_dotenv_file():
    assert not [path for path in Path(ROOT, "plainshop").rglob("*.py") if "env_file" in path.read_text()]
