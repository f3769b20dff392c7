"""The report as one page of HTML, whole in itself: no script, no other file, no network."""

from holdtrue.check.writers.html.page import dumps

__all__ = ["dumps"]
