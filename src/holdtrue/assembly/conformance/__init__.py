"""What every module must be able to do, whoever wrote it. One line in a module's tests::

    test_conformance = conformance(Notes())

``needs`` are the modules that it requires; what nobody fills is filled by ``holdtrue.assembly.testing.Doors``.
"""

from holdtrue.assembly.conformance.subject import Subject
from holdtrue.assembly.conformance.suite import CHAPTERS, conformance

__all__ = ["CHAPTERS", "Subject", "conformance"]
