"""Every file that could run is in the digest, and nothing that is made from them."""

from __future__ import annotations

from gate.releases import World, refused

from holdtrue.gate.files import digests


def test_every_file_counts_but_settings_caches_and_the_gates_own_papers(world: World) -> None:
    before = digests(world.app)
    for name in (
        ".env",
        ".env.local",
        ".git/config",
        ".holdtrue/runs/1/report.json",
        "pkg/__pycache__/a.pyc",
        "node_modules/a/index.js",
        ".venv/pyvenv.cfg",
        ".venv/lib/a.py",
        "holdtrue.plan.json",
        "holdtrue.plan.abc.sig",
        "holdtrue.admission.json",
    ):
        world.write(name, "x")
    assert digests(world.app) == before


def test_code_cannot_hide_where_settings_and_papers_are_left_out(world: World) -> None:
    before = digests(world.app)
    hidden = {".envs/a.py", "pkg/.git/a.py", "pkg/holdtrue.plan.json", "venv/a.py", "holdtrue.plan.py", ".hidden.py"}
    for name in hidden:
        world.write(name, "x")
    assert digests(world.app).keys() - before.keys() == hidden


def test_a_changed_byte_is_seen_and_so_is_a_link_that_shows_elsewhere(world: World) -> None:
    world.write("a.py", "a")
    world.write("b.py", "b")
    (world.app / "link.py").symlink_to("a.py")
    before = digests(world.app)
    world.write("a.py", "c")
    (world.app / "link.py").unlink()
    (world.app / "link.py").symlink_to("b.py")
    after = digests(world.app)
    assert {path for path in after if after[path] != before[path]} == {"a.py", "link.py"}


def test_a_link_to_what_is_not_covered_is_refused(world: World) -> None:
    world.write(".env", "x")
    outside = world.root / "outside.py"
    outside.write_text("x", encoding="utf-8")
    for target in (outside, world.app / ".env", world.app / ".git"):
        (world.app / "link.py").symlink_to(target)
        assert "link.py" in refused("LINK_LEADS_OUT", lambda: digests(world.app))
        (world.app / "link.py").unlink()
