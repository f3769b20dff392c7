"""Who acts in a rehearsal, and what each of them knows."""

from holdtrue.contract.document import App, Document, Principal, Process
from holdtrue.stage.cast import Cast, Who


def cast() -> Cast:
    document = Document(
        app=App(name="x"),
        process=Process(start="x"),
        permissions={"read": "see", "write": "change"},
        principals={
            "root": Principal(per="app", permissions=["*"]),
            "owner": Principal(permissions=["*"]),
            "viewer": Principal(permissions=["read"]),
        },
    )
    return Cast(document, seed=7)


def test_there_is_one_of_each_in_both_tenants_and_one_of_the_whole_app() -> None:
    names = [str(who) for who in cast().members()]
    assert names == ["owner@a", "viewer@a", "owner@b", "viewer@b", "root"]


def test_a_permission_is_held_by_name_by_star_and_by_being_signed_in() -> None:
    people = cast()
    viewer = Who("viewer", "a")
    assert people.holds(viewer, "read")
    assert not people.holds(viewer, "write")
    assert people.holds(viewer, "signed_in")
    assert people.holds(Who("root", None), "write")


def test_what_a_principal_captures_is_its_own_and_the_tenant_keeps_the_first() -> None:
    people = cast()
    people.learn(Who("owner", "a"), "a", {"access_token": "one", "shop_id": 1})
    people.learn(Who("viewer", "a"), "a", {"access_token": "two"})
    assert people.view(Who("viewer", "a"), "a")["access_token"] == "two"
    assert people.view(Who("viewer", "a"), "a")["shop_id"] == 1
    assert people.view(None, "a")["access_token"] == "one"
    assert "access_token" not in people.view(Who("owner", "b"), "b")


def test_a_name_with_a_tenant_is_taken_literally() -> None:
    people = cast()
    assert people.who("owner", "b") == Who("owner", "b")
    assert people.who("owner@a", "b") == Who("owner", "a")
    assert people.who("root", "b") == Who("root", None)


def test_the_scene_gives_every_case_the_same_labels() -> None:
    people = cast()
    scene = people.knowledge.copy()
    first = [people.unique(), people.unique()]
    people.knowledge = scene.copy()
    assert [people.unique(), people.unique()] == first


def test_canaries_differ_by_tenant_and_come_again_with_the_seed() -> None:
    assert cast().canary("a") != cast().canary("b")
    assert cast().canary("a") == cast().canary("a")
