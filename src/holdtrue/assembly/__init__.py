"""Modules and an app become one ASGI app, one worker, one line of migrations, and one contract document."""

import gc

# A third of a start went into looking for garbage among what imports make, where there is none. All of it stays, so it
# is frozen: no later collection, in the middle of a request, looks at it again (gc.freeze in Python's documentation).
_collects = gc.isenabled()
gc.disable()

from holdtrue.assembly.compose import Assembly, compose  # noqa: E402

gc.freeze()
if _collects:
    gc.enable()

__all__ = ["Assembly", "compose"]
