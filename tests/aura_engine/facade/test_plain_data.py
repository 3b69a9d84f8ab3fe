"""Plain data: all that the facade returns converts to a dictionary and back, pickles, and works in pydantic models."""

import ast
import inspect
import json
import pickle
from importlib import import_module
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import pytest
from pydantic import TypeAdapter

import aura_engine
from aura_contracts.errors import InvalidInput
from aura_contracts.plain_data import Plain
from aura_contracts.ports.rows import Page
from aura_contracts.task import Task
from aura_engine import open_engine, open_own_task
from aura_engine.agent_tools.api import OwnTask
from aura_engine.blocking import open_engine_sync
from aura_engine.facade.noun import Noun
from engines import scripted, write

pytestmark = pytest.mark.anyio

NOUNS = [name for name, member in vars(aura_engine.Engine).items() if isinstance(member, Noun)]
HANDLES = {"Run", "Serving", "Subscription", "WorkflowRun"}
CARRIED = {"Fault"}
"""What an error carries; `attrs.asdict` converts it."""
MODULES = {"messages"}
UNNAMED = {"Core", "E"}
"""What a program never writes: the inside of a handle, and a type variable."""


def public_methods(engine):
    """Yield the public methods of the engine's classes, handles included."""
    targets = [type(engine), *(type(getattr(engine, noun)) for noun in NOUNS)]
    targets += [aura_engine.Run, aura_engine.Subscription, OwnTask]
    for kind in targets:
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                yield method
    yield from (open_engine, open_own_task, open_engine_sync)


def named_in(hint: Any):
    """Yield every class and typed dictionary that a type names."""
    if isinstance(hint, str):
        hint = getattr(aura_engine, hint)
    if isinstance(hint, TypeVar):
        yield from named_in(hint.__bound__) if hint.__bound__ else ()
        return
    hint = getattr(hint, "__supertype__", hint)
    if get_origin(hint) is None:
        yield from (named for named in ([hint] if isinstance(hint, type) else []))
        return
    origin = get_origin(hint)
    if isinstance(origin, type) and origin.__module__.startswith("aura_"):
        yield origin
    for argument in () if origin is Literal else get_args(hint):
        for one in argument if isinstance(argument, list) else [argument]:
            if origin is not Annotated or one is get_args(hint)[0]:
                yield from named_in(one)


def names_in_signatures(module):
    """Yield the names of AURA's own types that the signatures of a module's public functions and methods mention."""
    tree = ast.parse(inspect.getsource(module))
    ours = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("aura_")
        for alias in node.names
    }
    ours |= {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for node in [*tree.body, *(method for kind in classes for method in kind.body)]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            given = node.args.args + node.args.kwonlyargs + [node.args.kwarg]
            for hint in [node.returns, *(one.annotation for one in given if one is not None)]:
                for name in ast.walk(hint) if hint is not None else ():
                    text = name.id if isinstance(name, ast.Name) else getattr(name, "value", None)
                    if isinstance(name, ast.Attribute):
                        yield name.attr
                    elif isinstance(text, str) and text in ours and text not in MODULES:
                        yield text


def test_the_flat_list_holds_every_type_that_a_signature_names():
    modules = [import_module(f"aura_engine.facade.{noun}") for noun in (*NOUNS, "engine", "run", "subscription")]
    modules += [
        import_module(f"aura_engine.{name}")
        for name in ("bootstrap.engine_context", "bootstrap.agent_context", "agent_tools.api")
    ]
    named = {name for module in modules for name in names_in_signatures(module)} - UNNAMED
    assert len(named) > 50
    assert named - set(aura_engine.__all__) == set()


async def test_every_type_that_a_method_returns_is_plain_data(opened):
    async with opened() as engine:
        returned = {
            kind
            for method in public_methods(engine)
            if method not in (open_engine, open_own_task, open_engine_sync)
            for kind in named_in(inspect.signature(method).return_annotation)
            if kind.__module__.startswith("aura_") and kind.__name__ not in HANDLES | CARRIED
        }
    assert len(returned) > 20
    assert {kind.__name__ for kind in returned if not issubclass(kind, Plain)} == set()


def same(value, kind):
    """Check every form of a value. Dictionaries are compared: what is JSON in a value has lists for its tuples."""
    text = json.dumps(value.as_dict())
    adapter = TypeAdapter(kind)
    assert json.loads(adapter.dump_json(value)) == json.loads(text)
    assert adapter.json_schema()["type"] in ("object", "array")
    assert pickle.loads(pickle.dumps(value)) == value
    for back in (adapter.validate_json(text), *([kind.from_dict(json.loads(text))] if kind is type(value) else ())):
        assert type(back) is type(value)
        assert json.dumps(back.as_dict()) == text


async def test_a_busy_store_in_every_form(opened, repository):
    async with opened() as engine:
        run = await engine.run("Write it", repositories=[str(repository)], **scripted([write("b.txt", "b")]))
        await run.idle()
        view = await engine.tasks.view(run.id)
        tasks = await engine.tasks.list()
        same(tasks, Page[Task])
        events = await engine.events.list()
        found = [view, view.task, *events, *(one.event for one in events), await engine.history.get(run.id)]
        found += [await engine.history.list(), await engine.store.get(), await engine.store.check()]
        found += [await engine.audit.verify(), await engine.audit.checkpoint(), await engine.executors.get("custom")]
        found += [await engine.workspaces.inspect(run.id), await engine.workspaces.diff(run.id)]
        found += [await engine.usage.get(run.id), *await engine.history.diff(0), *(await engine.sessions.list())]
        found += [*(await engine.logs.list()), *(await engine.approvals.list()), *(await engine.agents.list())]
        found += [sealed async for sealed in engine.audit.export()]
        found += [chunk async for chunk in engine.logs.read(view.execution.id)]
        for value in found:
            same(value, type(value))
        (finding, *_) = await engine.doctor.list()
        same(finding, aura_engine.Finding)


def test_a_dictionary_that_does_not_fit_is_refused():
    for kind in (Task, aura_engine.EventRecord, aura_engine.Past, aura_engine.Finding, aura_engine.View):
        with pytest.raises(InvalidInput) as refused:
            kind.from_dict({"id": 5})
        assert refused.value.remedy
