"""Findings: what examinations of the machine and the store find, and their fixes."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, Self

import attrs
import msgspec

from aura_contracts.plain_data import Plain


class _Told(msgspec.Struct, Plain):
    """What a finding tells."""

    id: str
    kind: str
    status: Literal["ok", "note", "wrong", "fixed"]
    text: str
    remedy: str


@attrs.frozen(kw_only=True)
class Finding(Plain):
    """The result of a check. `fix` repairs the problem and returns what it did, or what remains.

    Without one, only a person can repair it.
    """

    id: str
    kind: str
    """``python``, ``git``, ``settings``, ``profiles``, ``store``, ``notification``, ``task``, ``process``,
    ``worktree``."""
    status: Literal["ok", "note", "wrong", "fixed"]
    text: str
    remedy: str = ""
    fix: Callable[[], Awaitable["str | Finding"]] | None = attrs.field(default=None, eq=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values, without the fix."""
        return {name: getattr(self, name) for name in _Told.__struct_fields__}

    @classmethod
    def _of(cls, fields: Any, kind: Any) -> Self:  # noqa: ARG003 - a fix is not data
        """Return the finding for a dictionary; it has no fix."""
        return cls(**msgspec.structs.asdict(_Told.from_dict(fields)))

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        return _Told.__get_pydantic_json_schema__(schema, handler)
