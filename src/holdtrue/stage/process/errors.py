"""What can go wrong before, while and after the app's processes run. Every message ends with what to do."""

from dataclasses import dataclass

from holdtrue.contract.errors import HoldtrueError


class ProcessError(HoldtrueError):
    """Base of this instrument's errors; ``code`` is stable and machine-readable."""

    code = "process-error"


class CopyError(ProcessError):
    """The app's directory cannot be copied as it is (too large, missing, or the scratch lies inside it)."""

    code = "copy-refused"


class AppEnvironmentError(ProcessError):
    """The app's interpreter or its dependencies could not be made ready."""

    code = "environment-failed"


class StartError(ProcessError):
    """The app could not be started, died before it was ready, or was not ready in time."""

    code = "start-failed"


class PortInUseError(StartError):
    """The port that the app was told to listen on belongs to somebody else."""

    code = "port-in-use"


class CommandTimeoutError(ProcessError):
    """A one-shot command (migrate, seed) did not end within its patience; it was killed."""

    code = "command-timed-out"


@dataclass(frozen=True, kw_only=True)
class Danger:
    """One reason not to start. ``where`` names a variable or ``file:line``; no field ever holds the value itself."""

    what: str
    where: str
    do: str


class UnsafeToStartError(ProcessError):
    """Something in sight could let a rehearsal touch real money, real mail or real data. Nothing was started."""

    code = "unsafe-to-start"
    exit_code = 2

    def __init__(self, dangers: tuple[Danger, ...]) -> None:
        self.dangers = dangers
        lines = "\n".join(f"    {danger.where}: {danger.what}\n      {danger.do}" for danger in dangers)
        count = "one danger" if len(dangers) == 1 else f"{len(dangers)} dangers"
        super().__init__(
            f"The app was not started: {count} in sight.\n{lines}",
            why="A rehearsal kills, repeats and forges; it must never reach a live account, mailbox or database.",
        )
