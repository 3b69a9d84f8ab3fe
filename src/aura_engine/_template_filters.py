"""The filters of prompt templates, and what bounds them: work, output and the size of values."""

import json
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Sized, ValuesView
from datetime import date, time
from types import NoneType
from typing import Any

from jinja2 import Undefined, pass_context, pass_environment
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

STEP_LIMIT = 100_000
"""Loop iterations, calls, includes, and printed parts of values."""

INDENT_LIMIT = 200

_FILTERS = """
    abs capitalize count d default dictsort first float groupby int items last length list lower map max min reject
    rejectattr reverse round select selectattr sort sum title trim truncate unique upper wordcount
"""

_SHALLOW = ["items", "list", "map", "reject", "rejectattr", "reverse", "select", "selectattr"]
"""Filters that walk through what they are given."""

_DEEP = ["dictsort", "groupby", "max", "min", "sort", "sum", "unique"]
"""Filters that compare, add or hash what they are given."""

_COMPARING = """
    != < <= == > >= eq equalto ge greaterthan gt in le lessthan lt ne
"""
"""Tests that compare."""

ARGUMENT_LIMIT = 100
"""Maximum characters, or digits, of what is looked for or removed, where the cost is the product of both lengths."""

JOINED = 4
"""Joining 2 to the power of this many texts costs one step, besides copying them."""

COPIED = 8
"""Copying or searching 2 to the power of this many characters or elements costs one step."""

_OF_TEXT = ("capitalize", "lower", "title", "upper", "wordcount")
"""Filters that make a text of whatever they are given."""

_PRINTED = (int, float, range, NoneType, Undefined, date, time)
"""What is printed as it is, besides text, lists and tables; an `Undefined` raises when it is."""


class LimitReached(TemplateRuntimeError):
    """The template exceeds a limit."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """An environment for one rendering: it counts, and has the filters below. `limit` is in characters."""

    limit: int

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._steps = 0
        self._size = 0
        self.filters = _BOUNDED_FILTERS
        self.tests = _BOUNDED_TESTS

    def start(self) -> None:
        """Begin to count from zero."""
        self._steps = 0
        self._size = 0

    def step(self, count: int = 1) -> None:
        """Count work."""
        self._steps += count
        if self._steps > STEP_LIMIT:
            raise LimitReached(f"it takes more than {STEP_LIMIT} steps: loops, calls and includes")

    def put(self, size: int) -> None:
        """Count characters of output, into the prompt or into a block or macro."""
        self._size += size
        if self._size > 4 * self.limit:
            raise LimitReached(f"it assembles more than {4 * self.limit} characters")

    def copy(self, value: object) -> None:
        """Count what it takes to copy a value, or to search it for a plain one."""
        if isinstance(value, Sized) and not isinstance(value, Undefined):
            self.step(len(value) >> COPIED)

    def compare(self, value: object) -> None:
        """Count what it takes to compare or hash a value: all of its parts, as often as they occur in it."""
        if is_scalar(value):
            return self.copy(value) if isinstance(value, str) else None
        parts = [value]
        while parts:
            part = parts.pop()
            if isinstance(part, str):
                self.step(len(part) >> COPIED)
            elif isinstance(part, list | tuple):
                self.step(len(part))
                parts.extend(part)
            elif isinstance(part, dict):
                self.step(len(part))
                parts.extend(part.values())
        return None

    def require(self, size: int) -> None:
        """Refuse to create a value that is larger than a prompt may be."""
        if size > self.limit:
            raise LimitReached(f"a value takes more than {self.limit} characters")

    def measure(self, value: object) -> None:
        """Refuse to print a list or table that is larger than a prompt may be; it may contain itself many times.

        Refuse also what is not data: an iterator is printed as its address, which differs each time.
        """
        parts, size = [value], 0
        while parts:
            part = parts.pop()
            if isinstance(part, str):
                size += len(part)
                self.require(size)
            elif isinstance(part, list | tuple):
                self.step(len(part))
                parts.extend(part)
            elif isinstance(part, dict):
                self.step(len(part))
                parts.extend(part.keys())
                parts.extend(part.values())
            elif isinstance(part, KeysView | ValuesView | ItemsView):
                parts.extend(part)
            elif callable(part) and not isinstance(part, Undefined):
                raise TemplateRuntimeError("a function cannot be printed; call it")
            elif not isinstance(part, _PRINTED):
                kind = type(part).__name__
                raise TemplateRuntimeError(f"a value of type {kind} cannot be printed; use the filter list or join")
        self.step(size >> COPIED)


# --- Filters ----------------------------------------------------------------------------------------------------------


@pass_context
def put_out(context: Context, value: Any) -> Any:
    """Count the output."""
    sandbox = _bounded(context)
    text = value if isinstance(value, str) else _text(sandbox, value)
    sandbox.put(len(text))
    return text


@pass_context
def _count(context: Context, values: Iterable[Any]) -> Iterator[Any]:
    """Count the rounds of a loop."""
    sandbox = _bounded(context)
    for value in values:
        sandbox.step()
        yield value


def _charged(apply: Callable[..., Any], charge: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that counts what it is given, and what comes out of it one by one."""
    wants = getattr(apply, "jinja_pass_arg", None)

    @pass_context
    def charged(context: Context, value: Any, *args: Any, **more: Any) -> Any:
        sandbox = _bounded(context)
        own = () if wants is None else ({"context": context, "environment": sandbox}.get(wants.name, context.eval_ctx),)
        result = apply(*own, charge(sandbox, value), *args, **more)
        return _count(context, result) if isinstance(result, Iterator) else result

    return charged


