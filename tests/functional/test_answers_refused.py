"""Answers that do not count: each is told why, what to do, and leaves the question as it was; also on the command line.

A row for each situation. Every question is a real one: on a task in SQLite, and where time matters, about what an agent
did under a policy with a deadline.
"""

import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import anyio
import attrs
import pytest

from aura_cli.rendering.errors import as_commands
from aura_contracts.approval import Approval, ApprovalStatus, Level
from aura_contracts.errors import AuraError
from aura_engine.host import now
from command_line import call_aura
from conditions import until
from engines import events_of, next_question, scripted, settled, write

AGENT = "agent:0192f0c1-2d3e-7abc-8def-000000000005"


# --- The situations ---------------------------------------------------------------------------------------------------


async def ask(engine, **terms):
    """Return a question to alice and bob, unless other terms are given."""
    task = await engine.tasks.create("Go", approval="plan", **{"reviewers": ["bob"], **terms})
    await engine.tasks.assign(task.id, executor="custom", options={"base_command": "true"})
    return await engine.tasks.submit(task.id, "I go")


async def ask_until(engine, repository, seconds, silence="deny"):
    """Return a question that a policy gives so many seconds, about changes that an agent made."""
    (repository / ".aura").mkdir()
    rule = f"{{ask: soon, when: {{kind: changes}}, then: {{deadline: {seconds}s, on_expiry: {silence}}}}}"
    (repository / ".aura" / "policies.yaml").write_text(f"rules:\n  - {rule}\n")
    run = await engine.run("Go", repositories=[str(repository)], **scripted([write("a", "1")]))
    return await next_question(engine, run.id)


async def withdrawn(engine, _):
    asked = await ask(engine)
    await engine.tasks.cancel(asked.task_id, "we do without it")
    return asked


async def passed(engine, repository):
    """Return a question whose deadline passes while no engine is open."""
    return await ask_until(engine, repository, 3)


async def expired(engine, repository, silence="deny"):
    asked = await ask_until(engine, repository, 1, silence)

    async def is_expired():
        return (await engine.approvals.get(asked.id)).status is ApprovalStatus.EXPIRED

    await until(is_expired)
    await settled(engine, asked.task_id)
    return asked


async def expired_as_yes(engine, repository):
    return await expired(engine, repository, "continue")


def answered(by, **terms):
    async def prepare(engine, _):
        asked = await ask(engine, **terms)
        await engine.approvals.approve(asked.id, by=by)
        return asked

    return prepare


def asked_with(**terms):
    async def prepare(engine, _):
        return await ask(engine, **terms)

    return prepare


def delegated(*names, ends=None, **terms):
    """Alice delegates to the first of the names, who delegates to the second, and so on."""

    async def prepare(engine, _):
        asked = await ask(engine, **terms)
        end = None if ends is None else now() + timedelta(seconds=ends)
        for by, to in zip(("alice", *names), names, strict=False):
            await engine.approvals.delegate(asked.id, to, until=end, by=by)
        if end is not None:
            await until(partial(reminded, engine))
        return asked

    return prepare


async def reminded(engine):
    """Fire the reminder that is due when a delegation ends: later it would come between two looks at the question."""
    return await engine.timers.fire_due()


async def used_by_the_delegate(engine, repository):
    asked = await delegated("carol", quorum=2)(engine, repository)
    await engine.approvals.approve(asked.id, by="carol")
    return asked


# --- The table --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Row:
    """A situation, what is answered in it, and what is said to that.

    `message` and `remedy` are words that are said; `rule` is recorded if the error is that someone was not allowed.
    """

    name: str
    prepare: Callable[[Any, Any], Awaitable[Approval]]
    code: str
    message: str
    remedy: str
    rule: str | None = None
    by: str = "alice"
    verb: str = "approve"
    to: str = ""
    ends: str | None = None
    facts: dict[str, str] = attrs.field(factory=dict)


LEVELS = (Level(reviewers=("lead",)),)
TWO = {"quorum": 2}

