"""The pages about agents: an index, and a page for each executor made from its module, options and commands."""

import importlib
import json
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

from aura_contracts.entries import Unknown
from aura_contracts.ports.executors import Capability, Executor
from aura_engine.profiles import DEFAULT, load_profiles
from aura_executors.adapter.options import AgentOptions
from aura_executors.adapter.program_lookup import Program
from generator.commands import command_of, commands
from generator.docstrings import inline, markdown
from generator.markdown import NOTE, fenced, page, table
from generator.source import own_words
from generator.values import anchor, fields, members, types_in

ROOT = Path(__file__).parents[2]

_WHAT = {
    "resume": "resumes a session",
    "fork": "resumes a copy of a session",
    "permissions": "asks before it uses a tool, and waits for [the answer](../../how-to/permissions.md)",
    "messages": "takes messages while it works",
    "tool_servers": "takes [AURA's own tools](../../how-to/tools-for-agents.md) (`--mcp`)",
    "plan": "proposes a plan first if asked (`--approval plan`)",
    "protocol": "shows its words instead of its output",
}


@attrs.frozen
class Agent:
    """An executor, and the module that documents it."""

    executor: Executor
    module: types.ModuleType

    @property
    def program(self) -> Program | None:
        """Its program; None if it has none, or several."""
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
        """The agents that it knows how to run, by name."""
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
        """How AURA was tested with it, derived from the tests."""
        name = self.executor.name
        if self.program is None and not self.presets:
            return "is part of AURA"
        if f'executor="{name}"' in _text("tests/real_agents/roster.py"):
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
    pages = {f"{name}.md": _page(agent) for name, agent in agents.items()}
    return {"index.md": _index(agents), "live.md": _grid(), **pages}


def _declared() -> Mapping[str, str]:
    project = tomllib.loads(_text("pyproject.toml"))["project"]
    return typing.cast("Mapping[str, str]", project["entry-points"]["aura.executors"])


def agent_of(target: str) -> Agent:
    """Return the executor at an entry point, with its module."""
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
        "The agents that AURA can run. An executor knows how to start one kind of agent, how to read its output, and"
        " how to tell success from failure. To add another, [write an executor](../../how-to/write-an-executor.md).",
        table(
            ("executor", "agent", "sessions", "fork", "asks", "AURA's tools", "tested with", "how"),
            [_row(name, agent) for name, agent in agents.items()],
        ),
        "- **sessions**: a follow-up resumes the agent's session. If the agent has lost it, AURA"
        " [replays the conversation](../../explanation/lifecycle.md#sessions) into a new one.\n"
        "- **fork**: it can resume a copy of a session and leave the original unchanged.\n"
        "- **asks**: it asks before it uses a tool, and [a human decides](../../how-to/permissions.md).\n"
        "- **AURA's tools**: it can call [tools that act on its task](../../how-to/tools-for-agents.md).\n"
        "- **how**: what AURA's own tests are based on; [what was tried live](live.md).",
        "Agents change quickly. Other versions may well work; `aura executors NAME` shows the installed one. AURA keeps"
        " and counts output that an executor does not understand, shows it as"
        f" [`unknown`](../entries.md#{anchor(Unknown)}), and carries on.",
        "[Profiles](../../how-to/profiles.md) store options for any of these agents under a name.",
    )


def _row(name: str, agent: Agent) -> tuple[str, ...]:
    can = agent.executor.capability
    marks = ("yes" if mark else "" for mark in (can.resume, can.fork, can.permissions, can.tool_servers))
    return f"[`{name}`]({name}.md)", agent.executor.summary, *marks, agent.tested, agent.how_tested


# --- The grid ---------------------------------------------------------------------------------------------------------

_GRID = "tests/real_agents/grid.json"
"""Written by the tests of real agents, where AURA_GRID says so."""


