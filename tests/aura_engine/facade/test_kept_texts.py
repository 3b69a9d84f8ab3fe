"""What callers write and the log keeps: no text of a human or an agent that holds a key is stored."""

import inspect
from collections.abc import Awaitable, Callable
from importlib import import_module

import pytest

from agents_at_work import agent_at_work
from aura_contracts.agent import AgentChanges
from aura_contracts.board import BoardChanges
from aura_contracts.errors import InvalidInput
from aura_contracts.task import TaskChanges
from aura_engine.agent_tools.api import OwnTask
from aura_engine.facade.arguments import Kept
from aura_engine.facade.engine import Engine

pytestmark = pytest.mark.anyio

KEY = "sk-abcdefghijklmnopqrstuvwxyz012345"

NAMES = frozenset(
    {
        *("agent", "aggregate", "approval", "by", "executor", "execution", "finding", "folders", "name", "parent"),
        "paths",
        *("ref", "remember", "repository", "session", "stream", "task", "text", "types", "workspace", "after", "state"),
        *("approvals", "commits", "decision", "kind", "path", "reply_to"),
        *("project", "board", "column", "template", "variables", "link", "form", "notification", "channel", "person"),
        *("purpose", "base_url", "workflow", "step", "definition"),
    }
)
"""Parameters that name something, as a rule something that exists, and so are not kept themselves."""

CHECKED_BY_AN_INPUT = {("create", "title"), ("run", "prompt")}


WRITERS = ("tasks", "approvals", "links", "agents", "projects", "boards", "templates", "workspaces", "notifications")
WRITERS += ("workflows", "engine", "run")
"""The parts of the facade that record what they are given."""


def test_every_text_that_is_recorded_is_kept_or_names_something():
    unmarked = set()
    for part in WRITERS:
        kind = getattr(import_module(f"aura_engine.facade.{part}"), part.title())
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if name.startswith("_"):
                continue
            for parameter in inspect.signature(method).parameters.values():
                hint = parameter.annotation
                if "str" in str(hint) and getattr(hint, "__metadata__", ()) != Kept.__metadata__:
                    unmarked.add((name, parameter.name))
    assert {one for one in unmarked if one[1] not in NAMES} == CHECKED_BY_AN_INPUT


DOORS: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "title": lambda engine: engine.tasks.create(KEY),
    "changes.title": lambda engine: engine.tasks.edit("x", TaskChanges(title=KEY)),
    "delete": lambda engine: engine.tasks.delete("x", KEY),
    "cancel": lambda engine: engine.tasks.cancel("x", KEY),
    "interrupt": lambda engine: engine.tasks.interrupt("x", KEY),
    "move": lambda engine: engine.tasks.move("x", "done", KEY),
    "follow_up": lambda engine: engine.tasks.follow_up("x", KEY),
    "submit": lambda engine: engine.tasks.submit("x", KEY),
    "decompose": lambda engine: engine.tasks.decompose("x", ["One", KEY]),
    "approve": lambda engine: engine.approvals.approve("x", KEY),
    "pattern": lambda engine: engine.approvals.approve("x", remember="pattern", pattern=f"Bash(tool {KEY})"),
    "reject": lambda engine: engine.approvals.reject("x", KEY),
    "request_changes": lambda engine: engine.approvals.request_changes("x", feedback=KEY),
    "delegate": lambda engine: engine.approvals.delegate("x", "bob", KEY),
    "edit": lambda engine: engine.agents.edit("x", AgentChanges(name=KEY)),
    "disable": lambda engine: engine.agents.disable("x", reason=KEY),
    "clean": lambda engine: engine.workspaces.clean("x", KEY),
    "board": lambda engine: engine.boards.create(KEY),
    "column": lambda engine: engine.boards.edit("x", BoardChanges(names={"ready": KEY})),
    "template": lambda engine: engine.templates.set("review", KEY),
    "retire": lambda engine: engine.workflows.retire("x", KEY),
    "inputs.token": lambda engine: engine.workflows.start("x", {"token": KEY}),
    "context.more": lambda engine: engine.workflows.start("x", context={"more": [KEY]}),
    "start": lambda engine: engine.workflows.start("x", key=KEY),
    "signal": lambda engine: engine.workflows.signal("x", "ready", {"token": KEY}),
    "values": lambda engine: engine.workflows.update_context("x", {"token": KEY}),
    "skip": lambda engine: engine.workflows.skip("x", "step", KEY),
    "pause": lambda engine: engine.workflows.pause("x", KEY),
    "revoke": lambda engine: engine.links.revoke("x", KEY),
    "address": lambda engine: engine.approvals.link("x", address=KEY),
    "key": lambda engine: engine.run("Say more", executor="custom", key=KEY),
}


@pytest.mark.parametrize("door", DOORS)
async def test_a_key_is_refused_at_every_door(opened, door):
    async with opened() as engine:
        with pytest.raises(InvalidInput, match="would be stored forever") as refused:
            await DOORS[door](engine)
        assert KEY not in str(refused.value)
        assert await engine.events.head() == 0


AGENTS: dict[str, Callable[[OwnTask], Awaitable[object]]] = {
    "report": lambda own: own.report(f"found {KEY}"),
    "step": lambda own: own.report("half", step=KEY),
    "subtask": lambda own: own.create_subtask("Rotate it", f"the key is {KEY}"),
    "proposal": lambda own: own.submit(f"use {KEY}"),
    "question": lambda own: own.ask("Which?", ["the old one", KEY]),
}


@pytest.mark.parametrize("tool", AGENTS)
async def test_an_agent_may_not_store_a_key_either(tool):
    async with agent_at_work() as work:
        before = await work.bus.log.head()
        with pytest.raises(InvalidInput, match="would be stored forever"):
            await AGENTS[tool](work.own)
        assert await work.bus.log.head() == before
