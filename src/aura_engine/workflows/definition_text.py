"""Definition text: a definition as a workflow file. Pure.

What has its default is left out. `aura_engine.workflows.definition_file` reads the text as an equal definition.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec
import yaml

from aura_contracts.workflow.values import Case, StepDefinition, WorkflowDefinition
from aura_engine.decisions.workflow_rules import key_of
from aura_engine.yaml_document import is_text

WIDTH = 120
"""Characters of a line, where a text can be continued in the next one."""

_FIRST = ("id", "type", "title", "dependencies", "join", "n", "when")
"""The keys that a step begins with; then comes what its type needs."""

_LAST = ("cases", "steps", "otherwise", "handler", "compensation")
"""The keys that a step ends with: those of the steps within it."""

_LINES = re.compile(r"[\x21-\x7e\u00a1-\u1fff\u3001-\ud7ff][^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]*")
"""A text of several lines that can be written as it is."""


def definition_text(definition: WorkflowDefinition) -> str:
    """Return a definition as YAML."""
    data = _fields(definition)
    steps = data.pop("steps")
    return yaml.dump(
        {**data, "steps": steps}, Dumper=_Dumper, width=WIDTH, allow_unicode=True, sort_keys=False, indent=2
    )


def definition_data(definition: WorkflowDefinition) -> dict[str, Any]:
    """Return a definition as plain data, as JSON holds it: the keys and values of a file."""
    data: dict[str, Any] = _plain(_fields(definition))
    return data


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a struct that have not their defaults, by their keys in files."""
    found = {}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if field.required or value != field.default and value != _made(field):
            found[key_of(type(struct), field.name)] = _written(value)
    return found


def _made(field: msgspec.structs.FieldInfo) -> Any:
    return msgspec.NODEFAULT if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _written(value: Any) -> Any:
    match value:
        case StepDefinition():
            return _step(value)
        case msgspec.Struct():
            return _fields(value)
        case Enum():
            return value.value
        case tuple():
            return [_written(one) for one in value]
        case float() if value.is_integer() and abs(value) < 10**15:
            return int(value)
        case _:
            return value


def _step(step: StepDefinition) -> dict[str, Any]:
    fields = _fields(step)
    config = fields.pop("config")
    fields["type"] = str(step.type)
    first = {key: fields.pop(key) for key in _FIRST if key in fields}
    merged = {**config, **fields}
    last = {key: merged.pop(key) for key in _LAST if key in merged}
    return {**first, **merged, **last}
