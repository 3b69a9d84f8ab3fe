"""The pages about agents: one for each executor, from its module, its options and its commands; and their index."""

import importlib
import re
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import msgspec

from aura_contracts.ports.executors import Capability, Executor
from aura_engine.profiles import DEFAULT, load_profiles
from aura_executors.agents._command import AgentOptions
from aura_executors.agents._finding import Program
from generator.commands import command_of, commands
from generator.markdown import NOTE, fenced, page, table
from generator.prose import inline, markdown
from generator.source import own_words
from generator.values import anchor, fields, members, types_in

ROOT = Path(__file__).parents[2]

_WHAT = {
    "resume": "a session can be gone on with",
    "fork": "a session can be gone on with as a copy",
    "permissions": "asks before it uses a tool, and waits for [the answer](../permissions.md)",
    "tool_servers": "can be given [AURA's own tools](../mcp.md) (`--mcp`)",
    "plan": "can be asked for a plan first (`--approval plan`)",
    "protocol": "shows its words instead of its output",
}


@attrs.frozen
class Agent:
    """What the code says of an executor."""

    executor: Executor
    module: types.ModuleType

    @property
    def program(self) -> Program | None:
        """What is known of its program; None if there is none, or several."""
        found = next((module.PROGRAM for module in self._modules() if hasattr(module, "PROGRAM")), None)
        return found if isinstance(found, Program) else None

    @property
    def options(self) -> type[msgspec.Struct]:
        """The struct of its options."""
        own = [
            kind
            for name, kind in vars(self.module).items()
            if name.endswith("Options") and kind.__module__.startswith(self.module.__name__)
        ]
        (found,) = own
        return typing.cast("type[msgspec.Struct]", found)

    @property
    def presets(self) -> Mapping[str, Any]:
        """Known agents that it can run, by name."""
        return typing.cast("Mapping[str, Any]", getattr(self.module, "PRESETS", {}))

    @property
    def tested(self) -> str:
        """The versions that it was tested with."""
        programs = [preset.program for preset in self.presets.values()] or [self.program]
        known = [program for program in programs if program is not None and program.tested]
        names = len(known) > 1
        return ", ".join(f"{one.name} {one.tested[-1]}" if names else " and ".join(one.tested) for one in known)

    @property
    def how_tested(self) -> str:
        """How AURA was tested with it, as the tests show."""
        name = self.executor.name
        if self.program is None and not self.presets:
            return "is part of AURA"
        if f'executor="{name}"' in _text("tests/real_agents/live.py"):
            return "runs of the real program"
        names = {name, name.removesuffix("-code"), *(one for one in self.presets if one.endswith(name))}
        captures = ROOT / "tests/aura_executors/agents/captures"
        if any((captures / one).is_dir() for one in names):
            return "recorded streams of the real program"
        if self.tested:
            return "the real program without a login; documentation"
        return "documentation and published streams"

    def _modules(self) -> Iterator[types.ModuleType]:
        yield self.module
        yield from (part for part in vars(self.module).values() if isinstance(part, types.ModuleType))


