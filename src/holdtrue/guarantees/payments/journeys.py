"""The purchases of a document."""

from __future__ import annotations

from holdtrue.contract.document import Document


def journeys(document: Document) -> list[tuple[str, str]]:
    """(webhook, journey) of every purchase the document tells."""
    return [(name, journey) for name, webhook in document.webhooks.items() for journey in webhook.journeys]
