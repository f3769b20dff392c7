"""Whether an app's own code asks the provider anything, so that a job of it might find what no event told.

Such a job may hang on the wall clock, which a rehearsal cannot move: where there is one that did not run, nothing is
proved. An app whose code makes payments and reads nothing back has none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from holdtrue.stage.process.copy import LEFT_OUT
from holdtrue.stage.survey.sources import LARGEST

_CODE = (".py", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".rb", ".php", ".go", ".java", ".kt", ".cs", ".ex", ".rs")
_TESTS = ("test", "tests", "spec", "specs", "__tests__")
_OBJECTS = r"(?:sessions?|payment_?intents?|events?|charges?|subscriptions?|invoices?|balance_?transactions?|refunds?)"
_MAKES = re.compile(rf"(?i)\b{_OBJECTS}(?:\.|::|->|\(\)\.)create")
_READS = re.compile(
    rf"(?i){_OBJECTS}(?:\.|::|->|\(\)\.)(?:retrieve|list|search)(?:_?async)?\(|auto_?paging|/v1/{_OBJECTS}|raw_?request"
)
"""How official SDKs read, in any language, and addresses of the API for who uses none."""


def never_asks(directory: Path) -> bool:
    """Whether the app's own code makes payments, and nowhere reads what became of them."""
    texts = list(_texts(directory))
    return any(_MAKES.search(text) for text in texts) and not any(_READS.search(text) for text in texts)


def _texts(directory: Path) -> Iterator[str]:
    for root, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name not in _TESTS and not _left_out(name)]
        for name in files:
            file = Path(root, name)
            if name.endswith(_CODE) and file.stat().st_size <= LARGEST:
                yield file.read_text(errors="replace")


def _left_out(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)
