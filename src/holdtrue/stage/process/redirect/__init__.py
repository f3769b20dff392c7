"""Redirection of provider SDKs in unmodified apps, and the guard that lets nothing else out.

The hooks run inside the app's processes (``python/sitecustomize.py``, ``node/preload.cjs``); this is the stage's side.
"""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from holdtrue.stage.process.redirect.egress import Attempt, Egress, Guarded

__all__ = ["Attempt", "Egress", "Guarded", "Redirect"]

_HOOKS = Path(__file__).parent


class Redirect:
    """The hooks, laid out in ``directory``, and the environment that puts them into every process of the app.

    ``routes`` maps ``host:port`` (or ``*.domain:port``) to the double's port on loopback. ``ca`` is the PEM of the
    authority that signed the doubles' certificates. ``root`` is the app's copy: what is recorded names files below it.
    What is refused is found in ``egress``; the keys that a Python app was seen to sign its tokens with, in ``keys``.

    Raises:
        ValueError: a route without a port.
    """

    def __init__(self, directory: Path, *, routes: Mapping[str, int], ca: Path | None, root: Path) -> None:
        for source in routes:
            if not re.fullmatch(r"[^\s/]+:\d+", source):
                raise ValueError(f"a route starts at host:port, such as api.stripe.com:443, not at {source!r}")
        self.directory = directory
        self.routes = {source.lower(): f"127.0.0.1:{port}" for source, port in routes.items()}
        self.ca = ca
        self.root = root.resolve()
        self.egress = Egress(directory / "egress.jsonl")
        self.keys = directory / "keys.jsonl"
        directory.mkdir(parents=True, exist_ok=True)
        # A copy of their own: the app's interpreter, of another version perhaps, caches bytecode beside the hook.
        self._python = directory / "python"
        self._python.mkdir(exist_ok=True)
        self._node = directory / "preload.cjs"
        for hook in (_HOOKS / "python").glob("*.py"):
            shutil.copyfile(hook, self._python / hook.name)
        shutil.copyfile(_HOOKS / "node" / "preload.cjs", self._node)

    def environment(self, declared: Mapping[str, str]) -> dict[str, str]:
        """``declared`` with the hooks added; what the app declares in the same variables is kept behind them."""
        quoted = str(self._node).replace("\\", "\\\\").replace('"', '\\"')
        added = {
            "HOLDTRUE_STAGE_ROUTES": json.dumps(self.routes),
            "HOLDTRUE_STAGE_EGRESS": str(self.egress.path),
            "HOLDTRUE_STAGE_KEYS": str(self.keys),
            "HOLDTRUE_STAGE_ROOT": str(self.root),
            "PYTHONPATH": _joined(":", str(self._python), declared.get("PYTHONPATH")),
            "NODE_OPTIONS": _joined(" ", f'--require="{quoted}"', declared.get("NODE_OPTIONS")),
        }
        if self.ca is not None:
            added |= {"HOLDTRUE_STAGE_CA": str(self.ca), "NODE_EXTRA_CA_CERTS": str(self.ca)}
        return {**declared, **added}


def _joined(separator: str, first: str, second: str | None) -> str:
    return f"{first}{separator}{second}" if second else first
