"""Entering a tenant, the outbox, the inbox, schedules, and the queue that wakes the worker."""

from importlib.resources import files

from holdtrue.runtime.revisions import (
    SEARCH_PATH,
    app_roles,
    definer_function,
    drop_function,
    execute,
    grant,
    isolate,
    worker_role,
)

revision = "runtime_0001"
down_revision = None
branch_labels = ("runtime",)
depends_on = None

NO_TENANT = "'00000000-0000-0000-0000-000000000000'::uuid"
WORK = """
    id uuid NOT NULL,
    job text NOT NULL,
    key text,
    lane text NOT NULL,
    payload jsonb NOT NULL,
    origin jsonb NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'unknown', 'dead')),
    attempts bigint NOT NULL DEFAULT 0,
    due_at timestamptz DEFAULT now(),
    lease_until timestamptz,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    CHECK ((state = 'running') = (lease_until IS NOT NULL))"""
UNDONE = "state IN ('queued', 'running', 'unknown')"


def upgrade() -> None:
    entering()
    execute((files("holdtrue.runtime.migrations") / "sql" / "procrastinate_3_10.sql").read_text(encoding="utf-8"))
    execute(f"""
        CREATE TABLE holdtrue_outbox (
            tenant_id uuid NOT NULL DEFAULT COALESCE(current_tenant(), {NO_TENANT}), {WORK},
            PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, job, key))""")
    execute(f"CREATE TABLE holdtrue_inbox ({WORK}, PRIMARY KEY (id), UNIQUE (job, key))")
    execute("CREATE TABLE holdtrue_schedules (name text PRIMARY KEY, slot bigint NOT NULL)")
    isolate("holdtrue_outbox", f"tenant_id = COALESCE((SELECT current_tenant()), {NO_TENANT})", owner_reads=True)
    for table in ("holdtrue_outbox", "holdtrue_inbox", "holdtrue_schedules"):
        grant(table, "SELECT, INSERT, UPDATE")
    waking()
    watching()
    execute(
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON procrastinate_jobs, procrastinate_workers, procrastinate_events, "
        f"procrastinate_periodic_defers TO {worker_role()}"
    )
    execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {worker_role()}")
    for role in app_roles():
        execute(f"GRANT SELECT ON procrastinate_workers, alembic_version TO {role}")


def entering() -> None:
    """The tenant is a setting of the transaction that only ``enter_tenant`` writes, once."""
    execute("""
        CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
        RETURN NULLIF(current_setting('holdtrue.tenant', true), '')::uuid""")
    execute(f"""
        CREATE FUNCTION enter_tenant(wanted uuid) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER {SEARCH_PATH} AS $body$
        DECLARE
            entered text := NULLIF(current_setting('holdtrue.tenant', true), '');
        BEGIN
            IF wanted IS NULL OR wanted = {NO_TENANT} THEN
                RAISE EXCEPTION 'enter_tenant needs a tenant' USING ERRCODE = 'insufficient_privilege';
            ELSIF entered IS NOT NULL AND entered <> wanted::text THEN
                RAISE EXCEPTION 'this transaction is in another tenant' USING ERRCODE = 'insufficient_privilege';
            END IF;
            PERFORM set_config('holdtrue.tenant', wanted::text, true);
            RETURN wanted;
        END $body$""")
    # Where the server lets us, injected SQL cannot write the setting past enter_tenant; managed servers do not let us.
    execute("""
        DO $body$ BEGIN
            IF pg_catalog.has_function_privilege(current_user, 'pg_catalog.set_config(text, text, boolean)',
                                                 'EXECUTE WITH GRANT OPTION') THEN
                REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;
                GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO CURRENT_USER;
            END IF;
        END $body$""")


def waking() -> None:
    """Each row that becomes due defers one job that carries nothing but its id: the truth stays in the row."""
    execute(f"""
        CREATE FUNCTION holdtrue_wake() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {SEARCH_PATH} AS $body$
        DECLARE
            fresh jsonb := to_jsonb(NEW);
        BEGIN
            PERFORM procrastinate_defer_jobs_v1(ARRAY[ROW(
                NEW.lane, 'holdtrue.wake', 0, NULL, NULL,
                jsonb_build_object('box', TG_ARGV[0], 'tenant', fresh -> 'tenant_id', 'id', NEW.id),
                CASE WHEN NEW.due_at > now() THEN NEW.due_at END
            )]::procrastinate_job_to_defer_v1[]);
            RETURN NULL;
        END $body$""")
    for box in ("outbox", "inbox"):
        execute(f"""
            CREATE TRIGGER wake AFTER INSERT OR UPDATE OF due_at ON holdtrue_{box} FOR EACH ROW
            WHEN (NEW.{UNDONE} AND NEW.due_at IS NOT NULL) EXECUTE FUNCTION holdtrue_wake('{box}')""")


