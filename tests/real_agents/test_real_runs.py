"""Real agents do what they are told, and go on where they were."""

import json

import pytest
from live import AGENTS, DONE, FEEDBACK, PROMPT, WRITE, live_site

from aura_contracts.execution import AgentFinished, CallMade, CallStarted, ConversationReplayed, EntryNotUnderstood
from repositories import branches, content, worktrees

pytestmark = pytest.mark.real_agents

MORE = [{"write": {"path": "second.txt", "content": "second\n"}}, {"text": "Done: second.txt too."}]
TURNS = [{"match": "Follow-up", "steps": MORE}, {"steps": [WRITE, DONE]}]


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_it_creates_a_file(installed, agent, tmp_path):
    with live_site(tmp_path, agent, [{"steps": [WRITE, DONE]}]) as site:
        assert site.end(site.run()) == 0, site.said
        story = site.story()
    assert story.ends == ["execution.completed", "task.completed"]
    assert content(site.repository, "main", "hello.txt") == "hello"
    assert (worktrees(site.repository), branches(site.repository)) == ([], {"main"})
    check_entries(story, agent)


def check_entries(story, agent):
    assert len(story.sessions) == 1
    (called,) = story.entries(CallStarted)
    (result,) = story.entries(CallMade)
    assert result.entry.success
    assert called.entry.call_id == result.entry.call_id != ""
    assert called.entry.tool
    assert "hello" in json.dumps(called.entry.arguments)
    assert story.said[-1] == DONE["text"]
    assert story.usage.input_tokens == agent.usage.input_tokens
    assert story.usage.output_tokens == agent.usage.output_tokens
    assert [event.entry.failure for event in story.entries(AgentFinished)] == [None]
    assert story.entries(EntryNotUnderstood) == []
    assert len(story.of("execution.process_started")) == len(story.of("execution.process_exited")) == 1


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_a_rejection_goes_on_in_the_same_session(installed, agent, tmp_path):
    with live_site(tmp_path, agent, TURNS, words=("--attempts", "1")) as site:
        assert site.end(site.run()) == 0, site.said
        asked = len(site.url.requests)
        (question,) = site.story().of("approval.requested")
        site.aura("approval", "reject", question.approval_id, "--feedback", FEEDBACK)
        story = site.story()
        told = json.dumps([request["body"] for request in site.url.requests[asked:]])
        (question,) = story.of("approval.requested")[1:]
        site.aura("approval", "approve", question.approval_id)
        story = site.story()
        site.end(site.started[-1])
    assert PROMPT in told, "it was told again what was said before"
    assert story.of("execution.session_dropped") == []
    assert len(set(story.sessions)) == 1
    assert story.said[-1] == MORE[-1]["text"]
    assert story.ends == ["execution.completed", "task.completed"]
    assert len(story.of("execution.process_exited")) == 2
    assert content(site.repository, "main", "hello.txt") == "hello"
    assert content(site.repository, "main", "second.txt") == "second"
    assert story.usage.output_tokens == 2 * agent.usage.output_tokens


@pytest.mark.parametrize("agent", AGENTS, ids=str)
def test_another_task_goes_on_with_the_session_in_a_worktree_of_its_own(installed, agent, tmp_path):
    with live_site(tmp_path, agent, TURNS) as site:
        assert site.end(site.run()) == 0, site.said
        asked = len(site.url.requests)
        assert site.end(site.run("--resume-latest", "--prompt", FEEDBACK)) == 0, site.said
        story = site.story()
        told = json.dumps([request["body"] for request in site.url.requests[asked:]])
    assert FEEDBACK in told
    assert PROMPT in told, "what was said in a task before is told by the agent, or by AURA"
    assert len(story.of("execution.session_dropped")) == len(story.entries(ConversationReplayed)) == agent.bound
    assert len(set(story.sessions)) == 1 + agent.bound
    assert story.ends == ["execution.completed", "task.completed"] * 2
    assert story.said[-1] == MORE[-1]["text"]
    assert content(site.repository, "main", "hello.txt") == "hello"
    assert content(site.repository, "main", "second.txt") == "second"
