"""Real agents whose model fails them: why is told from the evidence, and the exit code of ``aura run`` says that."""

import pytest
from live import AGENTS, WRITE, live_site

from aura_contracts.execution import AgentErrorReported, AgentFinished, CallMade, CallStarted, EntryNotUnderstood
from aura_contracts.failures import FailureReason
from repositories import content

pytestmark = pytest.mark.real_agents

FAILURES = {
    401: FailureReason.AUTHENTICATION,
    429: FailureReason.RATE_LIMITED,
    500: FailureReason.AGENT_ERROR,
}


@pytest.mark.parametrize("status", FAILURES)
@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_a_service_that_turns_it_down_is_the_reason(installed, agent, status, tmp_path):
    turns = [{"steps": [{"status": status, "error": f"scripted failure {status}"}]}]
    with live_site(tmp_path, agent, turns) as site:
        assert site.end(site.run()) == failed(site), site.said
        story = site.story()
    assert story.failure.reason is FAILURES[status], story.failure
    assert story.failure.message in site.said
    check_failed(story)


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_work_that_fails_half_way_is_a_failure_and_is_kept(installed, agent, tmp_path):
    with live_site(tmp_path, agent, [{"steps": [WRITE, {"status": 500, "error": "half way"}]}]) as site:
        assert site.end(site.run()) == failed(site), site.said
        story = site.story()
        (prepared,) = story.of("workspace.prepared")
        assert (site.root / prepared.worktrees[0].path / "hello.txt").read_text() == "hello\n"
    assert story.failure.reason is FailureReason.AGENT_ERROR
    assert len(story.sessions) == len(story.entries(CallStarted)) == len(story.entries(CallMade)) == 1
    assert not (site.repository / "hello.txt").exists()
    check_failed(story)


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_an_answer_that_is_cut(installed, agent, tmp_path):
    with live_site(tmp_path, agent, [{"steps": [{"text": "half an answer that is cut", "drop": True}]}]) as site:
        code = site.end(site.run())
        story = site.story()
        if agent.cut is None:
            assert code == 0, site.said
            assert story.ends == ["execution.completed", "task.completed"]
        else:
            assert code == failed(site), site.said
            assert story.failure.reason is agent.cut, story.failure
            check_failed(story)
    assert content(site.repository, "main", "README") == "hello"


def failed(site):
    """Return the exit code that a run should have: that of its agent, if it has one that says failure."""
    (exited,) = site.story().of("execution.process_exited")
    exit = exited.exit
    return exit.exit_code or (128 + exit.signal if exit.signal else 1)


def check_failed(story):
    assert story.ends == ["execution.failed", "task.failed"]
    assert story.failure.message
    assert story.failure.stage == "CodingInitial"
    assert [event for event in (*story.entries(AgentErrorReported), *story.entries(AgentFinished)) if event.error]
    assert story.entries(EntryNotUnderstood) == []
