"""One process takes a composed app's revisions up and down, one for each line it reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tower.deployed import assembly

from holdtrue.assembly.testing import Postgres

TESTS = Path(__file__).parents[1]
TALKATIVE = """
print("what an app says as it is imported", flush=True)
from tower.deployed import assembly
"""


def answers_of(folder: Path, lines: list[str], environ: dict[str, str]) -> list[dict[str, object]]:
    """What it answers to each line."""
    (folder / "talkative.py").write_text(TALKATIVE)
    done = subprocess.run(
        [sys.executable, "-m", "holdtrue.assembly", "migrate", "--steps", "talkative:assembly"],
        input="".join(f"{line}\n" for line in lines),
        env={"PYTHONPATH": str(TESTS)} | environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "what an app says" in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_steps_are_taken_one_by_one_and_named(postgres: Postgres, tmp_path: Path) -> None:
    urls, order = postgres.create(), [each.revision for each in assembly.migrations.order]
    lines = [f'{{"do": "{do}"}}' for do in ("revisions", "down", "up", "up", "down", "up", "sideways")]
    answers = answers_of(
        tmp_path, [*lines, "no json", '{"do": "up"}'], {"DATABASE_OWNER_URL": urls.owner, "DATABASE_URL": urls.app}
    )
    assert answers[0] == {"revisions": order}
    assert [each.get("moved") for each in answers[1:6]] == [None, order[0], order[1], order[1], order[1]]
    assert answers[6] == {"error": "unknown command: 'sideways'"}
    assert str(answers[7]["error"]).startswith("JSONDecodeError")
    assert answers[8] == {"moved": order[2]}, "a line that fails leaves the next one a chance"
    postgres.drop(urls)
