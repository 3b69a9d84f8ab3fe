"""Plain data: what the engine returns, in forms for other programs.

Every state, row, page, record and report is plain data: it compares by value, pickles, converts to a JSON-ready
dictionary (`as_dict`) and back (`from_dict`), and works as a field of pydantic models and in pydantic's `TypeAdapter`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.first_use import convert
from aura_contracts.quoting import VALUE_LIMIT, cut, one_line

DEPTH_LIMIT = 64
"""Maximum nesting of a value that AURA is given. Python's own limit differs between processes."""


def is_too_deep(value: object, limit: int = DEPTH_LIMIT) -> bool:
    """Whether lists and tables are nested more than `limit` deep."""
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return False
    return not limit or any(is_too_deep(part, limit - 1) for part in value)


def as_json(value: object) -> Any:
    """Return data as JSON gives it back: lists for tuples, texts for times. What is not data stays as it is.

    >>> as_json({"pages": ("/login", ("/a", 1))})
    {'pages': ['/login', ['/a', 1]]}
    """
    match value:
        case Mapping():
            return {name: as_json(one) for name, one in value.items()}
        case list() | tuple():
            return [as_json(one) for one in value]
        case datetime():
            return msgspec.to_builtins(value)
        case _:
            return value


class Plain:
    """Base of plain data: structs, and classes of attrs whose fields are plain."""

    __slots__ = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values: times are ISO 8601 strings, bytes are base64."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the value for a dictionary from `as_dict`. Raises `InvalidInput` if the fields do not fit."""
        return cls._of(fields, cls)

    @classmethod
    def _of(cls, fields: Any, kind: Any) -> Self:
        """Return the value for a dictionary. `kind` is the class, with its type arguments if it is generic."""
        try:
            made: Self = convert(fields, kind)
        except msgspec.ValidationError as error:
            remedy = f"give a dictionary from {cls.__name__}.as_dict"
            raise InvalidInput(field=cls.__name__.lower(), reason=str(error), remedy=remedy) from error
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: object) -> Mapping[str, Any]:
        """Let pydantic validate, serialise and describe the data; imports pydantic only when pydantic asks."""
        from pydantic_core import core_schema  # noqa: PLC0415 - contracts do not depend on pydantic

        def validated(value: Any) -> Plain:
            if isinstance(value, cls):
                return value
            try:
                return cls._of(value, source)
            except InvalidInput as error:
                raise ValueError(error.reason) from error

        serialization = core_schema.plain_serializer_function_ser_schema(cls.as_dict)
        return core_schema.no_info_plain_validator_function(validated, serialization=serialization)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, Any]:
        (own,), definitions = msgspec.json.schema_components([cls])
        return dict(_resolved(own, definitions))


def _resolved(schema: Any, definitions: Mapping[str, Any], within: tuple[str, ...] = ()) -> Any:
    """Return a JSON schema with its references inlined: pydantic uses names of its own for definitions.

    What refers to a definition that it is `within` says only the title and type of that one, which end there.
    """
    match schema:
        case {"$ref": str(place)}:
            name = place.rpartition("/")[2]
            found = definitions[name]
            if name in within:
                return {key: found[key] for key in ("title", "type") if key in found}
            return _resolved(found, definitions, (*within, name))
        case dict():
            return {name: _resolved(value, definitions, within) for name, value in schema.items()}
        case list():
            return [_resolved(value, definitions, within) for value in schema]
        case _:
            return schema


def short(value: object, limit: int = VALUE_LIMIT) -> str:
    """Return a value, as JSON unless it is a text, in one line of at most `limit` characters."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return cut(one_line(" ".join(text.split())), limit)
