"""Engine options: the arguments of `open_engine`, checked before anything is opened.

They need no pydantic, whose import takes longer than opening an engine.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import attrs
from msgspec import Meta

from aura_contracts.errors import InvalidInput, require_text
from aura_contracts.lease import GRACE_LIMIT
from aura_contracts.ports.callables import AgentCallable
from aura_contracts.store_url import Compression, StoreUrl
from aura_engine.facade.arguments import Filled, Limit, check_of
from aura_engine.host import Host, require_person

if TYPE_CHECKING:
    from aura_contracts.ports.executors import Executor


def _fits(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Refuse a value that is not of the field's type."""
    check_of(attribute.type)(value, attribute.name)


def _optional(check: Callable[[Any, str], object]) -> Callable[[object, "attrs.Attribute[Any]", Any], object]:
    """Return the validator of a field whose value is None, or has to pass `check`."""
    return lambda _, attribute, value: value is None or check(value, attribute.name)


def _folder(value: Any, field: str) -> None:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        remedy = "give the path of a folder"
        raise InvalidInput(field=field, reason=f"{ascii(value)[:80]} is not a path", remedy=remedy)
    require_text(os.fsdecode(value), field)


def _executors(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value != ():
        from aura_contracts.ports.executors import Executor  # noqa: PLC0415 - most engines are given none

        check_of(Sequence[Executor])(value, attribute.name)


def _callables(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Refuse what is not a mapping of names to functions."""
    if not isinstance(value, Mapping):
        raise InvalidInput(field=attribute.name, reason="it is not a mapping", remedy="give {name: function}")
    for name, function in value.items():
        field = f"{attribute.name}.{name}"
        if not isinstance(name, str) or not _CALLABLE_NAME.fullmatch(name):
            remedy = "begin with a lower-case letter, then lower-case letters, digits and hyphens"
            raise InvalidInput(field=field, reason=f"{name!r} is not a name of an agent", remedy=remedy)
        if not callable(function):
            raise InvalidInput(field=field, reason=f"{function!r} cannot be called", remedy="give a function")


_CALLABLE_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
"""The name of an executor and of a type of agent."""


@attrs.frozen(kw_only=True)
class EngineOptions:
    """The arguments of `open_engine`, which describes them. Raises `InvalidInput`, and `StoreMisconfigured` for a
    text that is not a store URL."""

    url: Filled = attrs.field(validator=_fits)
    user: str | None = attrs.field(validator=_optional(require_person))
    home: Path | str | None = attrs.field(validator=_optional(_folder))
    executors: "Sequence[Executor]" = attrs.field(validator=_executors)
    agents: Mapping[str, AgentCallable] = attrs.field(validator=_callables)
    project: Path | str | None = attrs.field(validator=_optional(_folder))
    executions: Limit | None = attrs.field(validator=_fits)
    executions_of: Mapping[str, Limit] | None = attrs.field(validator=_fits)
    grace: Annotated[float, Meta(ge=0, le=GRACE_LIMIT)] = attrs.field(validator=_fits)
    drive_all: bool = attrs.field(validator=_fits)
    record_only: bool = attrs.field(validator=_fits)
    read_only: bool = attrs.field(validator=_fits)
    auditing: bool = attrs.field(validator=_fits)
    encryption_key: Filled | None = attrs.field(validator=_fits)
    compression: Compression | None = attrs.field(validator=_fits)
    outage_timeout: Annotated[float, Meta(ge=0)] | None = attrs.field(validator=_fits)
    policies: Sequence[Callable[..., Any]] = attrs.field(validator=_fits)
    sample_agents: bool = attrs.field(validator=_fits)
    host: Host | None = attrs.field(validator=_fits)

    def __attrs_post_init__(self) -> None:
        hindrance = "read_only" if self.reading else "record_only" if self.record_only else None
        if self.drive_all and hindrance is not None:
            reason = f"an engine that is {hindrance} drives no tasks"
            raise InvalidInput(field="drive_all", reason=reason, remedy=f"leave out drive_all or {hindrance}")
        if self.agents and hindrance is not None:
            reason = f"an engine that is {hindrance} runs no agents"
            raise InvalidInput(field="agents", reason=reason, remedy=f"leave out agents or {hindrance}")

    @property
    def reading(self) -> bool:
        """Whether the engine only reads its store."""
        return self.read_only or self.auditing or StoreUrl.parse(self.url).read_only
