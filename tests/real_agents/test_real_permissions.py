"""Real agents that ask for permission: a human is asked once and obeyed once, whoever is killed meanwhile."""

import json

import pytest
from live import DONE, RESULT, kill, live_site
from roster import ASKING, CLAUDE, CODEX

from aura_contracts.execution import EntryNotUnderstood, PermissionAsked
from aura_contracts.failures import FailureReason
from repositories import content

pytestmark = pytest.mark.real_agents

WITH_AURA = ("aura", "aura+agent", "aura+supervisor+agent")


@pytest.fixture
def site(installed, agent, tmp_path):
    turns = [
        {"match": "did not permit", "steps": [{"text": f"Then I leave it. {RESULT}"}]},
        {"steps": [agent.wanting, DONE]},
    ]
    with live_site(tmp_path, agent, turns, agent.asking, ("--approval", "auto")) as made:
        yield made


def asked(site, number=1):
    """Return the approval's id, once the question was asked this often."""
    site.hears(lambda: len(site.story().entries(PermissionAsked)) >= number)
    return site.story().entries(PermissionAsked)[-1].approval_id


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
