"""Step rules: what a step of a workflow's definition has to be, whatever is around it. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from aura_contracts.actors import is_person, not_a_person
from aura_contracts.approval import WAIT_LIMIT
from aura_contracts.errors import InvalidInput, require_text
from aura_contracts.secrets import require_no_secret, require_no_secret_within, require_no_secrets
from aura_contracts.workflow.values import (
    AgentTaskStep,
    ApprovalStep,
    CommandStep,
    ConditionalStep,
    EndStep,
    ForEachStep,
    Join,
    LoopStep,
    ParallelStep,
    StepDefinition,
    StepType,
    WaitStep,
    WorkflowStatus,
)
from aura_engine.decisions._decider import RuleBroken, require_agent_type
from aura_engine.decisions._task_rules import require_locks

NAME_LIMIT = 200
"""Characters; a name is one line in a list."""

TEXT_LIMIT = 64 * 1024
"""Characters of a template, an expression or another text."""

DATA_DEPTH = 16
"""The most lists and tables within one another in a value."""

REPEAT_LIMIT = 1000
"""The most items of a for_each, and the most rounds of a loop."""

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
"""A name that a template can read: ``inputs.feature``."""

BOUNDS: Mapping[str, tuple[float, float]] = {
    "attempts": (1, 100),
    "completion_n": (1, REPEAT_LIMIT),
    "concurrency": (1, REPEAT_LIMIT),
    "deadline": (0.001, WAIT_LIMIT),
    "duration": (0, WAIT_LIMIT),
    "factor": (1, 100),
    "limit": (1, REPEAT_LIMIT),
    "longest": (0, WAIT_LIMIT),
    "n": (1, 499),
    "pause": (0, WAIT_LIMIT),
    "quorum": (1, 100),
    "timeout": (0.001, WAIT_LIMIT),
}
"""The least and the most of each number, by its key; times are in seconds."""

_COUNTED = frozenset({Join.N_OF, Join.FIRST})

_SETTINGS = ("options", "context")
"""Tables in which a value with the name of a secret is one; elsewhere it may be an expression."""

_SCHEMA_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


class Problem(NamedTuple):
    """What is wrong, and the keys that lead there from the step."""

    path: tuple[str | int, ...]
    code: str
    message: str


def bounds_problem(key: str, value: float | None, path: tuple[str | int, ...] = ()) -> Iterator[Problem]:
    """Yield a problem if a number is out of its bounds; None is not."""
    low, high = BOUNDS[key]
    if value is None or low <= value <= high:
        return
    reason = f"{value:.15g} is not between {low:.15g} and {high:.15g}"
    if high == WAIT_LIMIT:
        reason = f"a time is {'more than 0' if low else '0'} to {WAIT_LIMIT:.0f} seconds (366 days), not {value:.15g}"
    yield Problem((*path, key), "bounds", reason)


def step_problems(step: StepDefinition) -> Iterator[Problem]:
    """Yield what is wrong with a step, without the steps within it."""
    yield from _join_problems(step)
    yield from bounds_problem("timeout", step.timeout)
    for key in ("attempts", "pause", "factor", "longest"):
        yield from bounds_problem(key, getattr(step.retry, key), ("retry",))
    if step.when and not step.when.strip():
        yield Problem(("when",), "empty", "the condition is blank")
    if step.type is StepType.END:
        for key in ("retry", "timeout", "on_failure", "handler", "compensation", "locks", "priority"):
            if getattr(step, key) != _DEFAULTS[key]:
                yield Problem((key,), "contradiction", f"a step of type end does no work, so {key} has no effect")
    try:
        require_locks(step.locks, ())
    except RuleBroken as error:
        yield Problem(("locks",), "locks", error.reason)
    yield from _OF_TYPES.get(type(step.config), _nothing)(step.config)


_DEFAULTS: Mapping[str, object] = {
    name: getattr(StepDefinition(id="", config=EndStep()), name) for name in StepDefinition.__struct_fields__
}


def _join_problems(step: StepDefinition) -> Iterator[Problem]:
    if not step.dependencies and (step.join is not Join.ALL_SUCCEEDED or step.n is not None):
        key = "join" if step.join is not Join.ALL_SUCCEEDED else "n"
        end = "; `completion` says when it completes" if isinstance(step.config, ParallelStep | ForEachStep) else ""
        yield Problem((key,), "contradiction", f"{key} is about dependencies, and the step has none{end}")
        return
    yield from _count_problems("join", step.join, "n", step.n, len(step.dependencies), "dependencies")


def _count_problems(
    key: str, join: Join, count_key: str, count: int | None, most: int | None, of: str
) -> Iterator[Problem]:
    if count is None and join is Join.N_OF:
        yield Problem((key,), "contradiction", f"{key}: n_of needs {count_key}, the number of {of}")
    elif count is not None and join not in _COUNTED:
        yield Problem((count_key,), "contradiction", f"{count_key} has no effect with {key}: {join}; use n_of or first")
    elif count is not None and most is not None and not 1 <= count <= most:
        yield Problem((count_key,), "bounds", f"{count} of {most} {of} is not possible")
    else:
        yield from bounds_problem(count_key, count)


# --- By type ----------------------------------------------------------------------------------------------------------


def _nothing(_: Any) -> Iterator[Problem]:
    return iter(())


def _filled(config: Any, key: str) -> Iterator[Problem]:
    if not getattr(config, key).strip():
        yield Problem((key,), "empty", "the text is empty")


def _agent_task(config: AgentTaskStep) -> Iterator[Problem]:
    yield from _filled(config, "task_template")
    try:
        require_agent_type(config.agent_type)
    except RuleBroken as error:
        yield Problem(("agent_type",), "agent_type", error.reason)
    if config.output is not None:
        yield from schema_problems(("output",), config.output)


def _approval(config: ApprovalStep) -> Iterator[Problem]:
    yield from _filled(config, "question")
    yield from bounds_problem("quorum", config.quorum)
    yield from bounds_problem("deadline", config.deadline)
    yield from _choice_problems(config)
    if config.quorum > len(set(config.reviewers)) + (not config.no_self_approval):
        reason = f"{config.quorum} approvals cannot come from {len(set(config.reviewers))} reviewers"
        one_more = "" if config.no_self_approval else " and the one who starts the workflow"
        yield Problem(("quorum",), "contradiction", f"{reason}{one_more}")
    asked: list[str] = []
    yield from _people_problems(("reviewers",), config.reviewers, asked)
    for number, level in enumerate(config.levels):
        path = ("levels", number)
        if not 1 <= level.quorum <= len(set(level.reviewers)):
            reason = f"{level.quorum} approvals cannot come from {len(set(level.reviewers))} reviewers"
            yield Problem((*path, "quorum"), "contradiction", reason)
        yield from _people_problems((*path, "reviewers"), level.reviewers, asked)


def _choice_problems(config: ApprovalStep) -> Iterator[Problem]:
    for number, choice in enumerate(config.choices):
        if not choice.strip():
            yield Problem(("choices", number), "empty", "the text is empty")
        elif choice in config.choices[:number]:
            yield Problem(("choices", number), "doubled", f"{choice!r} is named twice")


def _people_problems(path: tuple[str | int, ...], names: Sequence[str], asked: list[str]) -> Iterator[Problem]:
    """Yield names that are not those of people, or `asked` already; add the others."""
    for place, name in enumerate(names):
        if not is_person(name):
            yield Problem((*path, place), "name", not_a_person(name)[0])
        elif name in asked:
            yield Problem((*path, place), "doubled", f"{name} is asked twice, but votes once")
        asked.append(name)


def _conditional(config: ConditionalStep) -> Iterator[Problem]:
    if not config.cases:
        yield Problem(("cases",), "empty", "there are no cases")
    for number, case in enumerate(config.cases):
        if not case.when.strip():
            yield Problem(("cases", number, "when"), "empty", "the condition is empty")


def _parallel(config: ParallelStep) -> Iterator[Problem]:
    yield from _count_problems("completion", config.join, "completion_n", config.n, len(config.steps), "steps")


def _for_each(config: ForEachStep) -> Iterator[Problem]:
    yield from _filled(config, "items")
    yield from bounds_problem("limit", config.limit)
    yield from bounds_problem("concurrency", config.concurrency)
    yield from _count_problems("completion", config.join, "completion_n", config.n, config.limit, "items")


def _loop(config: LoopStep) -> Iterator[Problem]:
    yield from _filled(config, "until")
    yield from bounds_problem("limit", config.limit)


def _wait(config: WaitStep) -> Iterator[Problem]:
    yield from bounds_problem("duration", config.seconds)
    given = [config.seconds is not None, bool(config.until), bool(config.signal)]
    keys = [key for key, is_given in zip(("duration", "until", "signal"), given, strict=True) if is_given]
    if not keys:
        yield Problem((), "missing_key", "a wait has one of duration, until and signal")
    elif len(keys) > 1:
        yield Problem((keys[1],), "contradiction", f"a wait has one of duration, until and signal, not {keys[0]} too")
    if config.signal and (not config.signal.strip() or len(config.signal) > NAME_LIMIT):
        yield Problem(("signal",), "name", f"the name of a signal has 1 to {NAME_LIMIT} characters")


def _command(config: CommandStep) -> Iterator[Problem]:
    yield from _filled(config, "run")
    try:
        require_no_secret(config.run, "run", commands=True)
    except InvalidInput as error:
        yield Problem(("run",), "secret", f"there is a secret here: {error.reason}")
    if "executor" in config.options:
        yield Problem(("options", "executor"), "contradiction", "a command has no executor")
    if config.output is not None:
        yield from schema_problems(("output",), config.output)


def _end(config: EndStep) -> Iterator[Problem]:
    if config.status not in (WorkflowStatus.COMPLETED, WorkflowStatus.FAILED):
        yield Problem(("status",), "unknown_word", f"a workflow does not end as {config.status}: completed, failed")


_OF_TYPES: Mapping[type, Callable[[Any], Iterator[Problem]]] = {
    AgentTaskStep: _agent_task,
    ApprovalStep: _approval,
    ConditionalStep: _conditional,
    ParallelStep: _parallel,
    ForEachStep: _for_each,
    LoopStep: _loop,
    WaitStep: _wait,
    CommandStep: _command,
    EndStep: _end,
}


# --- Values -----------------------------------------------------------------------------------------------------------


def schema_problems(path: tuple[str | int, ...], schema: object, depth: int = 0) -> Iterator[Problem]:
    """Yield what is not a JSON Schema: what is not a table, and types that there are not."""
    if isinstance(schema, bool) and depth:
        return
    if not isinstance(schema, Mapping):
        yield Problem(path, "wrong_type", "this is not a JSON Schema, as in {type: string}")
        return
    kinds = schema.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind not in _SCHEMA_TYPES:
            reason = f"{kind!r} is not a type of JSON Schema: {', '.join(_SCHEMA_TYPES)}"
            yield Problem((*path, "type"), "unknown_word", reason)
    if depth >= DATA_DEPTH:
        return
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        yield from schema_problems((*path, "properties", name), inner, depth + 1)
    if "items" in schema:
        yield from schema_problems((*path, "items"), schema["items"], depth + 1)


def value_problems(path: tuple[str | int, ...], value: object) -> Iterator[Problem]:
    """Yield what of a value no event can keep, or may not: long texts, what is not plain data, secrets."""
    found = tuple(_data_problems(path, value))
    yield from found
    if found:
        return
    try:
        require_no_secret_within(value, str(path[-1]))
        if isinstance(value, Mapping) and path[-1] in _SETTINGS:
            require_no_secrets(value, str(path[-1]))
    except InvalidInput as error:
        yield Problem(path, "secret", f"there is a secret here: {error.reason}")


def _data_problems(path: tuple[str | int, ...], value: object, depth: int = 0) -> Iterator[Problem]:
    match value:
        case str():
            yield from _text_problems(path, value)
        case None | bool():
            pass
        case int() | float():
            if not -(10**18) < value < 10**18:  # nor what is not a number
                yield Problem(path, "bounds", "a number has at most 18 digits")
        case Mapping() | list() | tuple() if depth >= DATA_DEPTH:
            yield Problem(path, "too_deep", f"values are nested more than {DATA_DEPTH} deep")
        case Mapping():
            for name, inner in value.items():
                yield from _text_problems((*path, name), name)
                yield from _data_problems((*path, name), inner, depth + 1)
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from _data_problems((*path, number), inner, depth + 1)
        case _:
            reason = f"{type(value).__name__} is not plain data: texts, numbers, lists and tables of them"
            yield Problem(path, "wrong_type", reason)


def _text_problems(path: tuple[str | int, ...], text: object) -> Iterator[Problem]:
    if not isinstance(text, str):
        yield Problem(path, "wrong_type", f"the key {text!r} is not a text")
        return
    if len(text) > TEXT_LIMIT:
        yield Problem(path, "too_long", f"the text has more than {TEXT_LIMIT} characters")
    try:
        require_text(text, "text")
    except InvalidInput as error:
        yield Problem(path, "text", f"the text {error.reason}")