def watching() -> None:
    """What looks across tenants: to wake again what was overlooked, and to show what waits for somebody."""
    for box in ("outbox", "inbox"):
        execute(f"CREATE INDEX holdtrue_{box}_undone ON holdtrue_{box} (due_at) WHERE {UNDONE}")
        execute(
            f"CREATE INDEX holdtrue_{box}_letters ON holdtrue_{box} (created_at) WHERE state IN ('unknown', 'dead')"
        )
        execute(f"CREATE INDEX holdtrue_{box}_done ON holdtrue_{box} (done_at) WHERE state = 'done'")
    overlooked = (
        "due_at < now() - grace AND (state IN ('queued', 'unknown') OR (state = 'running' AND lease_until < now()))"
    )
    definer_function(
        "holdtrue_sweep(grace interval, keep interval)",
        "double precision",
        f"""
        UPDATE holdtrue_outbox SET due_at = now() WHERE {overlooked};
        UPDATE holdtrue_inbox SET due_at = now() WHERE {overlooked};
        DELETE FROM holdtrue_outbox WHERE state = 'done' AND done_at < now() - keep;
        DELETE FROM holdtrue_inbox WHERE state = 'done' AND done_at < now() - 6 * keep;
        DELETE FROM procrastinate_jobs j WHERE j.status = 'doing' AND j.worker_id IS NULL;
        SELECT extract(epoch FROM min(lease_until) - now())::double precision FROM (
            SELECT lease_until FROM holdtrue_outbox WHERE state = 'running' AND lease_until > now()
            UNION ALL SELECT lease_until FROM holdtrue_inbox WHERE state = 'running' AND lease_until > now()) AS held;
        """,
        options="VOLATILE",
    )
    columns = "id, job, state, attempts, error, created_at"
    definer_function(
        "holdtrue_letters()",
        "TABLE (box text, tenant_id uuid, id uuid, job text, state text, attempts bigint, error text, "
        "created_at timestamptz)",
        f"""
        SELECT 'outbox', tenant_id, {columns} FROM holdtrue_outbox WHERE state IN ('unknown', 'dead')
        UNION ALL
        SELECT 'inbox', {NO_TENANT}, {columns} FROM holdtrue_inbox WHERE state IN ('unknown', 'dead')
        ORDER BY created_at
        """,
    )
    definer_function(
        "holdtrue_due()",
        "TABLE (box text, tenant_id uuid, id uuid)",
        f"""
        SELECT 'outbox', tenant_id, id FROM holdtrue_outbox WHERE {UNDONE} AND due_at <= now()
        UNION ALL
        SELECT 'inbox', {NO_TENANT}, id FROM holdtrue_inbox WHERE {UNDONE} AND due_at <= now()
        ORDER BY id
        """,
    )


def downgrade() -> None:
    drop_function("holdtrue_sweep(interval, interval)")
    drop_function("holdtrue_letters()")
    drop_function("holdtrue_due()")
    for table in ("holdtrue_outbox", "holdtrue_inbox", "holdtrue_schedules"):
        execute(f"DROP TABLE {table}")
    drop_function("holdtrue_wake()")
    execute("""
        DO $body$ DECLARE each record; BEGIN
            DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs, procrastinate_workers
                CASCADE;
            FOR each IN SELECT oid::regprocedure AS name FROM pg_proc WHERE proname LIKE 'procrastinate\\_%' LOOP
                EXECUTE 'DROP FUNCTION ' || each.name || ' CASCADE';
            END LOOP;
            DROP TYPE procrastinate_job_to_defer_v1, procrastinate_job_status, procrastinate_job_event_type;
            IF pg_catalog.has_function_privilege(current_user, 'pg_catalog.set_config(text, text, boolean)',
                                                 'EXECUTE WITH GRANT OPTION') THEN
                GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO PUBLIC;
            END IF;
        END $body$""")
    drop_function("enter_tenant(uuid)")
    drop_function("current_tenant()")