def _grid() -> str:
    grid = json.loads(_text(_GRID))
    rows = grid["cells"].items()
    right = sum(word not in ("fell", "not run") for _, cells in rows for word in cells.values())
    return page(
        "# Agents, tried live",
        NOTE,
        "Each agent was run by `aura run` in each of these cases, as the real program with a scripted model behind it."
        f" {right} of {sum(len(cells) for _, cells in rows)} went right: **yes**, or right as far as the agent makes it"
        " possible, with what it does not do.",
        table(("agent", *grid["cases"]), [(f"`{agent}`", *cells.values()) for agent, cells in rows]),
        "## Cases",
        table(("case", "right is"), list(grid["cases"].items())),
        "- **told again**: the agent cannot resume the session there, so AURA begins a new one and"
        " [replays the conversation](../../explanation/lifecycle.md#sessions).\n"
        "- **does not ask**: what it may not do fails, and the run with it, as `PermissionDenied`.\n"
        "- **may not tell**: it does not ask, and sometimes leaves no trace of a call that it did not make; then the"
        " run completes without changes.\n"
        "- **not told why**: a denial reaches the agent, and the human's words do not.\n"
        "- **not noticed**: the agent takes half an answer for the whole, and leaves no trace of that.\n"
        "- **by its words**: the agent does not tell the status, so the service's message decides.\n"
        "- **usage incomplete**, **no usage**: it does not report all tokens, or none.",
        "## Packages",
        table(("agent", "package"), [(f"`{agent}`", package) for agent, package in grid["agents"].items()]),
        "To repeat it: `python tests/real_agents/install.py DIR`, then"
        " `AURA_REAL_AGENTS=DIR AURA_GRID=tests/real_agents/grid.json pytest tests/real_agents/test_grid.py`.",
        "These were not run:",
        table(("agent", "why"), [(f"`{agent}`", why) for agent, why in grid["left out"].items()]),
    )


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
        *(("## Behaviour", *body[1:]) if body[1:] else ()),
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
            yield "login is found in", ", ".join(found)
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
    yield (
        "Select one with the option `agent`, or run any other with `--base-command`. Agents without a version follow"
        " their documentation."
    )
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
    """Yield the options: its own first, then those of every agent, then the values of enums."""
    link = {one: anchor(one) for one in _enums(kind)}

    def place(one: type[Any]) -> str:
        return link.get(one, "")

    if words := own_words(kind):
        yield inline(words)
    yield (
        "Set options with `--option NAME=VALUE`. Common ones have arguments of their own: see"
        " [`aura run`](../cli.md#aura-run)."
    )
    shared = AgentOptions.__struct_fields__ if issubclass(kind, AgentOptions) else ()
    yield fields(kind, place, but=shared, noun="option", words=_meaning, nulls=False)
    if shared:
        yield "Every agent also has these:"
        yield fields(AgentOptions, place, noun="option", words=_meaning, nulls=False)
    for one, name in link.items():
        yield f'<a id="{name}"></a>\n\n### {one.__name__}'
        yield inline(own_words(one))
        yield members(one, _meaning)


def _meaning(text: str) -> str:
    """Return the docstring of an option for its users: an option that is left out is None in the source."""
    return inline(re.sub(r"(?:^|(?<=\. ))None: ", "By default: ", text).replace("None: ", "by default: "))


def _enums(kind: type[msgspec.Struct]) -> list[type[Enum]]:
    found = [inner for hint in typing.get_type_hints(kind).values() for inner in types_in(hint)]
    return list(dict.fromkeys(inner for inner in found if issubclass(inner, Enum)))


def _variants(name: str) -> Iterator[str]:
    profiles = [one for one in load_profiles() if one.executor == name and one.variant != DEFAULT]
    if profiles:
        yield "## Variants"
        yield (
            "Sets of options that come with AURA. Choose one with `--variant NAME`, or"
            " [add your own](../../how-to/profiles.md)."
        )
        yield table(
            ("variant", "description", "options"),
            [(f"`{one.variant}`", one.description, ", ".join(_settings(one.options))) for one in profiles],
        )


def _settings(options: Mapping[str, Any]) -> Iterator[str]:
    return (f"`{name}={msgspec.json.encode(value).decode()}`" for name, value in options.items())
