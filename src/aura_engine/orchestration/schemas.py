"""Schemas: whether outputs and inputs are as their author declared them, in JSON Schema. Pure.

Supported are draft 2020-12, which is the default, and draft 7 (``$schema``). References stay within a schema: nothing
is loaded. Patterns have the syntax of regular expressions without look-around and back-references, which match in
linear time. Size, nesting and work are bounded. `jsonschema` is imported on first use.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from aura_contracts.errors import InvalidInput, InvalidSchema, OutputMismatch
from aura_contracts.plain_data import DEPTH_LIMIT, is_too_deep, short
from aura_contracts.quoting import ERROR_LIMIT, cut, one_line

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

SCHEMA_LIMIT = 64 * 1024
"""Bytes of a schema as JSON."""

OUTPUT_LIMIT = 1_048_576
"""Bytes of an output as JSON: 1 MiB."""

STEP_LIMIT = 50_000
"""Keywords that are applied to parts of a value, before a check is abandoned."""

PATTERN_LIMIT = 1000
"""Characters of a pattern."""

_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")

_steps: ContextVar[list[int]] = ContextVar("_steps")


class _TooMuchWork(Exception):
    """A check takes more than `STEP_LIMIT` steps."""


def require_schema(schema: Any, *, field: str = "output") -> None:
    """Refuse what is not a supported JSON Schema. Raises `InvalidSchema`; `field` is the path of the schema."""
    if not isinstance(schema, dict):
        raise InvalidSchema(field=field, reason="it is not an object", remedy='give a JSON Schema: {"type": "object"}')
    _checker(_encoded(schema, field), field)


def require_fit(value: Any, schema: Mapping[str, Any], *, step: str = "") -> None:
    """Refuse a value that does not fit a schema. Raises `OutputMismatch` with the first part that does not.

    Raises `InvalidSchema` if the schema is not one.
    """
    checker = _checker(_encoded(schema, "output"), "output")
    if problem := _problem(checker, value, "output"):
        path, reason = problem
        raise OutputMismatch(step=step, path=path, reason=reason)


def require_inputs(declared: Mapping[str, Any]) -> None:
    """Refuse declarations of inputs that are not schemas, or whose default does not fit. Raises `InvalidSchema`."""
    for name, schema in declared.items():
        require_schema(schema, field=f"inputs.{name}")
        if "default" in schema:
            found = _problem(
                _checker(_encoded(schema, "inputs"), "inputs"), schema["default"], f"inputs.{name}.default"
            )
            if found:
                path, reason = found
                raise InvalidSchema(field=path, reason=reason, remedy="correct the default, or the schema")


def completed_inputs(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a workflow, in the order of their declaration, with defaults for those not `given`.

    Raises `InvalidInput` for unknown names, missing inputs and values that do not fit; `field` is ``inputs.NAME``.
    """
    for name in given:
        if name not in declared:
            near = get_close_matches(name, declared, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"its inputs are: {', '.join(declared) or 'none'}"
            raise InvalidInput(field=f"inputs.{name}", reason="there is no such input", remedy=remedy)
    inputs: dict[str, Any] = {}
    for name, schema in declared.items():
        if name in given:
            inputs[name] = given[name]
        elif "default" in schema:
            inputs[name] = schema["default"]
        else:
            raise InvalidInput(field=f"inputs.{name}", reason="it is required", remedy=f"give {name}")
        checker = _checker(_encoded(schema, f"inputs.{name}"), f"inputs.{name}")
        if problem := _problem(checker, inputs[name], f"inputs.{name}"):
            path, reason = problem
            raise InvalidInput(field=path, reason=reason, remedy="give a value that fits the schema of this input")
    return inputs


# --- Values -----------------------------------------------------------------------------------------------------------


def _problem(checker: "Validator", value: Any, root: str) -> tuple[str, str] | None:
    """Return the path and the reason of the first part that does not fit; None if all does."""
    if is_too_deep(value):
        return root, f"it is nested more than {DEPTH_LIMIT} deep"
    try:
        size = len(msgspec.json.encode(value))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        return root, f"it is not JSON: {error}"
    if size > OUTPUT_LIMIT:
        return root, f"it takes {size} bytes; the limit is {OUTPUT_LIMIT}"
    token = _steps.set([STEP_LIMIT])
    try:
        misfit: Any = next(iter(checker.iter_errors(value)), None)
    except (_TooMuchWork, RecursionError):
        return root, f"to check it takes more than {STEP_LIMIT} steps; simplify its schema"
    finally:
        _steps.reset(token)
    if misfit is None:
        return None
    return _path(misfit.absolute_path, root), cut(one_line(_reason(misfit)), ERROR_LIMIT)


def _reason(error: Any) -> str:
    """Return why a part does not fit, without all of a large part."""
    wanted, given = error.validator_value, error.instance
    match error.validator:
        case "required":
            return str(error.message)
        case "additionalProperties" if isinstance(given, dict) and wanted is False:
            known = error.schema.get("properties", {})
            extra = next((name for name in given if name not in known), "")
            near = get_close_matches(extra, known, n=1)
            return f"there is no property {short(extra)!r}{f'; did you mean {near[0]}?' if near else ''}"
        case None:
            return "nothing fits the schema false"
        case "type" if not isinstance(wanted, str):
            wanted = " or ".join(map(str, wanted))
    said = {
        "type": "is not of type {wanted}",
        "enum": "is not one of {wanted}",
        "const": "is not {wanted}",
        "pattern": "does not match {wanted}",
    }.get(error.validator, "does not fit {keyword}: {wanted}")
    return f"{short(given)} {said.format(wanted=short(wanted, 200), keyword=error.validator)}"


def _path(parts: Any, root: str) -> str:
    path = root
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if _PLAIN_NAME.fullmatch(str(part)) else f"[{part!r}]"
    return path


# --- Schemas ----------------------------------------------------------------------------------------------------------


def _encoded(schema: Any, field: str) -> bytes:
    """Return a schema as JSON, by which its checker is remembered."""
    if is_too_deep(schema):
        raise InvalidSchema(field=field, reason=f"it is nested more than {DEPTH_LIMIT} deep", remedy="use $defs")
    try:
        encoded = msgspec.json.encode(schema)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise InvalidSchema(field=field, reason=f"it is not JSON: {error}", remedy="give plain JSON") from error
    if len(encoded) > SCHEMA_LIMIT:
        reason = f"it takes {len(encoded)} bytes; the limit is {SCHEMA_LIMIT}"
        raise InvalidSchema(field=field, reason=reason, remedy="declare less of the output")
    return encoded


@lru_cache(maxsize=256)
def _checker(encoded: bytes, field: str) -> "Validator":
    """Return the checker of a schema. Raises `InvalidSchema`."""
    from jsonschema import FormatChecker  # noqa: PLC0415 - see the module's documentation
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    schema = msgspec.json.decode(encoded)
    if not isinstance(schema, dict):
        raise InvalidSchema(field=field, reason="it is not an object", remedy='give a JSON Schema: {"type": "object"}')
    kinds = _kinds()
    dialect = str(schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")).rstrip("#")
    if dialect not in kinds:
        remedy = f"use one of {', '.join(kinds)}"
        raise InvalidSchema(field=f"{field}.$schema", reason=f"{dialect} is not supported", remedy=remedy)
    kind = kinds[dialect]
    try:
        kind.check_schema(schema, format_checker=FormatChecker(formats=()))  # patterns are checked below
    except SchemaError as error:
        path = _path(error.absolute_path, field)
        raise InvalidSchema(
            field=path, reason=cut(one_line(_reason(error)), ERROR_LIMIT), remedy="correct it"
        ) from None
    except RecursionError:
        raise InvalidSchema(field=field, reason="it is nested too deep", remedy="use $defs") from None
    registry: Any = Registry()
    _require_supported(schema, dialect, field)
    checker: Validator = kind(schema, registry=registry)
    return checker


@lru_cache(maxsize=1)
def _kinds() -> Mapping[str, Any]:
    """Return the classes of checkers by dialect: those of the library, with counted keywords and safe patterns."""
    from jsonschema import Draft7Validator, Draft202012Validator  # noqa: PLC0415 - see the module's documentation
    from jsonschema.validators import extend  # noqa: PLC0415

    def bounded(kind: Any) -> Any:
        keywords = {name: _counted(check) for name, check in kind.VALIDATORS.items()}
        keywords |= {"pattern": _counted(_pattern), "patternProperties": _counted(_pattern_properties)}
        keywords["additionalProperties"] = _counted(_additional_properties)
        return extend(kind, keywords)  # type: ignore[no-untyped-call]

    return {
        "https://json-schema.org/draft/2020-12/schema": bounded(Draft202012Validator),
        "http://json-schema.org/draft-07/schema": bounded(Draft7Validator),
    }


def _counted(check: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """Return a keyword that counts its work: ``allOf`` of ``allOf`` of ... may take forever, `$ref` may not end."""

    def checked(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        left = _steps.get(None)
        if left is not None:
            size = len(instance) if isinstance(instance, list | dict) else 0
            left[0] -= 1 + (size * size // 8 if check.__name__ == "uniqueItems" else size)
            if left[0] < 0:
                raise _TooMuchWork
        yield from check(validator, wanted, instance, schema) or ()

    return checked


# --- Patterns ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1000)
def _matcher(pattern: str) -> Callable[[str], bool]:
    """Return whether a pattern occurs in a text, in linear time. Raises ValueError for what is not a pattern."""
    from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema  # noqa: PLC0415

    try:
        validator = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True))
    except SchemaError as error:
        raise ValueError(str(error).rpartition("error: ")[2].strip()) from error

    def matches(text: str) -> bool:
        try:
            validator.validate_python(text)
        except ValidationError:
            return False
        return True

    return matches


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - see the module's documentation

    if validator.is_type(instance, "string") and not _matcher(pattern)(instance):
        yield ValidationError(f"it does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not validator.is_type(instance, "object"):
        return
    for pattern, inner in patterns.items():
        for name, value in instance.items():
            if _matcher(pattern)(name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - see the module's documentation

    if not validator.is_type(instance, "object"):
        return
    matchers = [_matcher(pattern) for pattern in schema.get("patternProperties", {})]
    for name, value in instance.items():
        if name in schema.get("properties", {}) or any(matches(name) for matches in matchers):
            continue
        if validator.is_type(wanted, "object"):
            yield from validator.descend(value, wanted, path=name)
        elif wanted is False:
            yield ValidationError(f"there is no property {name!r}")


def _require_supported(schema: Any, dialect: str, field: str) -> None:
    """Refuse references that lead nowhere or elsewhere, and what is not a pattern. Raises `InvalidSchema`."""
    from referencing import Registry  # noqa: PLC0415 - see the module's documentation
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import specification_with  # noqa: PLC0415

    resource: Any = specification_with(dialect).create_resource(schema)
    resolver = Registry[Any]().resolver_with_root(resource)
    parts = [resource]
    while parts:
        part = parts.pop()
        parts.extend(part.subresources())
        if not isinstance(part.contents, dict):
            continue
        for keyword in ("$dynamicRef", "$id", "unevaluatedProperties", "unevaluatedItems"):
            if keyword in part.contents:
                remedy = "use $ref, and additionalProperties or items"
                raise InvalidSchema(field=f"{field}.{keyword}", reason="it is not supported", remedy=remedy)
        reference = part.contents.get("$ref", "#")
        if not reference.startswith("#"):
            remedy = "put what it refers to into $defs, and write #/$defs/NAME"
            raise InvalidSchema(field=f"{field}.$ref", reason=f"{reference!r} is outside of the schema", remedy=remedy)
        try:
            resolver.lookup(reference)
        except Unresolvable:
            reason = f"{reference!r} leads nowhere"
            raise InvalidSchema(field=f"{field}.$ref", reason=reason, remedy="write #/$defs/NAME") from None
        for pattern in (part.contents.get("pattern"), *part.contents.get("patternProperties", {})):
            if pattern is not None:
                _require_pattern(pattern, field)


def _require_pattern(pattern: str, field: str) -> None:
    try:
        if len(pattern) > PATTERN_LIMIT:
            raise ValueError(f"it has more than {PATTERN_LIMIT} characters")  # noqa: TRY301
        _matcher(pattern)
    except ValueError as error:
        reason = cut(one_line(f"{short(pattern)} is not a pattern: {error}"), 500)
        remedy = "look-around and back-references are not supported"
        raise InvalidSchema(field=f"{field}.pattern", reason=reason, remedy=remedy) from None
