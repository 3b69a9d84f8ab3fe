"""Real agents that are interrupted: nothing of them is left, whatever they were doing."""

import signal

import pytest
from live import AGENTS, WRITE, live_site

from aura_contracts.execution import CallMade, CallStarted
from scripted_model import READERS

pytestmark = pytest.mark.real_agents

SLOW = {"text": "This is a very slow answer. " * 40, "chunks": 200, "chunk_delay": 0.5}
SLEEP = {"shell": "echo started > started.txt; sleep 300"}


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_in_the_middle_of_an_answer(installed, agent, tmp_path):
    with live_site(tmp_path, agent, [{"steps": [WRITE, SLOW]}]) as site:
        process = site.run()
        site.hears(lambda: answers_slowly(site))
        process.send_signal(signal.SIGINT)
        assert site.end(process) == 130, site.said
        check(site)
        assert worktree(site).joinpath("hello.txt").read_text() == "hello\n", "its work is where it was"
        assert len(site.story().entries(CallMade)) == 1


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_in_the_middle_of_a_tool(installed, agent, tmp_path):
    with live_site(tmp_path, agent, [{"steps": [SLEEP, {"text": "never"}]}]) as site:
        process = site.run()
        site.hears(lambda: worktree(site) and worktree(site).joinpath("started.txt").exists())
        site.hears(lambda: site.sleeping("sleep 300"))
        site.hears(lambda: site.story().entries(CallStarted))
        process.send_signal(signal.SIGINT)
        assert site.end(process) == 130, site.said
        check(site)
        assert site.sleeping("sleep 300") == []
        assert "never" not in site.story().said


def answers_slowly(site):
    """Whether the model was asked again after the tool was used."""
    reading = [reader(request["body"]) for request in site.url.requests for reader in READERS.values()]
    return any(rounds and tools for _, rounds, tools in reading)


def check(site):
    story = site.story()
    assert sorted(story.ends) == ["execution.cancelled", "task.cancelled"], site.said
    assert len(story.sessions) == 1
    assert len(story.entries(CallStarted)) == 1
    assert len(story.of("execution.process_started")) == len(story.of("output.closed")) == 1


def worktree(site):
    """Return where the agent works; None before that is made."""
    return next(iter((site.root / "home" / "workspaces").glob("*/app")), None)