ROWS = [
    Row("withdrawn", withdrawn, "question_withdrawn", "was withdrawn: alice cancelled the task", "aura approval list"),
    Row("expired", expired, "question_expired", "has expired", "no answer meant no: aura task retry"),
    Row("passed", passed, "question_expired", "its deadline was 2", "no answer meant no: aura task resume"),
    Row("expired-yes", expired_as_yes, "question_expired", "has expired", "meant yes, and the work continues"),
    Row("delegated-late", expired, "question_expired", "has expired", "no answer meant no", verb="delegate", to="eve"),
    Row(
        "answered-by-oneself", answered("alice"), "already_answered", "alice has answered", "you answered approved",
        facts={"answered_by": "alice", "status": "approved"},
    ),
    Row(
        "answered-by-another", answered("bob"), "already_answered", "bob has answered", "the decision stands",
        verb="reject", facts={"answered_by": "bob", "status": "approved"},
    ),
    Row("delegated-after-answer", answered("bob"), "already_answered", "bob has", "stands", verb="delegate", to="eve"),
    Row(
        "voted-already", answered("alice", **TWO), "rule_violated", "alice has voted (approved", "it waits for bob",
        "already_voted", verb="reject",
    ),
    Row("no-seat", asked_with(), "not_allowed", "it waits for alice, bob", "--to mallory", "seat", "mallory"),
    Row(
        "barred", asked_with(no_self_approval=True), "not_allowed", "what they asked for or wrote themselves",
        "leave it to bob", "self_approval",
    ),
    Row("observer", asked_with(), "not_allowed", "observers only read", "a person who may", "observer", "observer:bob"),
    Row("agent", asked_with(), "not_allowed", "only humans decide", "leave it to alice, bob", "seat", AGENT),
    Row("level-to-come", asked_with(levels=LEVELS), "not_allowed", "level 2", "when alice, bob", "level", "lead"),
    Row("level-over", answered("bob", levels=LEVELS), "not_allowed", "has approved", "ask lead", "level"),
    Row(
        "delegation-over", delegated("eve", ends=0.2), "not_allowed", "has ended", "ask alice for it: aura",
        "delegation_ended", "eve",
    ),
    Row(
        "delegate-was-faster", used_by_the_delegate, "rule_violated", "carol has voted with the vote of alice",
        "it waits for bob", "delegation_used",
    ),
    Row(
        "to-oneself", asked_with(), "rule_violated", "alice would delegate to themselves", "another person",
        "delegation_loop", verb="delegate", to="alice",
    ),
    Row(
        "circle-of-two", delegated("eve"), "rule_violated", "circle: alice > eve > alice", "not part of it",
        "delegation_loop", "eve", "delegate", "alice",
    ),
    Row(
        "circle-of-three", delegated("eve", "dan"), "rule_violated", "circle: alice > eve > dan > alice",
        "not part of it", "delegation_loop", "dan", "delegate", "alice",
    ),
    Row(
        "to-the-middle", delegated("eve", "dan"), "rule_violated", "circle: eve > dan > eve",
        "not part of it", "delegation_loop", "dan", "delegate", "eve",
    ),
    Row(
        "to-barred", asked_with(no_self_approval=True), "rule_violated", "alice asked for this work", "another person",
        "self_approval", "bob", "delegate", "alice",
    ),
    Row(
        "to-a-reviewer", asked_with(), "rule_violated", "bob may decide already", "who may not decide yet",
        "delegate_may_decide", verb="delegate", to="bob",
    ),
    Row(
        "to-an-agent", asked_with(), "invalid_input", "not the name of a person", "a login name or an e-mail",
        verb="delegate", to=AGENT,
    ),
    Row(
        "to-no-one", asked_with(), "invalid_input", "to: ", "", verb="delegate", to=" ",
    ),
    Row(
        "until-the-past", asked_with(), "rule_violated", "would have ended", "name a later end", "delegation_ended",
        verb="delegate", to="eve", ends="2020-01-01T00:00:00Z",
    ),
    Row(
        "delegated-by-no-one", asked_with(), "not_allowed", "it waits for alice, bob", "--to mallory", "seat",
        "mallory", "delegate", "eve",
    ),
]  # fmt: skip


@pytest.fixture
def prepared(opened, repository):
    """Returns what `kept` does of a row's question, which no engine has open."""

    async def prepare(row):
        async with opened() as engine:
            asked = await row.prepare(engine, repository)
        await until(lambda: asked.deadline is None or now() >= asked.deadline)
        return await kept(opened, asked.id)

    return prepare


