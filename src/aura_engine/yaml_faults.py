"""YAML faults: what pydantic finds in a document, with the places in its text and words for people."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from aura_contracts.errors import Fault
from aura_engine.yaml_document import Path, YamlDocument

M = TypeVar("M", bound=BaseModel)

KeysAt = Callable[[Path], Sequence[str]]
"""Returns the keys that the table at a path may have."""

_TYPES = {
    "string_type": "this is not a text; put it in quotes if it is one",
    "int_type": "this is not a whole number",
    "float_type": "this is not a number",
    "bool_type": "this is neither true nor false",
    "list_type": "this is not a list",
    "model_type": "this is not a table of keys and values",
    "model_attributes_type": "this is not a table of keys and values",
    "too_short": "the list is empty",
    "string_too_short": "the text is empty",
    "string_pattern_mismatch": "the text is blank, has several lines, or a space at an end",
    "too_long": "there are {actual_length}, and at most {max_length} are possible",
    "string_too_long": "the text has more than {max_length} characters",
    "greater_than_equal": "the number is less than {ge}",
    "greater_than": "the number is not more than {gt}",
    "less_than_equal": "the number is more than {le}",
}
"""What to say for what pydantic found, with the facts that it gives."""


def checked(
    document: YamlDocument, model: type[M], data: object, path: Path, keys_at: KeysAt
) -> tuple[M | None, list[Fault]]:
    """Return the data at a path as a model, or its faults. `keys_at` returns the keys that a table may have."""
    try:
        return model.model_validate(data), []
    except ValidationError as errors:
        return None, [fault_of(document, error, path, keys_at) for error in errors.errors(include_url=False)]


def fault_of(document: YamlDocument, error: ErrorDetails, before: Path, keys_at: KeysAt) -> Fault:
    """Return what pydantic found in the data at the path `before`, with its place and words for people."""
    path: Path = (*before, *(part for part in error["loc"] if part != "[key]"))
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return document.fault(path, "unknown_key", _unknown_key(path, keys_at), at_key=True)
    if kind == "missing":
        missing = str(path[-1])
        return document.fault(path[:-1], "missing_key", f"the key {missing!r} is missing", at_key=False)
    if key := context.get("key"):
        return document.fault((*path, str(key)), kind, error["msg"], at_key=True)
    if kind in ("empty", "contradiction"):
        return document.fault(path, kind, error["msg"], at_key=True)
    if kind in ("enum", "literal_error"):
        return document.fault(path, "unknown_word", _unknown_word(error))
    code = "wrong_type" if kind in _TYPES or kind.endswith("_type") else kind
    said = _TYPES[kind].format_map(context) if kind in _TYPES else error["msg"]
    return document.fault(path, code, said)


def _unknown_key(path: Path, keys_at: KeysAt) -> str:
    return f"there is no key {str(path[-1])!r} here; {nearest(str(path[-1]), keys_at(path[:-1]))}"


def _unknown_word(error: ErrorDetails) -> str:
    expected = str(error.get("ctx", {}).get("expected", "")).replace(" or ", ", ").replace("'", "")
    return f"{str(error['input'])!r} is not one of its values; {nearest(str(error['input']), expected.split(', '))}"


def nearest(given: str, known: Sequence[str]) -> str:
    """Return a question whether the word that is most like `given` was meant, or without one, all that are known."""
    near = get_close_matches(given, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the keys of a model as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]
