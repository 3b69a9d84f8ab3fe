"""A human writes to a real agent in the middle of its turn: it hears it then, once, whoever is killed meanwhile."""

import json

import pytest
from live import DONE, kill, live_site, worktree
from roster import CLAUDE

from aura_contracts.execution import EntryNotUnderstood, FollowUpRequested, HumanMessageTaken, SessionRecorded

pytestmark = pytest.mark.real_agents

WAITS = {"shell": "touch began; while [ ! -e go ]; do sleep 0.1; done; rm began go; touch done.txt"}
TEXT = "make it blue"


@pytest.fixture
def site(installed, agent, tmp_path):
    turns = [{"match": "a human wrote to you", "steps": [{"text": "never"}]}, {"steps": [WAITS, DONE]}]
    with live_site(tmp_path, agent, turns) as made:
        yield made


def requests_with(site, text):
    """Return how often the model was asked with this text in the conversation."""
    return sum(text in json.dumps(request["body"]) for request in site.url.requests)


@pytest.mark.parametrize("agent", [CLAUDE], ids=str)
@pytest.mark.parametrize("killed", ["", "aura"])
def test_it_hears_a_message_in_its_turn(agent, site, killed):
    process = site.run()
    site.hears(lambda: (place := worktree(site)) and (place / "began").exists())
    site.hears(lambda: site.story().entries(SessionRecorded))
    task = site.story().of("task.created")[0].task_id
    assert "has it, in the middle of its turn" in site.aura("task", "tell", task, TEXT)
    asked = len(site.url.requests)
    if killed:
        kill(site, process, killed)
        process = site.run()
        site.hears(lambda: len(site.story().of("lease.granted")) > 1)
    (worktree(site) / "go").touch()
    assert site.end(process) == 0, site.said
    story = site.story()
    assert requests_with(site, TEXT) == len(site.url.requests) - asked == 1, "with the result of the call"
    assert [event.entry.answered for event in story.entries(HumanMessageTaken)] == [False, True]
    assert not story.entries(FollowUpRequested)
    assert not story.entries(EntryNotUnderstood)
    assert story.said == [DONE["text"]]
    assert story.ends[-2:] == ["execution.completed", "task.completed"]