async def kept(opened, approval_id):
    """Return a question, the status of its task, and what has happened to it."""
    async with opened(read_only=True) as engine:
        asked = await engine.approvals.get(approval_id)
        task = await engine.tasks.get(asked.task_id)
        return asked, task.status, await events_of(engine, approval_id)


def require_telling(row, error):
    """The error says which situation it was, and what to do."""
    assert error["code"] == row.code
    assert row.message in error["message"]
    assert row.remedy in error["remedy"]
    assert error["facts"].get("rule") == row.rule
    assert error["facts"] | row.facts == error["facts"]


def require_nothing_but_the_refusal(row, before, after):
    """Nothing was consumed; who was not allowed stays on record, with the rule."""
    assert after[:2] == before[:2]
    refusals = [event.refusal.rule for event in after[2][len(before[2]) :]]
    assert refusals == ([row.rule] if row.code == "not_allowed" else [])


@pytest.mark.deep_but_first
@pytest.mark.anyio
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_an_answer_that_does_not_count_says_why(opened, prepared, row):
    before = await prepared(row)
    approval_id = before[0].id
    async with opened() as engine:
        with pytest.raises(AuraError) as refused:
            match row.verb:
                case "approve":
                    await engine.approvals.approve(approval_id, by=row.by)
                case "reject":
                    await engine.approvals.reject(approval_id, "no", by=row.by)
                case _:
                    ends = None if row.ends is None else datetime.fromisoformat(row.ends)
                    await engine.approvals.delegate(approval_id, row.to, until=ends, by=row.by)
    error = refused.value
    told = {"code": error.code, "message": error.message(), "remedy": error.remedy, "facts": error.facts()}
    require_telling(row, {**told, "remedy": as_commands(error.remedy)})
    require_nothing_but_the_refusal(row, before, await kept(opened, approval_id))


WORDS = {"approve": ["--no-wait"], "reject": ["--no-wait", "--feedback", "no"]}
BY_PEOPLE = [row for row in ROWS if row.by != AGENT and row.name != "passed"]
"""The command line is for people, and does first what is due."""


@pytest.mark.deep
@pytest.mark.parametrize("row", BY_PEOPLE, ids=[row.name for row in BY_PEOPLE])
def test_the_command_line_says_the_same_and_what_it_proposes_works(opened, prepared, row, tmp_path):
    before = anyio.run(prepared, row)
    approval_id = before[0].id
    more = WORDS.get(row.verb) or ["--to", row.to, *(["--until", row.ends] if row.ends else [])]
    role, _, name = row.by.rpartition(":")
    place = {"AURA_STORE": f"sqlite:///{tmp_path / 'aura.db'}", "AURA_HOME": str(tmp_path / "home")}
    who = {"AURA_USER": name, "AURA_ROLE": role}
    answer = call_aura("approval", row.verb, approval_id, *more, "--json", **place, **who)
    assert (answer.code, answer.out) == (1, "")
    require_telling(row, answer.error)
    require_nothing_but_the_refusal(row, before, anyio.run(kept, opened, approval_id))
    for command in re.findall(r"aura (?:approval|task) [^`;]+?(?= records| asks|[`;]|$)", answer.error["remedy"]):
        done = call_aura(*command.split()[1:], **place, AURA_USER="alice")
        assert done.code == 0 or "error[run_failed]" in done.err, "silence that means no fails the task"


@pytest.mark.deep
def test_a_command_says_that_the_deadline_passed_before_it_refuses_an_answer(opened, prepared, tmp_path):
    passed_, _, _ = anyio.run(prepared, next(row for row in ROWS if row.name == "passed"))
    place = {"AURA_STORE": f"sqlite:///{tmp_path / 'aura.db'}", "AURA_HOME": str(tmp_path / "home")}
    answer = call_aura("approval", "approve", passed_.id, "--json", **place, AURA_USER="alice")
    notice, error = map(json.loads, answer.err.splitlines())
    assert (notice["notice"], notice["approvals"]) == ("expired", [passed_.id])
    assert (answer.code, error["code"]) == (1, "question_expired")
    assert "no answer meant no: aura task retry" in error["remedy"]
