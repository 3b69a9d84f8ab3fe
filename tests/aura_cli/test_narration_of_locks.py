"""What people read about a run that waits for its locks."""

from datetime import UTC, datetime

import pytest

from aura_cli.streaming.narration import Narration
from aura_contracts.actors import ENGINE
from aura_contracts.events import EventRecord
from aura_contracts.lock_table import LOCK_TABLE_ID, LocksRequested, TaskLocks
from aura_contracts.task import Priority

NOW = datetime(2026, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(("ahead", "more"), [(1, ""), (3, " and 2 more")])
def test_a_run_that_waits_for_its_locks_names_the_last_task_ahead_of_it(ahead, more):
    """That one may wait itself: who has the locks, the event does not say."""
    request = LocksRequested(
        task_id="mine",
        locks=TaskLocks(names=("deploy",)),
        priority=Priority.MEDIUM,
        since=NOW,
        place=NOW,
        ahead=ahead,
        last_ahead="other",
    )
    record = EventRecord(1, LOCK_TABLE_ID, 1, request, NOW, ENGINE, "", "")
    lines = [f"waits in line behind task other{more}: it needs deploy for itself"]
    assert Narration().narrate(record) == lines