def _walked(sandbox: BoundedEnvironment, values: Any) -> Any:
    if isinstance(values, Sized) and not isinstance(values, Undefined):
        sandbox.step(len(values) >> 2)
    return values


def _whole(sandbox: BoundedEnvironment, values: Any) -> Any:
    if isinstance(values, Iterable) and not isinstance(values, Undefined | str | dict):
        values = list(values)
    sandbox.compare(values)
    return values


def _compares(apply: Any) -> Callable[..., Any]:
    """Return a test that counts what it compares."""

    @pass_environment
    def tested(sandbox: BoundedEnvironment, value: Any, *others: Any) -> Any:
        for one in (value, *others):
            sandbox.compare(one)
        return apply(value, *others)

    return tested


@pass_environment
def _contains(sandbox: BoundedEnvironment, value: Any, values: Any) -> bool:
    """Whether `values` contain `value`. A search for a plain value is fast; to compare others takes what they hold."""
    if is_scalar(value):
        sandbox.copy(values)
    else:
        sandbox.compare(value)
        sandbox.compare(values)
    return value in values


@pass_environment
def _compared(sandbox: BoundedEnvironment, value: Any) -> Any:
    sandbox.compare(value)
    return value


@pass_environment
def _copied(sandbox: BoundedEnvironment, value: Any) -> Any:
    sandbox.copy(value)
    return value


@pass_environment
def _key(sandbox: BoundedEnvironment, value: Any) -> Any:
    """Refuse a key that is a tuple: to hash it may take forever."""
    if not is_scalar(value):
        raise TemplateRuntimeError(f"a {type(value).__name__} cannot be a key")
    return value


def is_scalar(value: object) -> bool:
    """Whether it has no parts."""
    return value is None or isinstance(value, str | int | float)


def _bounded(context: Context) -> BoundedEnvironment:
    environment = context.environment
    assert isinstance(environment, BoundedEnvironment), "its filters are used nowhere else"
    return environment


