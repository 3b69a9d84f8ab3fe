"""What the real agent writes, and what the adapter understands of it: one table."""

from pathlib import Path

import pytest
from agent import CASES, captured, written_by_agent
from aura_executors import (
    AgentRun,
    Answer,
    Entry,
    ExitCause,
    Failure,
    FailureReason,
    OutputSource,
    PermissionRequested,
    ProcessExit,
    Send,
    SessionStarted,
    Unknown,
    fingerprint_of,
)

from aura_executor_renamer import RenamerExecutor
from aura_executor_renamer.conversation import RenamerConversation

EXECUTOR = RenamerExecutor()
WELL = ProcessExit(token="t", cause=ExitCause.OWN, exit_code=0)

EDIT = ["tool_call", "file_change", "tool_result"]
ASKED = ["tool_call", "permission_request", "file_change", "tool_result"]
DENIED = ["tool_call", "permission_request", "tool_result"]
END = ["message", "usage", "finished"]

EXPECTED: dict[str, tuple[list[str], FailureReason | None, str]] = {
    "freely": (["session_started", *EDIT, *EDIT, *END], None, ""),
    "allowed": (["session_started", *ASKED, *ASKED, *END], None, ""),
    "denied": (["session_started", *DENIED, *ASKED, *END], None, "notes.txt"),
    "nothing_allowed": (["session_started", *DENIED, *DENIED, *END], None, "notes.txt, src/api.py"),
    "undone": (["session_started", *EDIT, *EDIT, *END], None, ""),
    "not_resumed": (["finished"], FailureReason.SESSION_LOST, ""),
    "refused": (["session_started", "finished"], FailureReason.REFUSED, ""),
    "stopped": (["session_started", "tool_call", "permission_request", "finished"], FailureReason.AGENT_ERROR, ""),
}


def conversation_of(name: str) -> RenamerConversation:
    run = AgentRun(prompt=CASES[name].prompt, cwd="/", session_id="s-2" if name == "not_resumed" else None)
    return RenamerConversation(run)


def replayed(name: str, data: bytes | None = None) -> tuple[list[Entry], Failure | None, str]:
    conversation = conversation_of(name)
    said = [*conversation.receive(OutputSource.STDOUT, captured(name) if data is None else data)]
    said += conversation.end(WELL)
    return [one for one in said if isinstance(one, Entry)], conversation.judge(WELL), conversation.blocked


@pytest.mark.parametrize("name", CASES)
def test_the_agent_still_writes_what_was_captured(name: str, tmp_path: Path) -> None:
    assert written_by_agent(CASES[name], tmp_path) == captured(name)


@pytest.mark.parametrize("name", CASES)
def test_a_capture_is_understood(name: str) -> None:
    kinds, reason, blocked = EXPECTED[name]
    entries, failure, told = replayed(name)
    assert [entry.__struct_config__.tag for entry in entries] == kinds
    assert (failure and failure.reason) == reason
    assert told == (blocked and f"it may not change {blocked}")
    assert {one.session_id for one in entries if isinstance(one, SessionStarted)} <= {"s-1"}


@pytest.mark.parametrize("name", CASES)
def test_an_agent_that_is_cut_off_has_failed_although_it_exits_with_0(name: str) -> None:
    _, failure, _ = replayed(name, captured(name).rpartition(b'{"type": "done"')[0])
    assert failure is not None
    assert (failure.reason, failure.exit_code) == (FailureReason.AGENT_ERROR, 0)


def test_a_permission_is_known_again_and_the_answer_gets_to_the_agent() -> None:
    conversation = conversation_of("allowed")
    said = list(conversation.receive(OutputSource.STDOUT, captured("allowed")))
    asked = next(one for one in said if isinstance(one, PermissionRequested))
    assert asked.fingerprint == fingerprint_of("rename", {"new": "load", "old": "fetch", "path": "notes.txt"})
    assert asked.diff is not None
    assert "-fetch: gets" in asked.diff
    assert [*conversation.answer(asked.request_id, Answer(granted=False, feedback="not now"))] == [
        Send(b'{"permission":"p1","allow":false,"reason":"not now"}\n')
    ]
    assert not [*conversation.answer(asked.request_id, Answer(granted=True))], "it was answered"


def test_an_answer_that_comes_before_its_question_is_kept_for_it() -> None:
    conversation = conversation_of("allowed")
    assert not [*conversation.answer("p2", Answer(granted=True))]
    said = list(conversation.receive(OutputSource.STDOUT, captured("allowed")))
    assert [one for one in said if isinstance(one, Send)] == [Send(b'{"permission":"p2","allow":true,"reason":""}\n')]


def test_what_is_new_in_a_later_version_is_kept_and_does_no_harm() -> None:
    strange = b'{"type": "dance", "steps": 3}\n{"type": "text"}\nhello\n'
    entries, failure, _ = replayed("freely", strange + captured("freely"))
    assert [one for one in entries if isinstance(one, Unknown)] == [
        Unknown(text=line.decode()) for line in strange.splitlines()
    ]
    assert failure is None
