"""Importing a module opens, starts, writes and reads nothing: tried in a fresh interpreter that notes what is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from holdtrue.assembly.conformance.subject import Subject
from holdtrue.assembly.sources import folder_of
from holdtrue.runtime import Fault

_PROBE = Path(__file__).with_name("probe.py")
_INHERITED = ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR")


def importing(subject: Subject) -> Iterator[Fault]:
    """What importing does that it must not do."""
    folder = folder_of(subject.module)
    loaded = [(name, getattr(module, "__file__", None)) for name, module in sys.modules.items()]
    names = sorted(name for name, file in loaded if _is_in(file, folder))
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # Another seed than ours, so that a contract in the order of a set differs from one process to the next.
    seed = {"PYTHONHASHSEED": "4711", "PYTHONDONTWRITEBYTECODE": "1"}
    path = [entry for entry in sys.path if entry]
    done = subprocess.run(
        [sys.executable, str(_PROBE), json.dumps({"folder": str(folder), "names": names, "path": path})],
        env=environment | seed,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        yield Fault(
            "IMPORT_FAILS",
            f"{subject.name} cannot be imported with a bare environment:\n{done.stderr.strip()[-800:]}",
            why="Whoever describes an app has none of its settings.",
            do="Read settings in open(…), never as a module is imported.",
        )
        return
    told = json.loads(done.stdout.splitlines()[-1])
    for effect in told["effects"]:
        yield Fault(
            "IMPORT_HAS_EFFECTS",
            f"importing {subject.name} does this: {effect}",
            why="Describing an app must not change or reach anything.",
            do="Do it in the module's open(…), which a process calls as it starts.",
        )
    yield from _digests(subject, told["digests"])


def _digests(subject: Subject, elsewhere: dict[str, str]) -> Iterator[Fault]:
    for name, digest in elsewhere.items():
        here = sys.modules[name].CONTRACT.digest
        if here != digest:
            yield Fault(
                "DIGEST_UNSTABLE",
                f"{name}.CONTRACT has another digest in another process ({here[:15]}, {digest[:15]})",
                why="Every lock of an app with it would be stale at once.",
                do="Build the contract from tuples and dicts, never in the order of a set.",
            )


def _is_in(file: str | None, folder: Path) -> bool:
    return file is not None and (Path(file).resolve().is_relative_to(folder) or Path(file).resolve() == folder)
