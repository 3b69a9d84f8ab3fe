"""Engine options: what `open_engine` is given, checked before anything is opened.

Needs no pydantic, whose import takes longer than opening an engine.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import attrs

from aura_contracts import ports
from aura_contracts.errors import InvalidInput
from aura_contracts.lease import GRACE_LIMIT
from aura_contracts.store_url import Compression, StoreUrl
from aura_engine.host import Host, require_person

Check = Callable[[Any, str], None]
"""Raises `InvalidInput` for a value that a field, named second, cannot have."""


# --- Checks -----------------------------------------------------------------------------------------------------------


def _refuse(field: str, value: object, wanted: str) -> NoReturn:
    raise InvalidInput(field=field, reason=f"{ascii(value)[:80]} is not {wanted}", remedy=f"give {wanted}")


def _text(value: Any, field: str) -> None:
    if not isinstance(value, str) or not value.strip():
        _refuse(field, value, "a string that is not blank")
    _require_usable(value, field)


def _require_usable(text: str, field: str) -> None:
    """Refuse what neither the file system nor a database accepts."""
    try:
        usable = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        _refuse(field, text, "a text without NUL characters and halves of surrogate pairs")


def _folder(value: Any, field: str) -> None:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        _refuse(field, value, "the path of a folder")
    _require_usable(os.fsdecode(value), field)


def _flag(value: Any, field: str) -> None:
    if not isinstance(value, bool):
        _refuse(field, value, "True or False")


def _count(value: Any, field: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse(field, value, "a whole number of at least 1")


def _counts(value: Any, field: str) -> None:
    if not isinstance(value, Mapping):
        _refuse(field, value, "a mapping from names of executors to numbers")
    for name, count in value.items():
        _text(name, field)
        _count(count, f"{field}.{name}")


def _grace(value: Any, field: str) -> None:
    if not _is_number(value) or not 0 <= value <= GRACE_LIMIT:
        _refuse(field, value, f"a number of seconds from 0 to {GRACE_LIMIT:.0f}")


def _seconds(value: Any, field: str) -> None:
    if not _is_number(value) or value < 0:
        _refuse(field, value, "a number of seconds, 0 or more")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _executors(value: Any, field: str) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        _refuse(field, value, "a list of executors")
    for place, executor in enumerate(value):
        if not isinstance(executor, ports.Executor):
            _refuse(f"{field}.{place}", executor, "an Executor; installed ones need not be given")


def _host(value: Any, field: str) -> None:
    if not isinstance(value, Host):
        _refuse(field, value, "a Host")


def _required(check: Check) -> Callable[[Any, Any, Any], None]:
    """Return the validator of a field whose value has to pass `check`."""
    return lambda _, attribute, value: check(value, attribute.name)


def _optional(check: Check) -> Callable[[Any, Any, Any], None]:
    """Return the validator of a field whose value is None, or has to pass `check`."""
    return lambda _, attribute, value: None if value is None else check(value, attribute.name)


# --- The arguments ----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class EngineOptions:
    """The arguments of `open_engine`, which has their meaning. Raises `InvalidInput`, and `StoreMisconfigured` for a
    text that is not a store URL."""

    url: str = attrs.field(validator=_required(_text))
    user: str | None = attrs.field(validator=_optional(require_person))
    home: Path | str | None = attrs.field(validator=_optional(_folder))
    executors: "Sequence[ports.Executor]" = attrs.field(validator=_required(_executors))
    project: Path | str | None = attrs.field(validator=_optional(_folder))
    executions: int | None = attrs.field(validator=_optional(_count))
    executions_of: Mapping[str, int] | None = attrs.field(validator=_optional(_counts))
    grace: float = attrs.field(validator=_required(_grace))
    drive_all: bool = attrs.field(validator=_required(_flag))
    record_only: bool = attrs.field(validator=_required(_flag))
    read_only: bool = attrs.field(validator=_required(_flag))
    auditing: bool = attrs.field(validator=_required(_flag))
    encryption_key: str | None = attrs.field(validator=_optional(_text))
    compression: Compression | None = attrs.field(validator=_optional(_text))
    outage_timeout: float | None = attrs.field(validator=_optional(_seconds))
    host: Host | None = attrs.field(validator=_optional(_host))

    def __attrs_post_init__(self) -> None:
        hindrance = "read_only" if self.reading else "record_only" if self.record_only else None
        if self.drive_all and hindrance is not None:
            reason = f"an engine that is {hindrance} drives no tasks"
            raise InvalidInput(field="drive_all", reason=reason, remedy=f"leave out drive_all or {hindrance}")

    @property
    def reading(self) -> bool:
        """Whether the engine only reads its store."""
        return self.read_only or self.auditing or StoreUrl.parse(self.url).read_only
