"""Real agents that ask for permission: a human is asked once and obeyed once, whoever is killed meanwhile."""

import json
import os
import signal
from contextlib import suppress

import pytest
from live import APPEND, ASKING, CLAUDE, CODEX, DONE, LACKING, live_site

from aura_contracts.execution import CallMade, CallStarted, EntryNotUnderstood, PermissionAnswered, PermissionAsked
from aura_contracts.failures import FailureReason
from repositories import content

pytestmark = pytest.mark.real_agents

TURNS = [{"match": "did not permit", "steps": [{"text": "Then I leave it."}]}, {"steps": [APPEND, DONE]}]
WITH_AURA = ("aura", "aura+agent", "aura+supervisor+agent")


@pytest.fixture
def site(installed, agent, tmp_path):
    with live_site(tmp_path, agent, TURNS, agent.asking, ("--approval", "auto")) as made:
        yield made


def asked(site, number=1):
    """Return the approval's id, once the question was asked this often."""
    site.hears(lambda: len(site.story().entries(PermissionAsked)) >= number)
    return site.story().entries(PermissionAsked)[-1].approval_id


def kill(site, process, who):
    """Kill with all that they have started, AURA first, so that it cannot see the others go."""
    supervisors = site.supervisors()
    victims = {"aura": [process.pid], "supervisor": supervisors, "agent": site.below(supervisors)}
    for pid in [pid for name in ("aura", "supervisor", "agent") if name in who for pid in victims[name]]:
        with suppress(ProcessLookupError):  # it has gone with another one
            os.kill(pid, signal.SIGKILL)
    if "aura" in who:
        process.wait()


def check_granted(site):
    """One question, one answer, and the call was made once."""
    story = site.story()
    (question,) = story.of("approval.requested")
    assert "hello.txt" in json.dumps(question.question.tool_call.arguments)
    assert len(story.of("approval.approved")) == 1
    assert len({event.approval_id for event in story.entries(PermissionAsked)}) == 1
    assert content(site.repository, "main", "hello.txt") == "hello", "once"
    assert story.said[-1] == DONE["text"]
    assert story.ends[-2:] == ["execution.completed", "task.completed"]
    assert {event.failure.reason for event in story.of("execution.failed")} <= {FailureReason.WORKER_LOST}
    assert story.entries(EntryNotUnderstood) == []
    return story


@pytest.mark.parametrize("agent", ASKING, ids=str)
def test_asked_and_allowed(agent, site):
    process = site.run()
    site.aura("approval", "approve", asked(site))
    assert site.end(process) == 0, site.said
    story = check_granted(site)
    assert len(story.sessions) == 1
    assert [event.granted for event in story.entries(PermissionAnswered)] == [True]
    (result,) = story.entries(CallMade)
    assert result.entry.success
    assert result.entry.call_id == story.entries(CallStarted)[0].entry.call_id


@pytest.mark.parametrize("agent", ASKING, ids=str)
def test_asked_and_denied(agent, site):
    process = site.run()
    site.aura("approval", "reject", asked(site), "--feedback", "Not this file.")
    assert site.end(process) == 1, site.said
    story = site.story()
    assert story.failure.reason is FailureReason.PERMISSION_DENIED
    assert story.ends == ["execution.failed", "task.failed"]
    assert [event.granted for event in story.entries(PermissionAnswered)] == [False]
    told = json.dumps([request["body"] for request in site.url.requests])
    assert ("Not this file." in told) == agent.hears_why, "the model was told"
    assert not (site.repository / "hello.txt").exists()


@pytest.mark.parametrize("agent", ASKING, ids=str)
def test_a_rule_answers_instead_of_a_human(agent, site):
    process = site.run("--allow", "*")
    assert site.end(process) == 0, site.said
    check_granted(site)


@pytest.mark.parametrize("agent", [CLAUDE, CODEX], ids=str)
def test_a_rule_refuses_what_it_names(agent, site):
    """Others tell no name of the tool, or no arguments, whenever they ask."""
    rule = {"claude": "Bash(echo *)", "codex": "shell(echo *)"}[agent.name]
    assert site.end(site.run("--allow", "*", "--deny", rule)) == 1, site.said
    story = site.story()
    assert story.failure.reason is FailureReason.PERMISSION_DENIED
    assert rule in story.of("approval.rejected")[0].feedback
    assert not (site.repository / "hello.txt").exists()


@pytest.mark.parametrize("who", [*WITH_AURA, "supervisor+agent", "agent"])
@pytest.mark.parametrize("agent", ASKING, ids=str)
def test_a_question_survives_and_is_answered_afterwards(agent, site, who):
    process = site.run()
    approval = asked(site)
    kill(site, process, who)
    if "aura" in who:
        process = site.run()
        site.hears(lambda: "resuming task" in site.said)
    if who != "aura":
        assert asked(site, number=2) == approval, "the same call is the same question"
    site.aura("approval", "approve", approval)
    assert site.end(process) == 0, site.said
    check_granted(site)


@pytest.mark.parametrize("who", WITH_AURA)
@pytest.mark.parametrize("agent", ASKING, ids=str)
def test_an_answer_that_is_given_meanwhile_is_not_asked_for_again(agent, site, who):
    process = site.run()
    approval = asked(site)
    kill(site, process, who)
    site.decide_only(approval)
    assert site.end(site.run()) == 0, site.said
    check_granted(site)


@pytest.mark.parametrize("agent", LACKING, ids=str)
def test_one_that_may_not_write_and_does_not_ask_has_failed(installed, agent, tmp_path):
    with live_site(tmp_path, agent, [{"steps": [agent.wanting, DONE]}], agent.lacking) as site:
        assert site.end(site.run()) == 1, site.said
        story = site.story()
    assert story.failure.reason is FailureReason.PERMISSION_DENIED
    assert story.ends == ["execution.failed", "task.failed"]
    assert not (site.repository / "hello.txt").exists()
