"""Definition text: a definition as a workflow file. Pure.

What has its default is left out. `aura_engine.orchestration.definition_file` reads the text as an equal definition.
"""

import re
from enum import Enum
from typing import Any

import msgspec
import yaml

from aura_contracts.workflow.values import StepDefinition, WorkflowDefinition
from aura_engine.decisions.workflow_rules import key_of
from aura_engine.yaml_document import plain_value

WIDTH = 120
"""Characters of a line, where a text can be continued in the next one."""

_FIRST = ("id", "type", "title", "dependencies", "join", "n", "when")
"""The keys that a step begins with; then comes what its type needs."""

_LAST = ("cases", "steps", "otherwise", "handler", "compensation")
"""The keys that a step ends with: those of the steps within it."""

_SIMPLE = r" -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
"""What no reader of YAML takes for a control character or the end of a line."""

_LINE = re.compile(f"[{_SIMPLE}]*")

_LINES = re.compile(f"(?! )(?:[{_SIMPLE}]*(?<! )\n)+(?:[{_SIMPLE}]*(?<! ))?")
"""A text of several lines that can be written as such."""


def definition_text(definition: WorkflowDefinition) -> str:
    """Return a definition as YAML."""
    data = _fields(definition)
    steps = data.pop("steps")
    return yaml.dump(
        {**data, "steps": steps}, Dumper=_Dumper, width=WIDTH, allow_unicode=True, sort_keys=False, indent=2
    )


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a struct that have not their defaults, by their keys in files."""
    found = {}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        if field.required or (value != field.default and value != _made(field)):
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


class _Dumper(yaml.SafeDumper):
    """Writes texts so that `aura_engine.yaml_document` reads them as texts, and those of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002 - PyYAML's
        super().increase_indent(flow, indentless=False)


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    if "\n" in text and _LINES.fullmatch(text):
        style = "|"
    elif not isinstance(plain_value(text), str) or not _LINE.fullmatch(text):
        style = '"'
    else:
        style = None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: _Dumper, values: list[Any]) -> yaml.Node:
    """Write a list of words in one line."""
    in_line = not any(isinstance(one, list | dict) or "\n" in str(one) for one in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=in_line)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
