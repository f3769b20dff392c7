"""The unit of work: what is kept together, what is refused."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from tower.notes import DRAFT, HELLO, INDEX, NOTE_ADDED, SEEN, Draft, Note, NoteAdded, Notes, Provider, add_note

from holdtrue.assembly import compose
from holdtrue.assembly.testing import Doors, Kit, Postgres, running
from holdtrue.contract import Event
from holdtrue.runtime import Credentials, Fault, Principal, UnitOfWork, Work, flow, require_outside

A, B = UUID(int=0xA), UUID(int=0xB)
ADDED = NoteAdded(note_id=UUID(int=1), title="t")


async def titles(kit: Kit) -> list[str]:
    return [row["title"] for row in await kit.sql("SELECT title FROM notes ORDER BY id")]


async def test_an_exception_keeps_nothing(kit: Kit) -> None:
    with pytest.raises(ZeroDivisionError):
        async with kit.unit(tenant=A) as unit:
            await add_note(unit, Draft(title="lost"))
            raise ZeroDivisionError
    assert await titles(kit) == []
    assert await kit.sql("SELECT * FROM holdtrue_outbox") == []
    assert await kit.sql("SELECT * FROM doors_audit") == []
    assert await kit.sql("SELECT * FROM procrastinate_jobs") == []


async def test_a_new_row_is_told_of_before_it_is_written_and_what_is_wrong_with_it_keeps_nothing(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        kept = await add_note(unit, Draft(title="kept"))
        assert await titles(kit) == []
    assert [(row["id"], row["created_at"]) for row in await kit.sql("SELECT * FROM notes")] == [
        (kept.id, kept.created_at)
    ]
    for _ in range(2):
        unit = kit.unit(tenant=A)
        with pytest.raises(IntegrityError):
            async with unit:
                await add_note(unit, Draft(title="lost"))
                unit.session.add(Note(id=kept.id, title="twice"))
        assert not unit.in_transaction
    assert await titles(kit) == ["kept"]
    assert len(await kit.sql("SELECT * FROM doors_audit")) == 1


async def test_raw_sql_of_one_tenant_reaches_no_row_of_another(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        unit.session.add(Note(title="of A"))
    async with kit.unit(tenant=B) as unit:
        assert (await unit.session.execute(text("SELECT count(*) FROM notes"))).scalar() == 0
        changed = await unit.session.connection()
        assert (await changed.execute(text("UPDATE notes SET title = 'of B'"))).rowcount == 0
        assert (await changed.execute(text("DELETE FROM notes"))).rowcount == 0
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with kit.unit(tenant=B) as unit:
            values = {"tenant": A, "id": UUID(int=9)}
            await unit.session.execute(
                text("INSERT INTO notes (tenant_id, id, title) VALUES (:tenant, :id, 'x')"), values
            )
    assert await titles(kit) == ["of A"]


async def test_without_a_tenant_no_row_of_any_is_seen_or_written(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        unit.session.add(Note(title="of A"))
    async with kit.unit() as unit:
        assert (await unit.session.execute(text("SELECT count(*) FROM notes"))).scalar() == 0
    with pytest.raises(Fault, match="NO_TENANT"):
        async with kit.unit() as unit:
            unit.session.add(Note(title="of nobody"))
            await unit.session.flush()


async def test_a_tenant_is_entered_once_in_a_transaction_even_by_sql(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        with pytest.raises(Fault, match="TENANT_ALREADY_ENTERED"):
            await unit.enter(B)
    with pytest.raises(DBAPIError, match="another tenant"):
        async with kit.unit(tenant=A) as unit:
            await unit.session.execute(text("SELECT enter_tenant(:tenant)"), {"tenant": B})


async def test_injected_sql_cannot_set_the_tenant(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        unit.session.add(Note(title="of A"))
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with kit.unit(tenant=B) as unit:
            await unit.session.execute(text(f"SELECT set_config('holdtrue.tenant', '{A}', true)"))
    async with kit.unit(tenant=A) as unit:
        assert (await unit.session.execute(text("SELECT count(*) FROM notes"))).scalar() == 1


async def test_a_unit_goes_on_in_its_tenant_after_a_commit(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        unit.session.add(Note(title="before"))
        async with unit.outside("search"):
            assert await titles(kit) == ["before"]
            require_outside("search")
        unit.session.add(Note(title="after"))
    assert await titles(kit) == ["before", "after"]


async def test_a_provider_is_not_called_while_a_transaction_is_open(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        await kit.port(Provider).search.index("key", "before any statement")
        await unit.session.execute(text("SELECT 1"))
        with pytest.raises(Fault, match="PROVIDER_CALL_IN_TRANSACTION"):
            await kit.port(Provider).search.index("key", "inside")
    await kit.port(Provider).search.index("key", "outside")
    assert [title for _, title in kit.port(Provider).search.calls] == ["before any statement", "outside"]


async def test_a_statement_inside_outside_is_refused(kit: Kit) -> None:
    with pytest.raises(Fault, match="PROVIDER_CALL_IN_TRANSACTION"):
        async with kit.unit(tenant=A) as unit, unit.outside("search"):
            await unit.session.execute(text("SELECT 1"))


async def test_a_second_unit_inside_the_first_is_refused(kit: Kit) -> None:
    async with kit.unit(tenant=A):
        with pytest.raises(Fault, match="UNIT_INSIDE_UNIT"):
            async with kit.unit(tenant=A):
                pass
    async with kit.unit(tenant=A):
        pass


async def test_a_flow_that_ends_without_its_event_keeps_nothing(kit: Kit) -> None:
    @flow(emits=(NOTE_ADDED,))
    async def forgetful(unit: UnitOfWork) -> None:
        unit.session.add(Note(title="silent"))

    with pytest.raises(Fault, match=r"EVENT_NOT_EMITTED.*notes\.note_added"):
        async with kit.unit(tenant=A) as unit:
            await forgetful(unit)
    assert await titles(kit) == []


async def test_a_flow_may_end_without_an_event_that_is_not_required(kit: Kit) -> None:
    maybe = Event(name="notes.maybe_happened", payload=NoteAdded, required=False)

    @flow(emits=(maybe,))
    async def quiet(unit: UnitOfWork) -> None:
        unit.session.add(Note(title="kept"))

    async with kit.unit(tenant=A) as unit:
        await quiet(unit)
    assert await titles(kit) == ["kept"]


async def test_an_inner_flow_counts_for_the_outer_one(kit: Kit) -> None:
    @flow(emits=(NOTE_ADDED,))
    async def outer(unit: UnitOfWork) -> None:
        await add_note(unit, Draft(title="inner"))

    async with kit.unit(tenant=A) as unit:
        await outer(unit)
    assert await titles(kit) == ["inner"]


async def test_what_no_contract_or_flow_declares_cannot_be_emitted(kit: Kit) -> None:
    stranger = Event(name="notes.stranger_came", payload=NoteAdded)

    @flow()
    async def undeclared(unit: UnitOfWork) -> None:
        await unit.emit(NOTE_ADDED, ADDED)

    async with kit.unit(tenant=A) as unit:
        with pytest.raises(Fault, match="EVENT_UNKNOWN"):
            await unit.emit(stranger, ADDED)
        with pytest.raises(Fault, match="EVENT_NOT_DECLARED"):
            await undeclared(unit)


async def test_a_wrong_payload_is_refused_everywhere(kit: Kit) -> None:
    wrong: NoteAdded = Draft(title="t")  # type: ignore[assignment]  # what untyped code may do
    async with kit.unit(tenant=A) as unit:
        for attempt in (unit.emit(NOTE_ADDED, wrong), unit.enqueue(INDEX, wrong), unit.observe(SEEN, wrong)):
            with pytest.raises(Fault, match="WRONG_PAYLOAD"):
                await attempt
        with pytest.raises(Fault, match="WRONG_PAYLOAD"):
            await unit.mail(HELLO, to="a@b.test", payload=ADDED)


async def test_transforms_form_a_chain_in_their_order(postgres: Postgres) -> None:
    async def loud(unit: UnitOfWork, payload: Draft) -> Draft:
        return Draft(title=payload.title.upper())

    async def marked(unit: UnitOfWork, payload: Draft) -> Draft:
        return Draft(title=f"{payload.title}x")

    for bindings, expected in (([loud, marked], "Tx"), ([marked, loud], "TX")):
        bound = [DRAFT.bind(each) for each in bindings]
        async with running(compose(Notes(), Doors(), bindings=bound), postgres) as kit, kit.unit(tenant=A) as unit:
            assert (await unit.transform(DRAFT, Draft(title="t"))).title == expected


async def test_consumers_and_observers_each_get_a_row_of_their_own(postgres: Postgres) -> None:
    async def consume(work: Work, payload: NoteAdded) -> None: ...

    async def watch(work: Work, payload: NoteAdded) -> None: ...

    bindings = [NOTE_ADDED.bind(consume), NOTE_ADDED.bind(watch), SEEN.bind(watch)]
    async with running(compose(Notes(), Doors(), bindings=bindings), postgres) as kit:
        async with kit.unit(tenant=A) as unit:
            await add_note(unit, Draft(title="t"))
        jobs = [row["job"] for row in await kit.sql("SELECT job FROM holdtrue_outbox ORDER BY id")]
        assert [job.partition(">")[0] for job in jobs] == ["notes.note_added"] * 2 + ["notes.seen", "notes.index"]
        assert len(set(jobs)) == 4


async def test_work_with_a_key_is_owed_once(kit: Kit) -> None:
    for _ in range(2):
        async with kit.unit(tenant=A) as unit:
            await unit.enqueue(INDEX, ADDED, key="once")
            await unit.enqueue(INDEX, ADDED, key="once")
    async with kit.unit(tenant=B) as unit:
        await unit.enqueue(INDEX, ADDED, key="once")
    rows = await kit.sql("SELECT tenant_id FROM holdtrue_outbox ORDER BY tenant_id")
    assert [row["tenant_id"] for row in rows] == [A, B]


async def test_what_was_owed_before_a_tenant_was_entered_belongs_to_none(kit: Kit) -> None:
    async with kit.unit() as unit:
        await unit.enqueue(INDEX, ADDED, key="before")
        await unit.enter(A)
        await unit.enqueue(INDEX, ADDED, key="after")
    rows = await kit.sql("SELECT key, tenant_id FROM holdtrue_outbox ORDER BY id")
    assert [(row["key"], row["tenant_id"]) for row in rows] == [("before", UUID(int=0)), ("after", A)]


async def test_a_question_that_enters_is_refused_in_another_tenant_and_leaves_what_was_owed_outside(kit: Kit) -> None:
    question = "SELECT CASE WHEN %(tenant)s::uuid IS NOT NULL THEN enter_tenant(%(tenant)s) END AS entered"
    async with kit.unit() as unit:
        await unit.enqueue(INDEX, ADDED, key="before")
        await unit.enter_by(question, {"tenant": None})
        assert unit.context.tenant is None
        await unit.enter_by(question, {"tenant": A})
        assert unit.tenant == A
        await unit.enqueue(INDEX, ADDED, key="after")
        await unit.commit()
        assert (await unit.session.execute(text("SELECT current_tenant()"))).scalar() == A
    rows = await kit.sql("SELECT key, tenant_id FROM holdtrue_outbox ORDER BY id")
    assert [(row["key"], row["tenant_id"]) for row in rows] == [("before", UUID(int=0)), ("after", A)]
    with pytest.raises(DBAPIError, match="in another tenant"):
        async with kit.unit(tenant=B) as unit:
            await unit.enter_by(question, {"tenant": A})


async def test_an_event_of_a_unit_that_enters_its_tenant_later_is_in_that_tenants_log(kit: Kit) -> None:
    async with kit.unit() as unit:
        await unit.emit(NOTE_ADDED, ADDED)
        await unit.enter(A)
    assert [row["tenant_id"] for row in await kit.sql("SELECT tenant_id FROM doors_audit")] == [A]


async def test_what_a_principal_may_do_is_what_it_holds_now_and_its_credential_allows(kit: Kit) -> None:
    headers = {"x-tenant": str(A), "x-permissions": "notes.read notes.write"}
    for allowed, held in (
        (None, {"notes.read", "notes.write"}),
        (frozenset({"notes.read", "other.read"}), {"notes.read"}),
    ):
        async with kit.unit() as unit:
            unit.credentials = Credentials(headers=headers, cookies={}, host="")
            assert await unit.standing(Principal(kind="key", permissions=allowed)) == held
            assert unit.tenant == A
    async with kit.unit() as unit:
        assert await unit.standing(Principal(kind="key")) is None
        assert unit.permissions == {"notes.read", "notes.write"}


async def test_a_mail_is_rendered_with_the_change_that_owes_it(kit: Kit) -> None:
    async with kit.unit(tenant=A) as unit:
        await unit.mail(HELLO, to="ann@a.test", payload=Draft(title="Hi"))
    [mail] = await kit.sql("SELECT * FROM doors_mails")
    assert (mail["template"], mail["recipient"], mail["tenant_id"]) == ("notes.hello", "ann@a.test", A)
