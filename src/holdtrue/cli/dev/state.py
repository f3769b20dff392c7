"""What a development run keeps for the next one, below ``.holdtrue/dev``: keys, and what Stripe's double remembers."""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from holdtrue.contract.errors import UsageError
from holdtrue.stage.payments import StripeDouble
from holdtrue.stage.payments.world import WorldState

_WORLD = TypeAdapter(WorldState)


class Kept:
    """The directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    @contextmanager
    def of(cls, app: Path) -> Iterator[Kept]:
        """That of an app, for one run at a time.

        Raises:
            UsageError: another run is using it.
        """
        directory = app / ".holdtrue" / "dev"
        directory.mkdir(parents=True, exist_ok=True)
        (directory.parent / ".gitignore").write_text("*\n")
        with (directory / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    "`holdtrue dev` runs already in this directory",
                    where=str(app),
                    why="Two of them would share one database.",
                    do="End the other one, or use it.",
                ) from None
            yield cls(directory)

    @property
    def logs(self) -> Path:
        """Where processes write."""
        return self.directory / "logs"

    def root(self) -> bytes:
        """What this app's development secrets derive from: sessions stay valid from one run to the next."""
        file = self.directory / "secret"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_bytes(secrets.token_bytes(32))
        return file.read_bytes()

    def restore(self, double: StripeDouble) -> str:
        """Give the double back what it knew; returns what to tell when that cannot be read."""
        file = self.directory / "stripe.json"
        if not file.exists():
            return ""
        try:
            double.world.restore(_WORLD.validate_json(file.read_bytes()))
        except ValidationError:
            file.rename(file.with_suffix(".unreadable"))
            return "what the Stripe double kept is of another version; it begins anew, and knows no customer of before"
        return ""

    def save(self, double: StripeDouble) -> None:
        """Keep what the double knows, whole or not at all."""
        new = self.directory / "stripe.json.new"
        new.write_bytes(_WORLD.dump_json(double.world.snapshot()))
        new.replace(self.directory / "stripe.json")
