"""Agent types: which type of agent a task is for, by the rules in ``agent-types.toml`` in AURA's folder.

    # agent-types.toml
    default = "developer"

    [labels]                # the first label of a task that is listed decides
    migration = "database"

    [projects]              # if no label does
    shop = "developer"

A type that the task names itself wins over all rules, and a rule over the type of its project (`engine.projects`).
Without any of these and a default, a task is for an agent of any type.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import anyio
import anyio.to_thread
import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.task import AgentType, parse_agent_type
from aura_engine.profiles import read_file

_NONE: Mapping[str, AgentType] = MappingProxyType({})


class AgentTypeChoice(NamedTuple):
    """The type of agent that a task is for, None for any, and why."""

    type: AgentType | None
    reason: str


@attrs.frozen
class AgentTypes:
    """The rules."""

    labels: Mapping[str, AgentType] = _NONE
    projects: Mapping[str, AgentType] = _NONE
    default: AgentType | None = None

    def choose(
        self, given: str | None, labels: Iterable[str], project: str | None, projects_own: str = ""
    ) -> AgentTypeChoice:
        """Return the type that a task with these labels, in this project, is for.

        `given` is the one that it names, and `projects_own` the one that its project has.
        """
        if given:
            return AgentTypeChoice(AgentType(given), "it names the type")
        for label in labels:
            if label in self.labels:
                return AgentTypeChoice(self.labels[label], f"rule for the label {label}")
        if project is not None and project in self.projects:
            return AgentTypeChoice(self.projects[project], f"rule for the project {project}")
        if projects_own:
            return AgentTypeChoice(AgentType(projects_own), f"type of the project {project}")
        if self.default is not None:
            return AgentTypeChoice(self.default, "default of agent-types.toml")
        return AgentTypeChoice(None, "default: any type")


@attrs.define
class AgentTypeFile:
    """The user's rules, read when they are first needed; without the file nothing is ruled."""

    path: Path | None = None
    _loaded: AgentTypes | None = attrs.field(default=None, init=False)

    async def load(self) -> AgentTypes:
        """Return the rules, always the same. Raises `InvalidInput`, which names the file and the key."""
        if self._loaded is None:
            data = None if self.path is None else await anyio.to_thread.run_sync(read_file, self.path)
            self._loaded = AgentTypes() if data is None else parse(data, str(self.path))
        return self._loaded


def parse(data: bytes, source: str) -> AgentTypes:
    """Return the rules of a file. Raises `InvalidInput`."""
    try:
        found = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(field=source, reason=f"it is not valid TOML: {error}") from error
    unknown = found.keys() - {"labels", "projects", "default"}
    if unknown:
        remedy = "use default, [labels] and [projects]"
        raise InvalidInput(field=f"{source}: {min(unknown)}", reason="there is no such key", remedy=remedy)
    default = found.get("default")
    return AgentTypes(
        labels=_table(found.get("labels", {}), f"{source}: labels"),
        projects=_table(found.get("projects", {}), f"{source}: projects"),
        default=None if default is None else _type(default, f"{source}: default"),
    )


def _table(found: Any, place: str) -> Mapping[str, AgentType]:
    if not isinstance(found, dict):
        raise InvalidInput(field=place, reason="it is not a table", remedy='write lines like migration = "database"')
    return MappingProxyType({name: _type(value, f"{place}.{name}") for name, value in found.items()})


def _type(found: Any, place: str) -> AgentType:
    if not isinstance(found, str):
        raise InvalidInput(field=place, reason=f"{found!r} is not a text", remedy="name a type of agent")
    return parse_agent_type(found, place)
