"""Values: types, fields and members in words."""

import builtins
import json
import sys
import types
import typing
from collections.abc import Callable, Container, Iterator
from enum import Enum
from itertools import chain
from typing import Any

import msgspec

from generator.markdown import table
from generator.source import attribute_docs

Link = Callable[[type[Any]], str]
"""Returns the anchor of a type described on the same page; empty for any other type."""

_WORDS = {Any: "any", bool: "true or false", bytes: "base64", float: "number", int: "integer", str: "text"} | {
    types.NoneType: "null"
}

_BOUNDS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))


def anchor(kind: type[Any]) -> str:
    """Return the name of the place where a type is described."""
    return f"{home(kind).rpartition('.')[2]}-{kind.__name__}".lower()


def home(kind: type[Any]) -> str:
    """Return the module that programs import a type from: of an aggregate in a package of its own, that package."""
    module = kind.__module__
    package = sys.modules[module.rpartition(".")[0]]
    return package.__name__ if package.__name__.count(".") and hasattr(package, kind.__name__) else module


def fields(
    kind: type[Any],
    link: Link,
    *,
    but: Container[str] = (),
    noun: str = "field",
    words: Callable[[str], str] = str,
    nulls: bool = True,
) -> str:
    """Return the table of the fields of a struct, except those in `but`.

    `words` transforms the text below each field. Without `nulls`, a field whose default is null is shown as optional.
    """
    hints, docs = typing.get_type_hints(kind, include_extras=True), attribute_docs(kind)
    rows = [
        (
            f"`{field.name}`",
            type_words(hints[field.name] if nulls else _but_null(hints[field.name]), link),
            default(field) if nulls or field.default is not None else "",
            words(docs.get(field.name, "")),
        )
        for field in msgspec.structs.fields(kind)
        if field.name not in but
    ]
    if docs:
        return table((noun, "type", "default", "meaning"), rows)
    return table((noun, "type", "default"), [row[:3] for row in rows])


def _but_null(hint: Any) -> Any:
    args = typing.get_args(hint)
    if type(None) not in args:
        return hint
    return typing.Union[tuple(arg for arg in args if arg is not type(None))]  # noqa: UP007 - of as many as there are


def members(kind: type[Enum], words: Callable[[str], str] = str) -> str:
    """Return the values of an enum, with the text below each."""
    docs = attribute_docs(kind)
    if not any(member.name in docs for member in kind):
        return "One of " + ", ".join(f"`{member.value}`" for member in kind) + "."
    return "\n".join(f"- `{member.value}`: {words(docs.get(member.name, ''))}".rstrip(": ") for member in kind)


def default(field: msgspec.structs.FieldInfo) -> str:
    """Return the default of a field as JSON; empty if it is required."""
    if field.required:
        return ""
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if isinstance(value, msgspec.Struct):
        return "its defaults"
    return f"`{json.dumps(msgspec.to_builtins(value))}`"


def type_words(hint: Any, link: Link) -> str:
    """Return an annotation in words, with links to the types described on the page."""
    args = typing.get_args(hint)
    if args:
        return _made_of(typing.get_origin(hint), args, link)
    if hint in _WORDS:
        return _WORDS[hint]
    place = link(hint) if isinstance(hint, type) else ""
    return f"[{hint.__name__}](#{place})" if place else str(hint.__name__)


def _made_of(origin: Any, args: tuple[Any, ...], link: Link) -> str:
    match origin:
        case typing.Annotated:
            return type_words(args[0], link) + "".join(_bounds(meta) for meta in args[1:])
        case typing.Literal:
            return " or ".join(f"`{value}`" for value in args)
        case typing.Union | types.UnionType:
            return " or ".join(type_words(arg, link) for arg in args)
        case builtins.dict:
            return f"object of {type_words(args[1], link)}"
        case _:
            return f"list of {type_words(args[0], link)}"


def _bounds(meta: Any) -> str:
    if not isinstance(meta, msgspec.Meta):
        return ""
    return "".join(f", {words} {getattr(meta, name)}" for name, words in _BOUNDS if getattr(meta, name) is not None)


def types_in(hint: Any) -> Iterator[type[Any]]:
    """Yield every class in an annotation."""
    if isinstance(hint, type) and not typing.get_args(hint):
        yield hint
    yield from chain.from_iterable(types_in(arg) for arg in typing.get_args(hint))
