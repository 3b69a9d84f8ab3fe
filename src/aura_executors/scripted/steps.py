"""Steps of a scripted agent, which are checked, all of them, before the first is carried out.

Standard library only: the agent runs isolated. `aura_executors.scripted` describes the steps.
"""

import json
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

Step = tuple[str, dict[str, Any]]
"""A step as it is carried out: its name, its arguments."""


class InvalidSteps(Exception):
    """Steps that cannot be carried out; the text says where and why."""


class Shape(NamedTuple):
    """The arguments of a step. With `main` given, ``{"say": "hello"}`` is short for ``{"say": {"text": "hello"}}``."""

    required: dict[str, tuple[type, ...]]
    optional: dict[str, tuple[type, ...]]
    main: str = ""


_TEXT, _WHOLE, _NUMBER, _SWITCH, _LIST, _TABLE = (str,), (int,), (int, float), (bool,), (list,), (dict,)

SHAPES = {
    "write": Shape({"path": _TEXT, "text": _TEXT}, {}),
    "append": Shape({"path": _TEXT, "text": _TEXT}, {}),
    "edit": Shape({"path": _TEXT, "old": _TEXT, "new": _TEXT}, {}),
    "delete": Shape({"path": _TEXT}, {}, "path"),
    "rename": Shape({"path": _TEXT, "to": _TEXT}, {}),
    "print": Shape({"text": _TEXT}, {"stream": _TEXT, "repeat": _WHOLE, "newline": _SWITCH}, "text"),
    "print_prompt": Shape({}, {}),
    "expect_prompt": Shape({"contains": _TEXT}, {}, "contains"),
    "close": Shape({"stream": _TEXT}, {}, "stream"),
    "sleep": Shape({"seconds": _NUMBER}, {}, "seconds"),
    "wait_for": Shape({"path": _TEXT}, {}, "path"),
    "say": Shape({"text": _TEXT}, {}, "text"),
    "session": Shape({"id": _TEXT}, {}, "id"),
    "usage": Shape(
        {},
        {
            "input_tokens": _WHOLE,
            "output_tokens": _WHOLE,
            "cache_read_tokens": _WHOLE,
            "cache_write_tokens": _WHOLE,
            "cost": _NUMBER,
        },
    ),
    "ask": Shape({"tool": _TEXT}, {"arguments": _TABLE, "diff": _TEXT, "then": _LIST, "otherwise": _LIST}, "tool"),
    "spawn": Shape({"argv": _LIST}, {"detach": _SWITCH, "wait": _SWITCH}, "argv"),
    "ignore_signals": Shape({}, {"numbers": _LIST}, "numbers"),
    "signal": Shape({"number": _WHOLE}, {}, "number"),
    "fail": Shape({}, {"exit_code": _WHOLE, "message": _TEXT, "reason": _TEXT}, "exit_code"),
}


def rounds_of(given: object) -> list[list[Step]]:
    """Return the rounds in `given`: a table with `steps` or `rounds`, or a list of steps. Raises `InvalidSteps`."""
    if isinstance(given, list):
        return [_steps(given, "steps")]
    if not isinstance(given, dict):
        raise InvalidSteps(f"expected a table with steps or rounds, not {_kind(given)}")
    if unknown := sorted(str(name) for name in given if name not in {"steps", "rounds"}):
        raise InvalidSteps(f"{unknown[0]}: unknown setting; the settings are steps, rounds")
    if ("steps" in given) == ("rounds" in given):
        raise InvalidSteps("give either steps or rounds")
    if "steps" in given:
        return [_steps(given["steps"], "steps")]
    rounds = given["rounds"]
    if not isinstance(rounds, list) or not rounds:
        raise InvalidSteps("rounds: expected a list of at least one round")
    return [_round(each, f"rounds[{number}]") for number, each in enumerate(rounds)]


def has(name: str, steps: Iterable[Step]) -> bool:
    """Say whether a step of this name is among `steps`, or in what they may lead to."""
    return any(
        step == name or has(name, [*arguments.get("then", ()), *arguments.get("otherwise", ())])
        for step, arguments in steps
    )


def _round(given: object, where: str) -> list[Step]:
    if isinstance(given, dict) and set(given) == {"steps"}:
        return _steps(given["steps"], f"{where}.steps")
    return _steps(given, where)


def _steps(given: object, where: str) -> list[Step]:
    if not isinstance(given, list):
        raise InvalidSteps(f"{where}: expected a list of steps, not {_kind(given)}")
    return [_step(each, f"{where}[{number}]") for number, each in enumerate(given)]


def _step(given: object, where: str) -> Step:
    if isinstance(given, str):
        given = {given: {}}
    if not isinstance(given, dict) or len(given) != 1:
        raise InvalidSteps(f'{where}: expected one step such as {{"say": "hello"}}, not {_kind(given)}')
    ((name, arguments),) = given.items()
    shape = SHAPES.get(name)
    if shape is None:
        raise InvalidSteps(f"{where}: unknown step {name!r}; the steps are {', '.join(SHAPES)}")
    if not isinstance(arguments, dict):
        if not shape.main:
            raise InvalidSteps(f"{where}.{name}: expected a table, not {_kind(arguments)}")
        arguments = {shape.main: arguments}
    return name, _arguments(arguments, shape, f"{where}.{name}")


def _arguments(given: dict[str, Any], shape: Shape, where: str) -> dict[str, Any]:
    _require_shape(given, shape, where)
    if given.get("stream", "stdout") not in {"stdout", "stderr"}:
        raise InvalidSteps(f"{where}.stream: expected stdout or stderr, not {given['stream']!r}")
    checked = dict(given)
    for name in ("then", "otherwise"):
        if name in given:
            checked[name] = _steps(given[name], f"{where}.{name}")
    if "argv" in given and not (given["argv"] and all(isinstance(word, str) for word in given["argv"])):
        raise InvalidSteps(f"{where}.argv: expected texts, at least one")
    if not all(type(number) is int for number in given.get("numbers", ())):
        raise InvalidSteps(f"{where}.numbers: expected numbers of signals")
    return checked


def _require_shape(given: dict[str, Any], shape: Shape, where: str) -> None:
    kinds = {**shape.required, **shape.optional}
    for name, value in given.items():
        if name not in kinds:
            raise InvalidSteps(f"{where}: unknown argument {name!r}; the arguments are {', '.join(kinds) or 'none'}")
        if type(value) not in kinds[name]:
            wanted = " or ".join(_KINDS[kind] for kind in kinds[name])
            raise InvalidSteps(f"{where}.{name}: expected {wanted}, not {_kind(value)}")
    for name in shape.required:
        if name not in given:
            raise InvalidSteps(f"{where}: {name} is missing")


_KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "nothing" if value is None else type(value).__name__)


def script_at(path: str) -> Any:
    """Return what a script, a TOML or JSON file, holds. Raises `InvalidSteps`."""
    readers: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".json": json.loads}
    reader = readers.get(Path(path).suffix)
    if reader is None:
        raise InvalidSteps(f"{path}: a script ends in .toml or .json")
    try:
        return reader(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidSteps(f"{path}: {error}") from error