@pass_context
def _sum(context: Context, values: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """Add numbers: to join lists would copy each many times."""
    if not isinstance(start, int | float):
        raise TemplateRuntimeError("only numbers can be added up; join texts with the filter join")
    return _ADD(context, values, attribute, start)


def _round(value: Any, precision: int = 0, method: str = "common") -> Any:
    if abs(precision) > ARGUMENT_LIMIT:
        raise LimitReached(f"a number is rounded to at most {ARGUMENT_LIMIT} digits")
    return FILTERS["round"](value, precision, method)


def _int(value: Any, default: Any = 0, base: int = 10) -> Any:
    if isinstance(value, str) and len(value) > ARGUMENT_LIMIT:
        raise LimitReached(f"a number has at most {ARGUMENT_LIMIT} digits")
    return FILTERS["int"](value, default, base)


@pass_environment
def _trim(sandbox: BoundedEnvironment, value: Any, chars: str | None = None) -> str:
    if len(chars or "") > ARGUMENT_LIMIT:
        raise LimitReached(f"trim removes at most {ARGUMENT_LIMIT} characters")
    return str(FILTERS["trim"](_text(sandbox, value), chars))


@pass_environment
def _text(sandbox: BoundedEnvironment, value: object) -> str:
    sandbox.measure(value)
    return str(value)


def _of_text(apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that is given only what can be printed."""

    @pass_environment
    def applied(sandbox: BoundedEnvironment, s: object, *args: Any, **more: Any) -> Any:
        return apply(_text(sandbox, s), *args, **more)

    return applied


@pass_environment
def _truncate(sandbox: BoundedEnvironment, s: object, *args: Any, **more: Any) -> Any:
    return FILTERS["truncate"](sandbox, _text(sandbox, s), *args, **more)


@pass_environment
def _join(sandbox: BoundedEnvironment, values: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        values = map(make_attrgetter(sandbox, attribute), values)
    texts = [_text(sandbox, value) for value in values]
    between = _text(sandbox, d)
    size = sum(map(len, texts)) + len(between) * len(texts)
    sandbox.require(size)
    sandbox.step((len(texts) >> JOINED) + (size >> COPIED))
    return between.join(texts)


@pass_environment
def _replace(sandbox: BoundedEnvironment, s: Any, old: Any, new: Any, count: int = -1) -> str:
    text, old, new = _text(sandbox, s), _text(sandbox, old), _text(sandbox, new)
    sandbox.require(len(text) + text.count(old) * len(new))
    return text.replace(old, new, count)


@pass_environment
def _indent(sandbox: BoundedEnvironment, s: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:  # noqa: FBT001, FBT002 - as Jinja has it
    """Indent the lines of a text by `width`; the first line and blank ones only on request."""
    if (width if isinstance(width, int) else len(width)) > INDENT_LIMIT:
        raise LimitReached(f"an indent is at most {INDENT_LIMIT} wide")
    before = " " * width if isinstance(width, int) else width
    lines = _text(sandbox, s).split("\n")
    sandbox.require(sum(map(len, lines)) + len(before) * len(lines))
    return "\n".join(
        before + line if (first or index) and (blank or line) else line for index, line in enumerate(lines)
    )


@pass_environment
def _json(sandbox: BoundedEnvironment, value: Any, indent: int | None = None) -> str:
    """Write readable JSON; Jinja's own filter escapes HTML characters."""
    if indent is not None and indent > INDENT_LIMIT:
        raise LimitReached(f"an indent is at most {INDENT_LIMIT} wide")
    sandbox.measure(value)
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_not_json)


def _not_json(value: object) -> str:
    if isinstance(value, Undefined):
        return str(value)  # which raises
    raise TemplateRuntimeError(f"{type(value).__name__} cannot be written as JSON")


_ADD = _charged(FILTERS["sum"], _whole)

_BOUNDED_FILTERS: dict[str, Any] = {
    **{name: FILTERS[name] for name in _FILTERS.split()},
    **{name: _of_text(FILTERS[name]) for name in _OF_TEXT},
    **{name: _charged(FILTERS[name], _walked) for name in _SHALLOW},
    **{name: _charged(FILTERS[name], _whole) for name in _DEEP},
    "indent": _indent,
    "int": _int,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "string": _text,
    "sum": _sum,
    "tojson": _json,
    "trim": _trim,
    "truncate": _truncate,
    "_compared": _compared,
    "_copied": _copied,
    "_counted": _count,
    "_key": _key,
}

_BOUNDED_TESTS: dict[str, Any] = {
    **TESTS,
    **{name: _compares(TESTS[name]) for name in _COMPARING.split()},
    "in": _contains,
}