def agent_pages(offered: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Return the page of each executor, by file name, and the index.

    `offered` are entry points by name; None: those that AURA declares.
    """
    agents = {name: agent_of(target) for name, target in sorted((offered or _declared()).items())}
    return {"README.md": _index(agents), **{f"{name}.md": _page(agent) for name, agent in agents.items()}}


def _declared() -> Mapping[str, str]:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    return typing.cast("Mapping[str, str]", project["entry-points"]["aura.executors"])


def agent_of(target: str) -> Agent:
    """Return what the code says of the executor at an entry point."""
    place, _, name = target.partition(":")
    module = importlib.import_module(place)
    return Agent(getattr(module, name)(), module)


@cache
def _text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


# --- The index --------------------------------------------------------------------------------------------------------


def _index(agents: Mapping[str, Agent]) -> str:
    return page(
        "# Agents",
        NOTE,
        "What AURA can run. An executor knows how one kind of agent is started, what it says, and how it is told"
        " whether it did what it should. Another one is [a class of your own](../executors.md).",
        table(
            ("executor", "agent", "sessions", "fork", "asks", "AURA's tools", "tested with", "how"),
            [_row(name, agent) for name, agent in agents.items()],
        ),
        "**sessions**: a follow-up goes on where the agent was; one that has lost its session is"
        " [told what was said](../running.md#sessions). **fork**: it can go on with a copy of a session. **asks**: it"
        " asks before it uses a tool, and [a human decides](../permissions.md). **AURA's tools**: it can be given"
        " [tools that act on its task](../mcp.md). **how**: what AURA's own tests rest on. Agents change quickly: other"
        " versions than those may well work, and `aura executors NAME` says which one is there. What an executor does"
        " not understand it keeps, counts, and shows as [`unknown`](../entries.md); it does not stop.",
        "How all of them are set up by name is told in [profiles](../profiles.md).",
    )


def _row(name: str, agent: Agent) -> tuple[str, ...]:
    can = agent.executor.capability
    marks = ("yes" if mark else "" for mark in (can.resume, can.fork, can.permissions, can.tool_servers))
    return f"[`{name}`]({name}.md)", agent.executor.summary, *marks, agent.tested, agent.how_tested


# --- A page -----------------------------------------------------------------------------------------------------------


def _page(agent: Agent) -> str:
    name = agent.executor.name
    said = list(markdown((agent.module.__doc__ or "").removeprefix(f"Executor `{name}`: ")))
    body = [block for block in said if not block.startswith("```text\naura run ")]  # the page has such a block anyway
    first = body[0][:1].upper() + body[0][1:]
    return page(
        f"# {name}",
        NOTE,
        first,
        fenced("\n".join(commands(agent.executor))),
        table(("", ""), _facts(agent)),
        *(("## How it is run and understood", *body[1:]) if body[1:] else ()),
        "## Commands",
        *command_of(agent.executor, agent.program),
        *_presets(agent),
        "## Options",
        *_options(agent.options),
        *_variants(name),
    )


def _facts(agent: Agent) -> Iterator[tuple[str, str]]:
    program, can = agent.program, agent.executor.capability
    if program is not None:
        yield "program", f"`{program.name}`"
        yield "install", _with_code(program.install)
    if agent.tested:
        yield "tested with", agent.tested
    yield "how tested", agent.how_tested
    if program is not None:
        found = [*(f"`{name}`" for name in program.variables), *(f"`{file}`" for file in program.files)]
        if found:
            yield "is logged in by", ", ".join(found)
        if program.log_in:
            yield "log in", program.log_in
    for field in msgspec.structs.fields(Capability):
        yield _WHAT[field.name], "yes" if getattr(can, field.name) else "no"


def _with_code(install: str) -> str:
    return ", or ".join(
        f"`{part}`" if part.startswith(("npm ", "pip ", "uv ")) else part for part in install.split(", or ")
    )


def _presets(agent: Agent) -> Iterator[str]:
    if not agent.presets:
        return
    yield "## Known agents"
    yield "By option `agent`; any other one by `--base-command`. What has no version is as its documentation says."
    yield table(
        ("agent", "command", "tested with", "install"),
        [
            (
                f"`{name}`",
                f"`{' '.join((preset.program.name, *preset.arguments))}`",
                ", ".join(preset.program.tested),
                _with_code(preset.program.install),
            )
            for name, preset in agent.presets.items()
        ],
    )


def _options(kind: type[msgspec.Struct]) -> Iterator[str]:
    """Yield the options: its own first, then what every agent has; and what values they can have."""
    link = {one: anchor(one) for one in _enums(kind)}

    def place(one: type[Any]) -> str:
        return link.get(one, "")

    if words := own_words(kind):
        yield inline(words)
    yield "Given by `--option NAME=VALUE`, the common ones by arguments of their own (see `aura run --help`)."
    shared = AgentOptions.__struct_fields__ if issubclass(kind, AgentOptions) else ()
    yield fields(kind, place, but=shared, noun="option", words=_meaning, nulls=False)
    if shared:
        yield "Every agent has these:"
        yield fields(AgentOptions, place, noun="option", words=_meaning, nulls=False)
    for one, name in link.items():
        yield f'<a id="{name}"></a>\n\n### {one.__name__}'
        yield inline(own_words(one))
        yield members(one, _meaning)


def _meaning(text: str) -> str:
    """Return what the source says of an option, for who sets it: options that are left out are None there."""
    return inline(re.sub(r"(?:^|(?<=\. ))None: ", "By default: ", text).replace("None: ", "by default: "))


def _enums(kind: type[msgspec.Struct]) -> list[type[Enum]]:
    found = [inner for hint in typing.get_type_hints(kind).values() for inner in types_in(hint)]
    return list(dict.fromkeys(inner for inner in found if issubclass(inner, Enum)))


def _variants(name: str) -> Iterator[str]:
    profiles = [one for one in load_profiles() if one.executor == name and one.variant != DEFAULT]
    if profiles:
        yield "## Variants"
        yield (
            "Sets of options that AURA brings along, chosen by `--variant NAME`; [profiles](../profiles.md) tells how"
            " to add yours."
        )
        yield table(
            ("variant", "is", "sets"),
            [(f"`{one.variant}`", one.description, ", ".join(_settings(one.options))) for one in profiles],
        )


def _settings(options: Mapping[str, Any]) -> Iterator[str]:
    return (f"`{name}={msgspec.json.encode(value).decode()}`" for name, value in options.items())
