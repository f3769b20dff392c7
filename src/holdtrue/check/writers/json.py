"""The report as JSON: the published schema (``holdtrue schema report``)."""

from __future__ import annotations

from holdtrue.contract.report import Report


def dumps(report: Report) -> str:
    """Return the report as JSON text that ends in a newline."""
    return report.model_dump_json(by_alias=True, indent=1) + "\n"
