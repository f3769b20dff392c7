"""The process instrument."""

from holdtrue.stage.process.errors import (
    AppEnvironmentError,
    CommandTimeoutError,
    CopyError,
    Danger,
    PortInUseError,
    ProcessError,
    StartError,
    UnsafeToStartError,
)
from holdtrue.stage.process.launch import Completed, run, start_on_port
from holdtrue.stage.process.ports import free_port
from holdtrue.stage.process.redirect import Attempt, Egress, Guarded, Redirect
from holdtrue.stage.process.runner import AppProcess

__all__ = [
    "AppEnvironmentError",
    "AppProcess",
    "Attempt",
    "CommandTimeoutError",
    "Completed",
    "CopyError",
    "Danger",
    "Egress",
    "Guarded",
    "PortInUseError",
    "ProcessError",
    "Redirect",
    "StartError",
    "UnsafeToStartError",
    "free_port",
    "run",
    "start_on_port",
]
