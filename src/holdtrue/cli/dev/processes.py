"""The app's processes in a development run: started again when a file changed, shown on the terminal, ended with us."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from holdtrue.contract.document import Process
from holdtrue.stage.process import AppProcess, StartError, run

PAUSE = 0.4
"""Seconds between two looks at the files and the logs."""
PATIENCE = 60.0
_LEFT_OUT = frozenset(
    {".holdtrue", ".venv", "venv", "node_modules", ".git", "__pycache__", ".mypy_cache", ".ruff_cache"}
)
Tell = Callable[[str], None]


@dataclass(kw_only=True)
class Crew:
    """The web process and the worker of one app."""

    directory: Path
    python: str
    process: Process
    """The document's; the placeholders of its commands are filled by ``command``."""
    command: Callable[[str], list[str]]
    env: Mapping[str, str]
    migrate_env: Mapping[str, str]
    port: int
    logs: Path
    tell: Tell
    running: list[AppProcess] = field(default_factory=list)
    _shown: dict[Path, int] = field(default_factory=dict)

    async def migrate(self) -> bool:
        """Bring the schema up to the code; False when that failed, which was told."""
        done = await run(
            self.command(str(self.process.migrate)),
            cwd=self.directory,
            env={**self.env, **self.migrate_env},
            log_path=self.logs / "migrate.log",
            patience=PATIENCE * 5,
            name="migrate",
            sealed=False,
        )
        for line in done.output.strip().splitlines():
            self.tell(f"migrate | {line}")
        return done.returncode == 0

    async def start(self) -> None:
        """Start both. What does not start is told; the next change of a file tries again."""
        web = [self.python, "-m", "uvicorn", str(self.process.asgi), "--host", "127.0.0.1", "--port", str(self.port)]
        commands = {"app": [*web, "--no-access-log"], "worker": self.command(str(self.process.worker))}
        for name, command in commands.items():
            log = self.logs / f"{name}.log"
            made = AppProcess(name, command, cwd=self.directory, env=self.env, log_path=log, sealed=False)
            self._shown[log] = log.stat().st_size if log.exists() else 0
            await made.start()
            self.running.append(made)
        app = self.running[0]
        try:
            await app.ready(self.process.ready, self.port, patience=PATIENCE)
        except StartError:
            self.show()
            self.tell("the app did not start; it is tried again when a file changes")
            return
        self.show()
        self.tell(f"the app answers at http://127.0.0.1:{self.port}")

    async def stop(self) -> None:
        """End both, the one that takes requests first."""
        for each in self.running:
            await each.stop(patience=10)
        self.show()
        self.running.clear()

    def show(self) -> None:
        """Print what they wrote since the last look."""
        for log, start in self._shown.items():
            with log.open("rb") as file:
                file.seek(start)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._shown[log] = start + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                self.tell(f"{log.stem} | {line}")

    async def attend(self) -> None:
        """Show logs, and start again what is concerned when files change. Ends by cancellation."""
        known = snapshot(self.directory)
        told: set[AppProcess] = set()
        while True:
            await asyncio.sleep(PAUSE)
            self.show()
            for each in self.running:
                if not each.alive and each not in told:
                    told.add(each)
                    self.tell(f"the {each.name} ended with code {each.returncode}; it starts when a file changes")
            now = snapshot(self.directory)
            if now == known:
                continue
            changed = sorted(str(path) for path in now.keys() | known.keys() if now.get(path) != known.get(path))
            known = now
            self.tell(f"changed: {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''}")
            await self.stop()
            if not any("migrations" in Path(path).parts for path in changed) or await self.migrate():
                await self.start()


def snapshot(directory: Path) -> dict[Path, tuple[int, int]]:
    """When each file of code was changed, and its size."""
    found: dict[Path, tuple[int, int]] = {}
    for root, folders, files in os.walk(directory):
        folders[:] = [each for each in folders if each not in _LEFT_OUT]
        for name in files:
            if name.endswith((".py", ".sql", ".html", ".toml", ".env")):
                path = Path(root, name)
                try:
                    stat = path.stat()
                except FileNotFoundError:  # between the listing and the look
                    continue
                found[path.relative_to(directory)] = (stat.st_mtime_ns, stat.st_size)
    return found
