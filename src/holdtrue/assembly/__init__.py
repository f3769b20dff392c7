"""Modules and an app become one ASGI app, one worker, one line of migrations, and one contract document."""

from holdtrue.contract import imports

with imports.uncollected():
    from holdtrue.assembly.compose import Assembly, compose

__all__ = ["Assembly", "compose"]
