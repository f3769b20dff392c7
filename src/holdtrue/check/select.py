"""Chooses guarantees by code and place."""

from __future__ import annotations

from difflib import get_close_matches

from holdtrue.contract.errors import UsageError
from holdtrue.contract.words import Place
from holdtrue.guarantees import ALL
from holdtrue.guarantees.base import Guarantee


def select(only: tuple[str, ...], places: tuple[str, ...], *, rules: bool = False) -> list[Guarantee]:
    """Return the guarantees with one of the codes and in one of the places; no code or place means all.

    With ``rules``, those that source and document may decide.

    Raises:
        UsageError: a code or place does not exist, or no rule is left.
    """
    codes = [guarantee.code for guarantee in ALL]
    for code in only:
        if code.upper() not in codes:
            close = get_close_matches(code.upper(), codes, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"there is no guarantee {code!r}", do=f"{hint}`holdtrue explain --list` names them all.")
    for place in places:
        if place not in list(Place):
            raise UsageError(f"there is no place {place!r}", do=f"The places are {', '.join(Place)}.")
    wanted = {code.upper() for code in only}
    chosen = [
        guarantee
        for guarantee in ALL
        if (not wanted or guarantee.code in wanted) and (not places or guarantee.place in places)
    ]
    if not rules:
        return chosen
    if not (ruled := [guarantee for guarantee in chosen if guarantee.inspect is not None]):
        have = ", ".join(guarantee.code for guarantee in ALL if guarantee.inspect is not None)
        raise UsageError("none of the chosen guarantees has a rule", do=f"Leave out --rules, or choose of {have}.")
    return ruled
