"""Arguments: every method of every noun refuses what does not fit its signature, and says which argument and why."""

import inspect
import subprocess
import sys
from contextlib import aclosing
from datetime import UTC, date, datetime

import pytest

from aura_contracts.errors import InvalidInput, UnknownExecutor
from aura_contracts.task import TaskChanges

pytestmark = pytest.mark.anyio

PAGED = ("tasks", "approvals", "agents", "executions", "workspaces", "sessions", "usage", "logs")
NOUNS = (*PAGED, "executors", "events", "history", "audit", "store", "doctor")


@pytest.fixture
async def engine(opened):
    async with opened() as engine:
        yield engine


async def refused(call):
    """Return how a call is refused, after making sure that it recorded nothing."""
    with pytest.raises(InvalidInput) as caught:
        answer = call()
        if inspect.isasyncgen(answer):
            async with aclosing(answer):
                await anext(answer)
        await answer
    assert caught.value.field
    assert caught.value.reason
    assert caught.value.remedy
    return caught.value


def methods(engine):
    """Yield every public method of the engine and its nouns."""
    for target in [engine, *(getattr(engine, noun) for noun in NOUNS)]:
        for name, method in inspect.getmembers(type(target), inspect.isfunction):
            if not name.startswith("_"):
                yield getattr(target, name), inspect.signature(method)


async def test_every_argument_of_every_method_is_checked(engine):
    count = 0
    for method, signature in methods(engine):
        for name, parameter in list(signature.parameters.items())[1:]:
            if parameter.kind is not parameter.VAR_KEYWORD:
                for bad in (
                    b"",
                    object(),
                    1e400,
                    {"a": 1} if name not in ("roots", "options", "commits", "result") else "x",
                ):
                    error = await refused(lambda m=method, n=name, b=bad: m(**{n: b}))
                    assert error.field == name, method
                    count += 1
    assert count > 300


async def test_an_argument_that_no_method_has_is_refused(engine):
    for method, signature in methods(engine):
        needed = {
            name: "x"
            for name, one in list(signature.parameters.items())[1:]
            if one.default is one.empty and one.kind is not one.VAR_KEYWORD
        }
        error = await refused(lambda m=method, n=needed: m(bogus=1, **n))
        assert error.field == "bogus", method
    error = await refused(lambda: engine.tasks.list(statsu="pending"))
    assert (error.field, error.remedy) == ("statsu", "did you mean status?")


async def test_an_id_is_a_text(engine):
    for noun in PAGED:
        for bad in (None, 5, "", " ", "\ud800", "a\0b", [], b"x", {"a": 1}, float("inf"), True, 10**30):
            await refused(lambda n=noun, b=bad: getattr(engine, n).get(b))


FILTERS = (
    ("limit", 0),
    ("limit", "a"),
    ("limit", 10**30),
    ("limit", 1.5),
    ("limit", True),
    ("sort", "nope"),
    ("sort", 5),
    ("cursor", "garbage"),
    ("cursor", 5),
    ("cursor", "\ud800"),
    ("descending", "x"),
    ("task", 5),
    ("task", "\ud800"),
    ("task", ["\ud800"]),
    ("task", [5]),
    ("task", {}),
    ("search", 5),
    ("folder", 5),
    ("folder", "relative"),
    ("created_after", "yesterday"),
    ("created_after", datetime(2026, 1, 1)),  # noqa: DTZ001 - it has no zone
)


async def test_filters_are_checked(engine):
    for noun in PAGED:
        for name, bad in FILTERS:
            error = await refused(lambda n=noun, f=name, b=bad: getattr(engine, n).list(**{f: b}))
            assert error.field.startswith(name)


