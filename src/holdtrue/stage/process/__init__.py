"""The process instrument: the app as it is, started as processes of its own, where it can reach nobody.

In the order in which a stage uses it: ``refuse_live_secrets`` → ``copy_app`` → ``refuse_live_keys_in_files`` →
``prepare_environment`` → ``base_environment`` | the environment's ``variables`` | what the document declares →
``refuse_remote_addresses`` → ``Redirect.environment`` → ``run`` (migrate, seed), ``start_on_port`` or ``AppProcess`` →
``Redirect.egress``.
"""

from holdtrue.stage.process.copy import AppCopy, LeftOut, copy_app
from holdtrue.stage.process.environment import AppEnvironment, prepare_environment
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
from holdtrue.stage.process.safety import (
    base_environment,
    refuse_live_keys_in_files,
    refuse_live_secrets,
    refuse_remote_addresses,
)

__all__ = [
    "AppCopy",
    "AppEnvironment",
    "AppEnvironmentError",
    "AppProcess",
    "Attempt",
    "CommandTimeoutError",
    "Completed",
    "CopyError",
    "Danger",
    "Egress",
    "Guarded",
    "LeftOut",
    "PortInUseError",
    "ProcessError",
    "Redirect",
    "StartError",
    "UnsafeToStartError",
    "base_environment",
    "copy_app",
    "free_port",
    "prepare_environment",
    "refuse_live_keys_in_files",
    "refuse_live_secrets",
    "refuse_remote_addresses",
    "run",
    "start_on_port",
]
