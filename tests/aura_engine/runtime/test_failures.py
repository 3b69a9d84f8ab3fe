"""Failures: what an error means for the run that it ends."""

import pytest

from aura_contracts.errors import (
    ExecutableNotFound,
    FilterMissing,
    InvalidInput,
    RemoteError,
    SessionElsewhere,
    WorkingDirectoryMissing,
    WorkspaceError,
    WorkspaceObstacle,
)
from aura_contracts.failures import FailureReason
from aura_contracts.quoting import ERROR_LIMIT
from aura_engine.runtime.failures import failure_from_error

_PLACE = {"workspace_id": "w", "path": "p", "reason": "r"}


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (ExecutableNotFound(token="t", reason="r", executable="e"), FailureReason.EXECUTABLE_NOT_FOUND, False),
        (SessionElsewhere(session="s", executor="e"), FailureReason.SESSION_LOST, True),
        (InvalidInput(field="f", reason="r"), FailureReason.REFUSED, False),
        (WorkingDirectoryMissing(token="t", reason="r", path="p"), FailureReason.WORKSPACE_ERROR, True),
        (WorkspaceError(**_PLACE), FailureReason.WORKSPACE_ERROR, True),
        (WorkspaceObstacle(**_PLACE), FailureReason.WORKSPACE_ERROR, False),
        (FilterMissing(repository="r", path="p", filter="f", program="x"), FailureReason.WORKSPACE_ERROR, False),
        (RemoteError(remote_code="c", reason="r", details={}), FailureReason.STAGE_ERROR, True),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_only_a_human_can_remove_is_not_retried(error, reason, retryable):
    failure = failure_from_error(error, "coding")
    assert (failure.reason, failure.retryable, failure.stage) == (reason, retryable, "coding")
    assert failure.message == str(error)


def test_a_message_made_of_many_facts_is_bounded():
    error = WorkspaceError(**_PLACE, left_behind=tuple(f"file {number}" for number in range(10_000)))
    assert len(failure_from_error(error).message) <= ERROR_LIMIT + 100
