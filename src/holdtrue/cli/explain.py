"""``holdtrue explain``: a guarantee in the words of its own docstring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from holdtrue.cli.extras import needs_extra
from holdtrue.contract.errors import UsageError
from holdtrue.contract.template import suggestion
from holdtrue.contract.words import Place

if TYPE_CHECKING:
    from holdtrue.guarantees.base import Guarantee


def one(code: str) -> str:
    """Return the explanation of a guarantee.

    Raises:
        UsageError: there is no such guarantee.
    """
    guarantees = _all()
    found = next((guarantee for guarantee in guarantees if guarantee.code == code.upper()), None)
    if found is None:
        hint = suggestion(code, [guarantee.code for guarantee in guarantees])
        raise UsageError(
            f"there is no guarantee `{code}`",
            do=" ".join(filter(None, [hint, "`holdtrue explain --list` names them all."])),
        )
    parts = [f"{found.code}  {found.title}\n{found.place}, {found.severity}\n", f"Promise: {found.promise}\n"]
    parts += [f"{heading}\n{'-' * len(heading)}\n{text}\n" for heading, text in found.sections.items()]
    parts.append(f"Try it: holdtrue check --only {found.code}\n")
    return "\n".join(parts)


def overview() -> str:
    """Return the codes and titles of all guarantees, place by place."""
    guarantees = _all()
    lines = ["A guarantee is named by what must not happen.\n"]
    for place in Place:
        here = sorted((each for each in guarantees if each.place is place), key=lambda each: each.code)
        if here:
            lines.append(f"\n{place}\n")
            lines += [f"  {each.code:<8} {each.severity:<9} {each.title}\n" for each in here]
    lines.append("\nholdtrue explain CODE says more.\n")
    return "".join(lines)


def _all() -> Sequence[Guarantee]:
    with needs_extra("check"):
        from holdtrue.guarantees import ALL
    return ALL
