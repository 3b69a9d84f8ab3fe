"""Definition file: YAML or JSON as the definition of a workflow, or all of its faults with line and column. Pure.

name: greet
inputs:
  name: {type: string}
steps:
  - id: write
    type: agent_task
    task_template: Write a greeting for {{ inputs.name }}

A step that has faults of its own takes part in the checks of the whole with what of it is right, so that all faults are
found at once, and none because of another.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

import attrs
from msgspec.structs import replace
from pydantic import BaseModel, ValidationError

from aura_contracts.approval import Level
from aura_contracts.errors import DefinitionFault, Fault, InvalidFile
from aura_contracts.workflow.values import (
    Case,
    ConditionalStep,
    ParallelStep,
    StepConfig,
    StepDefinition,
    StepRetry,
    StepType,
    WaitStep,
    WorkflowDefinition,
)
from aura_engine.decisions.workflow_rules import STEP_LIMIT, definition_faults, key_of
from aura_engine.orchestration.file_keys import (
    STEP_MODELS,
    CaseKeys,
    RetryKeys,
    ReviewLevelKeys,
    StepKeys,
    WorkflowKeys,
)
from aura_engine.orchestration.lint import lint
from aura_engine.yaml_document import Path, YamlDocument, read_yaml
from aura_engine.yaml_faults import fault_of, keys_of, nearest

M = TypeVar("M", bound=BaseModel)

YAML_DEPTH = 64
"""The most lists and tables within one another in a file: enough for `NESTING_LIMIT` blocks, and for data in them."""

FAULT_LIMIT = 100
"""The most faults that are reported of one file."""

_INNER = ("cases", "steps", "otherwise", "handler", "compensation")
"""The keys under which steps are."""

_HARMLESS = frozenset({"duplicate_key", "anchor", "tag", "alias"})
"""Faults of YAML besides which the rest of the file is as it was meant."""

_CONSEQUENCES = frozenset({"missing_key", "contradiction"})
"""What rules say of a table that has a key too many or too few, perhaps only because another key is misspelt."""

_AT_KEYS = frozenset({"contradiction", "identifier", "too_many_steps"})
"""Faults that are about a key, not about its value."""

_PLACEHOLDERS: Mapping[str, Any] = {"steps": [], "cases": [], "limit": 1, "reviewers": [], "type": "wait"}
"""What stands in the place of a required value that is missing or wrong; for all others a text."""

_HINTS: Mapping[str, str] = {
    "after": "dependencies",
    "children": "steps",
    "condition": "when",
    "depends_on": "dependencies",
    "else": "otherwise",
    "if": "when",
    "needs": "dependencies",
    "prompt": "task_template",
    "then": "cases, each with when and steps",
}
"""Keys of other tools and their names here, which are not spelt alike."""

_CONFIGS: Mapping[StepType, type[StepConfig]] = {
    StepType(kind.__struct_config__.tag): kind for kind in get_args(StepConfig)
}

_PAIRS = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)


@attrs.frozen
class ReadDefinition:
    """A file as read: the definition, unless a fault is an error."""

    faults: tuple[Fault, ...]
    definition: WorkflowDefinition | None = None

    def require(self, file: str) -> WorkflowDefinition:
        """Return the definition. Raises `InvalidFile`, with all errors."""
        if self.definition is None:
            errors = tuple(fault for fault in self.faults if fault.severity == "error")
            raise InvalidFile(field=file, faults=errors, remedy=f"see `aura workflow validate {file}`")
        return self.definition


def read_definition(content: bytes, file: str) -> ReadDefinition:
    """Return the definition that a file states; one whose name ends with ``.json`` is JSON. Raises nothing.

    If it follows the rules, its templates and its graph are checked, too, which may warn.
    """
    document = read_yaml(_without_pairs(content) if file.endswith(".json") else content, file, depth=YAML_DEPTH)
    faults = [_explained(fault, content) for fault in document.faults]
    if not {fault.code for fault in faults} <= _HARMLESS:
        return ReadDefinition(tuple(faults))
    if document.data is None and not faults:
        return ReadDefinition((document.fault((), "empty", "the file is empty; write name and steps"),))
    if (count := _count(document.data)) > STEP_LIMIT:
        message = f"a workflow has at most {STEP_LIMIT} steps, this one has {count}"
        return ReadDefinition((document.fault(("steps",), "too_many_steps", message, at_key=True),))
    reader = _FileReader(document)
    definition = reader.workflow()
    places = {(fault.line, fault.column) for fault in faults}
    faults += [fault for fault in reader.faults if (fault.line, fault.column) not in places]
    if definition is not None and not faults:
        faults = [reader.placed(fault) for fault in lint(definition)]
    faults = sorted(faults, key=lambda fault: (fault.line, fault.column))[:FAULT_LIMIT]
    errors = [fault for fault in faults if fault.severity == "error"]
    return ReadDefinition(tuple(faults), None if errors else definition)


def _without_pairs(content: bytes) -> bytes:
    """Return JSON with one escape for each of the characters that JSON writes with two, and YAML does not."""

    def joined(found: re.Match[str]) -> str:
        high, low = int(found[2], 16), int(found[3], 16)
        return f"{found[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08X}"

    return _PAIRS.sub(joined, content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _explained(fault: Fault, content: bytes) -> Fault:
    """Return a fault of YAML with its cause, if that is a template without quotes."""
    lines = content.decode("utf-8", "replace").split("\n")
    line = lines[fault.line - 1] if fault.line <= len(lines) else ""
    if fault.code not in ("key", "syntax") or not re.search(r"[:-] +\{\{", line):
        return fault
    return attrs.evolve(fault, code="quotes", message="put a text that begins with {{ in quotes")


def _count(data: object) -> int:
    """Return how many steps there are, whatever is wrong with them."""
    waiting, count = [data], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting += [one[key] for key in _INNER if key in one]
            count += "id" in one or "type" in one
        elif isinstance(one, list):
            waiting += one
    return count


class _FileReader:
    """Reads the data of a document."""

    def __init__(self, document: YamlDocument) -> None:
        self.faults: list[Fault] = []
        self._document = document
        self._broken: dict[Path, set[str | int]] = {}
        """The keys of each table that have faults, are unknown, or are missing."""

    def workflow(self) -> WorkflowDefinition | None:
        """Return the definition; if there are faults, it is only what could be read."""
        data = self._document.data
        if not isinstance(data, dict):
            self._refuse((), "wrong_type", "a workflow is a table with the keys name and steps")
            return None
        keys = self._checked(WorkflowKeys, data, ())
        given = {name: _value(getattr(keys, name)) for name in WorkflowKeys.model_fields if name != "steps"}
        definition = WorkflowDefinition(steps=self._block(keys.steps, ("steps",)), **given)
        self.faults += [self.placed(fault) for fault in definition_faults(definition) if not self._is_known(fault)]
        return definition

    # --- Steps

    def _block(self, data: Sequence[object], path: Path) -> tuple[StepDefinition, ...]:
        return tuple(self._step(one, (*path, number)) for number, one in enumerate(data))

    def _step(self, data: object, path: Path) -> StepDefinition:
        if not isinstance(data, dict):
            self._refuse((*path, "id"), "wrong_type", "a step is a table of keys and values")
            return StepDefinition(id="?", config=WaitStep(seconds=0))
        kind = data.get("type")
        if not isinstance(kind, str) or kind not in list(StepType):
            return self._of_unknown_type(data, path)
        keys = self._checked(STEP_MODELS[StepType(kind)], data, path)
        return replace(self._common(keys, path), config=self._config(keys, path))

    def _of_unknown_type(self, data: dict[str, Any], path: Path) -> StepDefinition:
        """Note what is wrong with the type; read what all types have, and the steps within."""
        kind = data.get("type")
        if "type" not in data:
            self._refuse((*path, "type"), "missing_key", f"a step has a type: {', '.join(StepType)}")
        else:
            message = f"{str(kind)!r} is not a type of step; {nearest(str(kind), [str(one) for one in StepType])}"
            self._refuse((*path, "type"), "unknown_word", message)
        common = {key: value for key, value in data.items() if key in StepKeys.model_fields}
        step = self._common(self._checked(StepKeys, {**common, "type": "wait"}, path), path)
        inner = [key for key in ("cases", "steps") if isinstance(data.get(key), list)]
        if not inner:
            return step
        around: StepConfig = ParallelStep(steps=self._block(data[inner[0]], (*path, "steps")))
        if inner[0] == "cases":
            around = ConditionalStep(cases=self._cases(data["cases"], path))
        return replace(step, config=around)

    def _config(self, keys: StepKeys, path: Path) -> StepConfig:
        kind = _CONFIGS[keys.type]
        given: dict[str, Any] = {}
        for field in kind.__struct_fields__:
            key = key_of(kind, field)
            value = getattr(keys, key)
            match key:
                case "steps" | "otherwise":
                    given[field] = self._block(value, (*path, key))
                case "cases":
                    given[field] = self._cases(value, path)
                case "levels":
                    given[field] = self._levels(value, path)
                case _:
                    given[field] = _value(value)
        return kind(**given)

    def _common(self, keys: StepKeys, path: Path) -> StepDefinition:
        """Return what all types of steps have, with a config that another replaces."""
        inner = {"type", "retry", "handler", "compensation"}
        given = {name: _value(getattr(keys, name)) for name in StepKeys.model_fields if name not in inner}
        retry = self._checked(RetryKeys, keys.retry, (*path, "retry"))
        undo = keys.compensation
        return StepDefinition(
            config=WaitStep(seconds=0),
            retry=StepRetry(**{name: _value(getattr(retry, name)) for name in RetryKeys.model_fields}),
            handler=self._block(keys.handler, (*path, "handler")),
            compensation=None if undo is None else self._step(undo, (*path, "compensation")),
            **given,
        )

    def _cases(self, data: Sequence[object], path: Path) -> tuple[Case, ...]:
        cases = []
        for number, one in enumerate(data):
            place = (*path, "cases", number)
            keys = self._table(CaseKeys, one, place, "a case is a table with the keys when and steps")
            cases.append(Case(when=keys.when, steps=self._block(keys.steps, (*place, "steps"))))
        return tuple(cases)

    def _levels(self, data: Sequence[object], path: Path) -> tuple[Level, ...]:
        levels = []
        for number, one in enumerate(data):
            keys = self._table(ReviewLevelKeys, one, (*path, "levels", number), "a level is a table with reviewers")
            levels.append(Level(reviewers=tuple(keys.reviewers), quorum=keys.quorum))
        return tuple(levels)

    # --- Tables

    def _table(self, model: type[M], data: object, path: Path, message: str) -> M:
        """Return what has to be a table as its model."""
        if isinstance(data, dict):
            return self._checked(model, data, path)
        self._refuse(path, "wrong_type", message)
        return _repaired(model, {})

    def _checked(self, model: type[M], data: dict[str, Any], path: Path) -> M:
        """Return a table as its model; note the faults of its keys, and leave those keys out."""
        try:
            return model.model_validate(data)
        except ValidationError as error:
            errors = error.errors(include_url=False)
        known = keys_of(model)
        unknown = {str(one["loc"][0]) for one in errors if one["type"] == "extra_forbidden"}
        missing = [str(one["loc"][0]) for one in errors if one["type"] == "missing"]
        meant = {near for key in unknown for near in get_close_matches(key, known, n=1, cutoff=0.6)}
        for one in errors:
            key = str(one["loc"][0])
            if key in missing and key in meant:
                continue  # it is there, misspelt
            fault = fault_of(self._document, one, path, lambda _: known)
            self.faults.append(_of_another(fault, key, model) if key in unknown else fault)
        wrong = {str(one["loc"][0]) for one in errors}
        self._broken.setdefault(path, set()).update(wrong - unknown, meant)
        return _repaired(model, {key: value for key, value in data.items() if key not in wrong})

    def _refuse(self, path: Path, code: str, message: str) -> None:
        self.faults.append(self._document.fault(path, code, message))
        self._broken.setdefault(path[:-1], set()).update(path[-1:])

    # --- Rules

    def _is_known(self, fault: DefinitionFault) -> bool:
        """Whether what a rule found is about a key that is broken, or may be a consequence of one that is."""
        path = fault.path
        if fault.code in _CONSEQUENCES and (self._broken.get(path) or self._broken.get(path[:-1])):
            return True
        return any(path[length] in self._broken.get(path[:length], ()) for length in range(len(path)))

    def placed(self, fault: DefinitionFault) -> Fault:
        """Return a fault with its place in the file."""
        message = fault.message
        if fault.other is not None:
            message = f"{message}, in line {self._document.place(fault.other).line}"
        found = self._document.fault(fault.path, fault.code, message, at_key=fault.code in _AT_KEYS)
        return attrs.evolve(found, severity=fault.severity)


def _repaired(model: type[M], right: Mapping[str, Any]) -> M:
    """Return a model of the values that are right, and of placeholders for those that are required besides."""
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return model.model_validate({**{name: _PLACEHOLDERS.get(name, "?") for name in required}, **right})


def _of_another(fault: Fault, key: str, model: type[BaseModel]) -> Fault:
    """Return the fault of an unknown key with what else it could mean: a key of another type, or of another tool."""
    types = [str(kind) for kind, other in STEP_MODELS.items() if key in other.model_fields]
    if issubclass(model, StepKeys) and types:
        own = model.model_fields.keys() - StepKeys.model_fields.keys()
        this = next(str(kind) for kind, other in STEP_MODELS.items() if other is model) if own else "its type"
        message = f"{key!r} is a key of steps of type {' and '.join(types)}, not of {this}"
        return attrs.evolve(fault, code="other_type", message=message)
    if key in _HINTS:
        return attrs.evolve(fault, message=f"there is no key {key!r} here; write {_HINTS[key]}")
    return fault


def _value(value: Any) -> Any:
    """Return a value as structs hold it."""
    return tuple(value) if isinstance(value, list) else value
