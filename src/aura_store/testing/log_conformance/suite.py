"""The whole suite: each subject is a module with one class, all of which this one inherits."""

from aura_store.testing.log_conformance.appends import AppendConformance
from aura_store.testing.log_conformance.endings import EndingConformance
from aura_store.testing.log_conformance.reads import ReadConformance
from aura_store.testing.log_conformance.refusals import RefusalConformance


class EventLogConformance(ReadConformance, AppendConformance, EndingConformance, RefusalConformance):
    """Subclass it and override the fixture `open_log`; see the docstring of this package."""
