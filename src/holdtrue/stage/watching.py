"""What came of something that was done on a stage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from holdtrue.stage.database import difference
from holdtrue.stage.scene import Seen
from holdtrue.stage.wire import facts_of

if TYPE_CHECKING:
    from holdtrue.stage.stage import Stage


@asynccontextmanager
async def watching(stage: Stage, *, rest: bool) -> AsyncIterator[Seen]:
    """Watch what is done inside; with ``rest``, and what the app does behind its answers."""
    seen = Seen()
    before = await stage.rows()
    calls, mails = len(stage.payments.calls), len(stage.mail.mails)
    with stage.wire.record() as recording:
        yield seen
        if rest:
            await stage.rest()
    seen.statements = [item for item in recording.statements if not stage.quiet.is_background(item)]
    seen.calls = stage.payments.calls[calls:]
    seen.mails = stage.mail.mails[mails:]
    if seen.mails:
        ago = (datetime.now(UTC) - seen.mails[0].at).total_seconds()
        seen.mailed = asyncio.get_running_loop().time() - ago
    seen.rows = difference(before, await stage.rows(), stage.scene.catalog)
    stage.player.evidence.add(
        "effects",
        rows=seen.rows.describe(),
        facts={process: asdict(facts) for process, facts in facts_of(seen.statements).items()},
    )
