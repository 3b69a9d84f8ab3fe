"""What a workflow refers to is pinned to revisions when it starts, also what that refers to."""

import pytest

from aura_contracts.actors import human
from aura_contracts.errors import CyclicDefinitions, InvalidInput, UnknownDefinition
from aura_contracts.workflow.values import AgentTaskStep, StepDefinition, SubWorkflowStep, WorkflowDefinition
from aura_contracts.workflow_definition import (
    WORKFLOW_DEFINITION,
    RestoreDefinition,
    RetireDefinition,
    SaveDefinition,
    definition_id,
)
from aura_engine import open_engine
from aura_engine.orchestration import library
from aura_engine.orchestration.library import Library

pytestmark = pytest.mark.anyio

ALICE = human("alice")


def calls(name, *names, description=""):
    """Return a definition whose steps call others."""
    work = StepDefinition(id="work", config=AgentTaskStep(task_template="Work."))
    inner = [StepDefinition(id=f"call{n}", config=SubWorkflowStep(workflow=one)) for n, one in enumerate(names)]
    return WorkflowDefinition(name=name, description=description, steps=(work, *inner))


@pytest.fixture
async def bus(tmp_path):
    async with open_engine(f"sqlite:///{tmp_path / 'a.db'}", home=tmp_path, user="alice") as engine:
        yield engine._core.bus


@pytest.fixture
def save(bus):
    async def save_all(*definitions):
        for definition in definitions:
            ident = definition_id(definition.name)
            command = SaveDefinition(workflow_definition_id=ident, definition=definition)
            await bus.handle(ALICE, ident, command)

    return save_all


async def test_names_are_pinned_to_their_newest_revisions_through_others(bus, save):
    await save(calls("lint"), calls("build", "lint"), calls("lint", description="again"), calls("test", "build@1"))
    pins = await Library(bus).pins(calls("ship", "test", "build", "lint@1"))
    assert pins == {"test": "test@1", "build@1": "build@1", "build": "build@1", "lint": "lint@2", "lint@1": "lint@1"}


async def test_what_was_pinned_is_found_whatever_happens_to_it_afterwards(bus, save):
    await save(calls("lint"), calls("build", "lint"))
    books = Library(bus)
    pins = await books.pins(calls("ship", "build", "lint@1"))
    await save(calls("lint", description="changed"), calls("build"))
    await bus.handle(ALICE, definition_id("lint"), RetireDefinition())
    found = await books.pinned("lint", pins)
    assert (str(found), found.definition) == ("lint@1", calls("lint"))
    assert (await books.pinned("lint@1", pins)).definition == calls("lint")
    assert (await books.pinned("build", pins)).definition == calls("build", "lint")
    assert (await books.find("build")).definition == calls("build")


async def test_only_what_is_stored_and_not_retired_is_started(bus, save):
    await save(calls("lint"))
    for text, reason in (("test", "there is no definition 'test'"), ("lint@2", "has revisions 1 to 1, not 2")):
        with pytest.raises(UnknownDefinition, match=reason) as refusal:
            await Library(bus).pins(calls("build", text))
        assert (refusal.value.field, refusal.value.name) == (f"workflow {text}", text)
    await bus.handle(ALICE, definition_id("lint"), RetireDefinition())
    for text in ("lint", "lint@1"):
        with pytest.raises(UnknownDefinition, match="was retired"):
            await Library(bus).pins(calls("build", text))
    await bus.handle(ALICE, definition_id("lint"), RestoreDefinition())
    assert await Library(bus).pins(calls("build", "lint")) == {"lint": "lint@1"}
    assert (await bus.fetch(WORKFLOW_DEFINITION, definition_id("lint"))).revision == 1


@pytest.mark.parametrize(
    ("stored", "started", "path"),
    [
        ([], calls("a", "a"), ("a", "a")),
        ([calls("a")], calls("a", "a"), ("a", "a")),
        ([calls("b", "a"), calls("a")], calls("a", "b"), ("a", "b@1", "a")),
        ([calls("b", "c"), calls("c", "b")], calls("a", "b"), ("b@1", "c@1", "b")),
        ([calls("b", "b@2"), calls("b", "b@2", description="2")], calls("a", "b"), ("b@2", "b@2")),
    ],
    ids=["itself", "its stored self", "through another", "others", "a revision itself"],
)
async def test_what_would_start_itself_is_refused(bus, save, stored, started, path):
    await save(*stored)
    with pytest.raises(CyclicDefinitions) as refusal:
        await Library(bus).pins(started)
    assert refusal.value.path == path


async def test_an_earlier_revision_is_not_a_circle(bus, save):
    await save(calls("a"), calls("a", "a@1"))
    found = await Library(bus).find("a")
    assert await Library(bus).pins(found.definition, found.revision) == {"a@1": "a@1"}


async def test_the_work_of_pinning_is_bounded(bus, save, monkeypatch):
    monkeypatch.setattr(library, "CALL_LIMIT", 5)
    await save(calls("w0"), *(calls(f"w{n + 1}", f"w{n}", f"w{n}") for n in range(6)))
    assert len(await Library(bus).pins(calls("all", "w4"))) == 5
    with pytest.raises(InvalidInput, match="more than 5 definitions"):
        await Library(bus).pins(calls("all", "w5"))