OTHERS = {
    "an unknown state": (lambda e: e.tasks.move("0192", "bogus"), "state"),
    "a typo of a state": (lambda e: e.tasks.move("0192", "runing"), "state"),
    "an unknown extent": (lambda e: e.approvals.approve("0192", remember="bogus"), "remember"),
    "an unknown key": (lambda e: e.usage.costs(by="x"), "by"),
    "an unknown reason": (lambda e: e.workspaces.snapshot("0192", "bogus"), "reason"),
    "changes that are a mapping": (lambda e: e.tasks.edit("0192", {"title": "new"}), "changes"),
    "changes of another type": (lambda e: e.tasks.edit("0192", TaskChanges(title=5)), "changes.title"),
    "a proposal that is a number": (lambda e: e.tasks.submit("0192", 5), "proposal"),
    "a confidence above 1": (lambda e: e.tasks.submit("0192", "p", confidence=2), "confidence"),
    "titles in one text": (lambda e: e.tasks.decompose("0192", "abc"), "titles"),
    "a title that is a number": (lambda e: e.tasks.decompose("0192", [5]), "titles.0"),
    "no reason": (lambda e: e.approvals.reject("0192", None), "feedback"),
    "a blank reason": (lambda e: e.approvals.reject("0192", " "), "feedback"),
    "a person without a name": (lambda e: e.approvals.approve("0192", by=""), "by"),
    "an unknown kind of actor": (lambda e: e.approvals.approve("0192", by="robot:x"), "by"),
    "no events": (lambda e: e.events.list(limit=0), "limit"),
    "a negative position": (lambda e: e.events.list(since=-5), "since"),
    "types in one text": (lambda e: e.events.list(types="task"), "types"),
    "roots by text": (lambda e: e.audit.verify(roots={"a": "b"}), "roots"),
    "an export from a text": (lambda e: e.audit.export(since="x"), "since"),
    "a moment that is a text": (lambda e: e.history.list(at="x"), "at"),
    "a moment without a zone": (lambda e: e.history.list(at=datetime(2026, 1, 1)), "at"),  # noqa: DTZ001
    "a finding that is a text": (lambda e: e.doctor.fix("x"), "finding"),
    "an orphan that is a text": (lambda e: e.workspaces.remove_orphan("x"), "orphan"),
    "a count below 0": (lambda e: e.workspaces.warm("/", -1), "count"),
    "no request": (lambda e: e.start(None), "request"),
    "folders in one text": (lambda e: e.sessions.latest(folders="abc"), "folders"),
    "a number in place of ids": (lambda e: e.run("x", executor="custom", after=5), "after"),
    "an executor that is a number": (lambda e: e.run("x", executor=5), "executor"),
    "a prompt with half a character": (lambda e: e.run("\ud800", executor="custom"), "prompt"),
    "an option that is not data": (lambda e: e.run("x", executor="custom", options={"a": object()}), "options.a"),
    "a context that is not data": (lambda e: e.tasks.create("x", context={"a": {1}}), "context.a"),
    "an option with half a character": (
        lambda e: e.run("x", executor="custom", options={"a": ["\ud800"]}),
        "options.a.0",
    ),
    "a blank path": (lambda e: e.run("x", executor="custom", repositories=[""]), "repositories.0"),
    "more output than fits": (lambda e: e.run("x", executor="custom", output_limit=10**30), "output_limit"),
    "a blank reviewer": (lambda e: e.tasks.create("x", reviewers=["bob", " "]), "reviewers.1"),
    "a reviewer with a kind": (lambda e: e.tasks.create("x", reviewers=["human:bob"]), "reviewers.0"),
    "a blank type": (lambda e: e.agents.add("x", "custom", type=" "), "type"),
    "no type": (lambda e: e.tasks.create("x", agent_type=""), "agent_type"),
    "a negative number of attempts": (lambda e: e.tasks.create("x", retry={"max_attempts": -1}), "retry"),
}


async def test_nonsense_is_refused_before_anything_is_recorded(engine):
    for what, (call, field) in OTHERS.items():
        error = await refused(lambda c=call: c(engine))
        assert error.field == field, what
    assert await engine.events.head() == 0


async def test_what_an_executor_would_refuse_is_refused_before_anything_is_recorded(engine, repository):
    task = await engine.tasks.create("work")
    head = await engine.events.head()
    place = {"repositories": [str(repository)]}
    for call in (
        lambda: engine.run("x", executor="custon", **place),
        lambda: engine.agents.add("Bob", "custon"),
        lambda: engine.tasks.assign(task.id, executor="custon", **place),
    ):
        with pytest.raises(UnknownExecutor, match="custon"):
            await call()
    command = {"base_command": "true", "bogus": 1}
    for call in (
        lambda: engine.run("x", executor="custom", **place),
        lambda: engine.run("x", executor="custom", options=command, **place),
        lambda: engine.run("x", executor="custom", options={"base_command": "true"}, variant="bogus", **place),
        lambda: engine.agents.add("Bob", "custom", options=command),
        lambda: engine.agents.add("Bob", "custom", variant="bogus"),
        lambda: engine.tasks.assign(task.id, executor="custom", options=command, **place),
        lambda: engine.run("x", executor="custom", options={"base_command": "true"}, reviewers=["", " "], **place),
    ):
        await refused(call)
    assert await engine.events.head() == head
    assert len(await engine.agents.list()) == 0


async def test_the_value_of_an_enumeration_stands_for_its_member(engine):
    task = await engine.tasks.create("work", priority="high")
    assert (await engine.tasks.move(task.id, "cancelled")).id == task.id
    assert await engine.usage.costs(by="day", since=datetime(2026, 1, 1, tzinfo=UTC)) is not None


async def test_a_date_stands_for_its_first_instant_in_utc(engine):
    await engine.tasks.create("work")
    long_ago, some_day = date(2026, 1, 1), date(9999, 12, 31)
    assert await engine.usage.costs(by="day", since=long_ago) == ()
    assert len(await engine.tasks.list(created_after=long_ago, created_before=some_day)) == 1
    assert len(await engine.tasks.list(created_after=some_day)) == 0
    assert (await engine.history.list(at=long_ago)).position == 0
    assert (await engine.history.list(at=some_day)).position == await engine.events.head()
    assert await engine.events.list(since=long_ago) == await engine.events.list()
    assert await engine.events.list(since=some_day) == []


def test_opening_and_reading_do_not_import_pydantic(tmp_path):
    program = (
        "import anyio, sys\n"
        "from aura_engine import open_engine\n"
        "async def main():\n"
        "    async with open_engine(sys.argv[1], home=sys.argv[2], user='alice') as engine:\n"
        "        await engine.tasks.list(status='pending', limit=5)\n"
        "        await engine.events.list(types=['task'])\n"
        "anyio.run(main)\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path / 'aura.db'}", str(tmp_path / "home")]
    subprocess.run(command, check=True)


async def test_a_read_only_engine_checks_too(opened):
    async with opened():
        pass
    async with opened(read_only=True) as engine:
        assert (await refused(lambda: engine.tasks.list(limti=1))).remedy == "did you mean limit?"
