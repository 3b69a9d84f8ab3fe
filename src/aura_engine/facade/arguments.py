"""Arguments: what callers give the facade's methods, checked against the methods' own signatures.

An argument of another type than the signature names, an unknown one and one out of range are refused with
`InvalidInput`, before the method does anything. Beyond the types:

- A text without a default is not blank, and no text holds what a database cannot store.
- What the log keeps holds no secret.
- A number is from 0 to 2**63 - 1: the facade's numbers are positions, limits and counts.
- A member of an enumeration may be given as its value.
- `RunOptions` and the like are left to the models in `aura_engine.inputs`; filters are checked here.

The checks of a method are built when it is first called and need no pydantic, so opening and reading stay fast.
"""

import inspect
import math
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from importlib import import_module
from typing import (
    Annotated,
    Any,
    Literal,
    NoReturn,
    Protocol,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from aura_contracts.actors import parse_actor
from aura_contracts.errors import InvalidInput, require_text
from aura_contracts.first_use import decode_json
from aura_contracts.plain_data import as_json
from aura_contracts.ports.time_arguments import instant_of
from aura_contracts.quoting import cut

Check = Callable[[object, str], object]
"""Returns a value, perhaps converted, for a field of this name. Raises `InvalidInput`."""

Limit = Annotated[int, msgspec.Meta(ge=1)]
"""The most items to return, from 1."""

Filled = Annotated[str, msgspec.Meta(min_length=1)]
"""A text that is not blank."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""A number from 0 to 1."""

T = TypeVar("T")

_KEPT = msgspec.Meta(description="holds no secret")

Kept = Annotated[T, _KEPT]
"""What the log keeps forever: no text in it may be a secret."""

MAX_INTEGER = 2**63 - 1
"""The greatest integer of a database."""

_SHOWN = 60
"""Maximum characters of a value in a message."""


class Signature:
    """The checks of one method, by argument."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.positional: list[str] = []
        self.checks: dict[str, Check] = {}
        self.open = False
        """Whether further names are checked by an input model."""
        for parameter in list(inspect.signature(method).parameters.values())[1:]:
            hint = parameter.annotation
            if parameter.kind is parameter.VAR_KEYWORD:
                self._add_options(get_args(hint)[0] if get_origin(hint) is Unpack else hint)
                continue
            if parameter.kind is not parameter.KEYWORD_ONLY:
                self.positional.append(parameter.name)
            required = parameter.default is parameter.empty
            if parameter.name == "by" and hint == str | None:
                self.checks["by"] = _actor
            else:
                self.checks[parameter.name] = _required(hint) if required else check_of(hint)

    def _add_options(self, options: Any) -> None:
        self.open = options.__name__.endswith("Options")
        if not self.open:
            self.checks.update({name: check_of(hint) for name, hint in get_type_hints(options).items()})

    def check(
        self, given: tuple[object, ...], named: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return the arguments, converted. Those that are missing or too many are left for Python to refuse."""
        names = self.positional
        values = [
            self.checks[names[place]](value, names[place]) if place < len(names) else value
            for place, value in enumerate(given)
        ]
        return tuple(values), {name: self._named(name, value) for name, value in named.items()}

    def _named(self, name: str, value: object) -> object:
        check = self.checks.get(name)
        if check is not None:
            return check(value, name)
        if not self.open:
            near = _nearest(name, self.checks)
            remedy = f"did you mean {near}?" if near else f"the arguments are {', '.join(self.checks) or 'none'}"
            raise InvalidInput(field=name, reason="there is no such argument", remedy=remedy)
        return value


class _Identified(Protocol):
    """A run, blocking or not, or a task."""

    @property
    def id(self) -> str: ...


def ids_of(after: Collection[_Identified | str] | _Identified | str) -> Sequence[str]:
    """Return the ids that `after` gives: one, or a collection. Raises `InvalidInput`."""
    several = after if isinstance(after, Collection) and not isinstance(after, str) else [after]
    ids = [one if isinstance(one, str) else getattr(one, "id", None) for one in several]
    found = [one for one in ids if isinstance(one, str)]
    if len(found) != len(ids):
        reason = f"{ascii(after)[:80]} is not a list of runs or ids of tasks"
        raise InvalidInput(field="after", reason=reason, remedy="give a run, an id, or a list of them")
    return found


# --- Checks by type ---------------------------------------------------------------------------------------------------


def _required(hint: Any) -> Check:
    """Return the check of an argument without a default."""
    if hint is str:
        return _filled
    return _kept(_filled) if hint == Kept[str] else check_of(hint)


def check_of(hint: Any) -> Check:
    """Return the check of a type."""
    if isinstance(hint, str):
        hint = getattr(import_module("aura_engine"), hint)  # importing it above would import pydantic
    hint = getattr(hint, "__supertype__", hint)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if get_origin(hint) is not None:
        return __check_of_form(hint)
    if issubclass(hint, Enum):
        return _one_of({str(member.value): member for member in hint})
    return _instance(hint)


def __check_of_form(hint: Any) -> Check:  # noqa: PLR0911 - a case for each form
    """Return the check of a type made of others."""
    origin: Any = get_origin(hint)
    arguments = get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Annotated:
        inner = check_of(arguments[0])
        if arguments[1] is _KEPT:
            return _kept(inner)
        return _filled if arguments[1].min_length else _bounded(inner, arguments[1])
    if origin is Literal:
        return _one_of({value: value for value in arguments})
    if origin is type:
        return _instance(type)
    if issubclass(origin, Mapping):
        return _mapping(*(check_of(argument) for argument in arguments))
    if issubclass(origin, Collection):
        return _collection(check_of(arguments[0]))
    return _callable


def _kept(check: Check) -> Check:
    from aura_contracts.secrets import require_no_secret_within  # noqa: PLC0415 - its patterns take milliseconds

    def without_secret(value: object, field: str) -> object:
        """Return the value as the log gives it back."""
        found = check(value, field)
        require_no_secret_within(msgspec.to_builtins(found), field)
        return as_json(found)

    return without_secret


def _anything(value: object, _field: str) -> object:
    return value


def _none(value: object, field: str) -> None:
    if value is not None:
        _refuse(field, value, "None")


def _text(value: object, field: str) -> str:
    if not isinstance(value, str):
        _refuse(field, value, "a string")
    return require_text(value, field)


def _filled(value: object, field: str) -> str:
    text = _text(value, field)
    if not text.strip():
        raise InvalidInput(field=field, reason="it is empty", remedy="give a text that is not blank")
    return text


def _actor(value: object, field: str) -> str | None:
    """Check the name of a person, or an actor with its kind."""
    if value is None:
        return None
    name = _filled(value, field)
    try:
        parse_actor(name if ":" in name else f"human:{name}")
    except InvalidInput as error:
        raise InvalidInput(field=field, reason=error.reason, remedy=f"give a name, or {error.remedy}") from error
    return name


def _whole(value: object, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(field, value, "an integer")
    if not 0 <= value <= MAX_INTEGER:
        raise InvalidInput(field=field, reason=f"{_shown(value)} is out of range", remedy="use 0 or a number above it")
    return value


def _number(value: object, field: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        _refuse(field, value, "a finite number")
    return value


def _flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        _refuse(field, value, "True or False")
    return value


def _time(value: object, field: str) -> datetime:
    if not isinstance(value, date):
        _refuse(field, value, "an aware datetime or a date")
    return instant_of(value, field)


def _callable(value: object, field: str) -> object:
    if not callable(value):
        _refuse(field, value, "callable")
    return value


_SIMPLE: dict[object, Check] = {
    Any: _anything,
    type(None): _none,
    None: _none,
    str: _text,
    int: _whole,
    float: _number,
    bool: _flag,
    datetime: _time,
    date: _time,
}


def _bounded(check: Check, bounds: msgspec.Meta) -> Check:
    low, high = bounds.ge, bounds.le

    def within(value: object, field: str) -> object:
        found: Any = check(value, field)
        if (low is not None and found < low) or (high is not None and found > high):
            wanted = f"{low} or more" if high is None else f"from {low} to {high}"
            raise InvalidInput(field=field, reason=f"{_shown(value)} is not {wanted}", remedy=f"give {wanted}")
        return found

    return within


def _one_of(members: Mapping[object, object]) -> Check:
    """Return the check of an enumeration or a literal, by value."""
    values = ", ".join(map(str, members))

    def member(value: object, field: str) -> object:
        if not isinstance(value, str) or value not in members:
            near = _nearest(value, map(str, members)) if isinstance(value, str) else ""
            remedy = f"did you mean {near}?" if near else f"use one of {values}"
            raise InvalidInput(field=field, reason=f"{_shown(value)} is not one of its values", remedy=remedy)
        return members[value]

    return member


def _union(hints: tuple[object, ...]) -> Check:
    """Return the check of several types. An enumeration besides `str` accepts its values only."""
    named = any(isinstance(hint, type) and issubclass(hint, Enum) for hint in hints)
    checks = [check_of(hint) for hint in hints if hint is not type(None) and not (named and hint is str)]
    optional = type(None) in hints

    def any_of(value: object, field: str) -> object:
        if value is None and optional:
            return None
        refusals = []
        for check in checks:
            try:
                return check(value, field)
            except InvalidInput as error:
                refusals.append(error)
        raise refusals[0] if len({str(one.remedy) for one in refusals}) == 1 else _combined(refusals, value, field)

    return any_of


def _combined(refusals: list[InvalidInput], value: object, field: str) -> InvalidInput:
    """Return the refusal of a value by several types; one that says more than the type is wrong is the best."""
    telling = next((one for one in refusals if not one.remedy.startswith(_GIVE)), None)
    if telling is not None:
        return telling
    wanted = " or ".join(one.remedy.removeprefix(_GIVE) for one in refusals)
    return InvalidInput(field=field, reason=f"{_shown(value)} is not {wanted}", remedy=f"{_GIVE}{wanted}")


def _collection(check: Check) -> Check:
    def each(value: object, field: str) -> object:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
            _refuse(field, value, "a list")
        return [check(one, f"{field}.{place}") for place, one in enumerate(value)]

    return each


def _mapping(key: Check, check: Check) -> Check:
    def each(value: object, field: str) -> object:
        if not isinstance(value, Mapping):
            _refuse(field, value, "a mapping")
        return {key(name, field): check(one, f"{field}.{name}") for name, one in value.items()}

    return each


def _instance(kind: type) -> Check:
    """Return the check of a class; a struct is returned as the log would give it back, its fields checked."""

    def instance(value: object, field: str) -> object:
        if not isinstance(value, kind):
            article = "an" if kind.__name__[0] in "AEIO" else "a"
            _refuse(field, value, f"{article} {kind.__name__}")
        if isinstance(value, msgspec.Struct):
            try:
                return decode_json(msgspec.json.encode(value), type(value))
            except (ValueError, TypeError) as error:  # UnicodeEncodeError and msgspec's own are among them
                reason, _, place = str(error).partition(" - at `$")
                raise InvalidInput(
                    field=f"{field}{place.rstrip('`')}", reason=reason, remedy=f"give what {kind.__name__} takes"
                ) from error
        return value

    return instance


# --- Refusals ---------------------------------------------------------------------------------------------------------

_GIVE = "give "


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return the most similar word, or "" if none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for mistakes

    return next(iter(get_close_matches(word, [*known], n=1)), "")


def _refuse(field: str, value: object, wanted: str) -> NoReturn:
    raise InvalidInput(field=field, reason=f"{_shown(value)} is not {wanted}", remedy=f"{_GIVE}{wanted}")


def _shown(value: object) -> str:
    """Return a value for a message; one whose type does not matter is shown by its type."""
    if not isinstance(value, str | bytes | int | float | bool | None):
        return f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
    text = ascii(value) if not isinstance(value, int) or abs(value) <= MAX_INTEGER else "a number of more than 64 bits"
    return cut(text, _SHOWN)
