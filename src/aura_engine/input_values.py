"""Input values: what the models of inputs are made of, and their base, which raises `InvalidInput` for every fault."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any, Self, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from aura_contracts.actors import is_person
from aura_contracts.approval import Level
from aura_contracts.errors import InvalidInput, require_text
from aura_contracts.executor_names import executor_name
from aura_contracts.first_use import convert
from aura_contracts.path_patterns import require_pattern
from aura_contracts.permission import Rule
from aura_contracts.plain_data import as_json, is_too_deep
from aura_contracts.run_plan import Script
from aura_contracts.secrets import require_no_secret
from aura_contracts.task import RetryPolicy
from aura_engine.decisions._decider import retry_problem

T = TypeVar("T")

KEY_LENGTH = 200
"""Maximum characters of the key of a request."""


# --- Values -----------------------------------------------------------------------------------------------------------


def _filled(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("empty", "it is empty", {"remedy": "give a text that is not blank"})
    return text


def _storable(text: str) -> str:
    try:
        storable = b"\0" not in text.encode()
    except UnicodeEncodeError:
        storable = False
    if not storable:
        given = {"remedy": "use characters only"}
        raise PydanticCustomError("storable", "it holds NUL or half of a surrogate pair", given)
    return text


def _person(text: str) -> str:
    if not is_person(_filled(text)):
        raise PydanticCustomError(
            "person", "{text} is not a name", {"text": repr(text), "remedy": "write the name alone, such as alice"}
        )
    return text


def _retry(value: Any) -> RetryPolicy:
    policy = _struct(RetryPolicy)(value)
    if problem := retry_problem(policy):
        raise PydanticCustomError("retry", "{reason}", {"reason": problem, "remedy": "see RetryPolicy"})
    return policy


def _rule(text: str) -> str:
    try:
        Rule.parse(text)
    except InvalidInput as error:
        given = {"reason": error.reason, "remedy": error.remedy}
        raise PydanticCustomError("rule", "{reason}", given) from error
    return text


def _path_pattern(text: str) -> str:
    try:
        require_pattern(text, "pattern")
    except InvalidInput as error:
        given = {"reason": error.reason, "remedy": error.remedy}
        raise PydanticCustomError("pattern", "{reason}", given) from error
    return text


def _struct(kind: type[T]) -> Callable[[Any], T]:
    """Return a converter from plain data to a struct; structs pass unchanged."""

    def made(value: Any) -> T:
        if isinstance(value, kind):
            return value
        try:
            return convert(value, kind)
        except msgspec.ValidationError as error:
            given = {"reason": str(error), "remedy": f"see {kind.__name__}"}
            raise PydanticCustomError("struct", "{reason}", given) from error

    return made


def _script(value: Any) -> Any:
    if value is None:
        return None
    return Script(text=value) if isinstance(value, str) else _struct(Script)(value)


def _aware(time: datetime) -> datetime:
    if time.utcoffset() is None:
        given = {"remedy": "use an aware datetime, for example datetime.now(UTC)"}
        raise PydanticCustomError("aware", "it has no time zone", given)
    return time


AwareTime = Annotated[datetime, AfterValidator(_aware)]
Filled = Annotated[str, AfterValidator(_filled)]
ExecutorName = Annotated[Filled, AfterValidator(executor_name)]
Key = Annotated[str, Field(max_length=KEY_LENGTH), AfterValidator(_filled), AfterValidator(_storable)]
JsonObject = Annotated[dict[str, Any], AfterValidator(as_json)]
PathPattern = Annotated[str, AfterValidator(_path_pattern)]
Person = Annotated[str, AfterValidator(_person)]
RuleText = Annotated[str, AfterValidator(_rule)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LevelInput = Annotated[Level, BeforeValidator(_struct(Level))]
ScriptInput = Annotated[Script | None, BeforeValidator(_script)]
RetryInput = Annotated[RetryPolicy, BeforeValidator(_retry)]


# --- Base -------------------------------------------------------------------------------------------------------------


class Input(BaseModel):
    """Base of all inputs: immutable, without unknown fields; raises `InvalidInput` for invalid values."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    @model_validator(mode="wrap")
    @classmethod
    def _refuse(cls, data: Any, handler: Callable[[Any], Self]) -> Self:
        try:
            made = handler(data)
            for field in made.model_fields_set:  # defaults are sound
                value = getattr(made, field)
                if is_too_deep(value):
                    raise _too_deep(field)
                _require_data(value, field)
        except ValidationError as error:
            raise _refusal(error.errors(include_url=False)[0], cls.model_fields) from error
        except RecursionError as error:
            raise _too_deep(cls.__name__) from error
        return made


def _too_deep(field: str) -> InvalidInput:
    return InvalidInput(field=field, reason="a value is nested too deeply", remedy="flatten it")


def _require_data(value: Any, field: str) -> None:
    """Refuse what JSON or a database cannot keep, and secrets, which a log would keep forever.

    Raises `InvalidInput`, `InvalidText`.
    """
    match value:
        case None | bool() | datetime():
            pass
        case str():
            require_no_secret(require_text(value, field), field)
        case int() if -(2**63) <= value < 2**63:
            pass
        case float() if math.isfinite(value):
            pass
        case Mapping() if all(isinstance(name, str) for name in value):
            for name, one in value.items():
                _require_data(one, f"{field}.{require_text(name, field)}")
        case list() | tuple():
            for place, one in enumerate(value):
                _require_data(one, f"{field}.{place}")
        case msgspec.Struct():
            _require_data(msgspec.to_builtins(value), field)
        case _:
            reason = f"a value of type {type(value).__name__} is not JSON data, or out of its range"
            raise InvalidInput(
                field=field, reason=reason, remedy="use texts, numbers, True, False, None, lists, mappings"
            )


def _refusal(error: ErrorDetails, fields: Mapping[str, Any]) -> InvalidInput:
    """Return the first error of an input, in AURA's wording."""
    field = ".".join(str(part) for part in error["loc"]) or "input"
    given = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            near = get_close_matches(field, fields, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(fields)}"
            return InvalidInput(field=field, reason="there is no such field", remedy=remedy)
        case "missing":
            return InvalidInput(field=field, reason="it is required", remedy=f"give {field}")
        case "enum":
            return InvalidInput(
                field=field, reason=f"{error['input']!r} is not one of its values", remedy=f"use {given['expected']}"
            )
        case "tuple_type" | "list_type" | "dict_type":
            kind = "mapping" if error["type"] == "dict_type" else "list"
            return InvalidInput(field=field, reason=f"{error['input']!r} is not a {kind}", remedy=f"give a {kind}")
        case "greater_than" | "finite_number":
            reason = f"{error['input']!r} is not a number above 0"
            return InvalidInput(field=field, reason=reason, remedy="give a finite number above 0")
        case _:
            reason = error["msg"][:1].lower() + error["msg"][1:]
            return InvalidInput(
                field=field, reason=reason, remedy=str(given.get("remedy", "see the options of the call"))
            )
