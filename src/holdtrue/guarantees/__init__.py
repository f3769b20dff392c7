"""The guarantees: each is one file, named after what must not happen."""

from holdtrue.guarantees.base import Absent, Case, Guarantee, Harm, Untried
from holdtrue.guarantees.catalogue import ALL

__all__ = ["ALL", "Absent", "Case", "Guarantee", "Harm", "Untried"]
