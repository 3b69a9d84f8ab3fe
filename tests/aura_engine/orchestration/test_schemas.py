"""Outputs and inputs are as declared, or it is said where and why not; no schema takes forever or loads anything."""

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput, InvalidSchema, OutputMismatch
from aura_engine.orchestration.schemas import (
    OUTPUT_LIMIT,
    SCHEMA_LIMIT,
    completed_inputs,
    require_fit,
    require_inputs,
    require_schema,
)

REPORT = {
    "type": "object",
    "properties": {
        "files": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "verdict": {"enum": ["good", "bad"]},
        "branch": {"type": "string", "pattern": "^[a-z/]+$"},
    },
    "required": ["verdict"],
    "additionalProperties": False,
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def mismatch(value: Any, schema: dict[str, Any] = REPORT) -> OutputMismatch:
    with pytest.raises(OutputMismatch) as caught:
        require_fit(value, schema, step="review")
    assert caught.value.step == "review"
    assert caught.value.remedy
    return caught.value


def test_what_fits_passes():
    require_fit({"verdict": "good", "files": [{"name": "a"}], "branch": "fix/login"}, REPORT)
    require_fit([], {})


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ([], "output", "[] is not of type object"),
        ({}, "output", "'verdict' is a required property"),
        ({"verdict": "so so"}, "output.verdict", 'so so is not one of ["good","bad"]'),
        ({"verdict": "good", "files": [{"name": "a"}, {"name": 5}]}, "output.files[1].name", "5 is not of type string"),
        ({"verdict": "good", "branch": "A"}, "output.branch", "A does not match ^[a-z/]+$"),
        ({"verdict": "good", "fils": []}, "output", "there is no property 'fils'; did you mean files?"),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(value: Any, path: str, reason: str):
    error = mismatch(value)
    assert (error.path, error.reason) == (path, reason)


def test_a_large_part_is_not_repeated_in_the_reason():
    assert len(mismatch({"verdict": "x" * 100_000}).reason) < 200


@pytest.mark.parametrize(
    ("schema", "field", "reason"),
    [
        ([], "output", "it is not an object"),
        ({"type": "objekt"}, "output.type", "objekt"),
        ({"properties": {"a": {"minimum": "x"}}}, "output.properties.a.minimum", "x is not of type number"),
        ({"$ref": "https://example.org/schema"}, "output.$ref", "outside of the schema"),
        ({"items": {"$ref": "file:///etc/passwd"}}, "output.$ref", "outside of the schema"),
        ({"$ref": "#/$defs/nope"}, "output.$ref", "leads nowhere"),
        ({"$ref": "#nope"}, "output.$ref", "leads nowhere"),
        ({"$id": "https://example.org/", "$ref": "b"}, "output.$id", "not supported"),
        ({"$dynamicRef": "#a"}, "output.$dynamicRef", "not supported"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "output.$schema", "is not supported"),
        ({"pattern": "("}, "output.pattern", "is not a pattern"),
        ({"pattern": "(?=a)"}, "output.pattern", "is not a pattern"),
        ({"patternProperties": {r"(a)\1": {}}}, "output.pattern", "is not a pattern"),
        ({"pattern": "((a{1000}){1000}){1000}"}, "output.pattern", "is not a pattern"),
        ({"pattern": "a" * 1001}, "output.pattern", "is not a pattern"),
        ({"description": "x" * SCHEMA_LIMIT}, "output", "the limit is 65536"),
        ({"const": {1, 2}}, "output", None),
    ],
)
def test_what_is_no_schema_is_refused_with_the_path(schema: Any, field: str, reason: str | None):
    if reason is None:
        schema = {"const": object()}
        reason = "it is not JSON"
    with pytest.raises(InvalidSchema) as caught:
        require_schema(schema)
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert caught.value.remedy


def test_what_only_looks_like_a_reference_is_none():
    require_schema({"properties": {"$ref": {"type": "string"}, "pattern": {}}, "const": {"$ref": "https://x.test/"}})
    require_fit({"$ref": "a"}, {"properties": {"$ref": {"type": "string"}}})


def test_nothing_is_loaded(monkeypatch):
    def connected(*_: object) -> None:
        raise AssertionError("a schema was loaded")

    monkeypatch.setattr(socket.socket, "connect", connected)
    for reference in ("http://127.0.0.1/x", "https://json-schema.org/draft/2020-12/schema"):
        with pytest.raises(InvalidSchema, match="outside of the schema"):
            require_fit({}, {"$ref": reference})


def test_references_within_a_schema_are_followed():
    tree = {
        "$defs": {
            "node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": "integer"}}}
        },
        "$ref": "#/$defs/node",
    }
    require_fit({"n": 1, "next": {"n": 2}}, tree)
    assert mismatch({"next": {"next": {"n": "x"}}}, tree).path == "output.next.next.n"
    draft_7 = {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "null"}}}
    assert mismatch([1], {**draft_7, "items": {"$ref": "#/definitions/a"}}).path == "output[0]"


def doubling(depth: int) -> dict[str, Any]:
    """Return a schema of which each definition refers to the next one twice."""
    parts = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    return {"$defs": {**parts, f"d{depth}": {}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, {"$ref": "#"}),
        (1, {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        (1, doubling(40)),
        ([{"n": n} for n in range(5000)], {"uniqueItems": True}),
        ([[n] for n in range(50_000)], {"items": {"anyOf": [{"type": "string"}] * 100 + [{}]}}),
    ],
)
def test_no_check_takes_forever(value: Any, schema: dict[str, Any]):
    assert "takes more than 50000 steps" in mismatch(value, schema).reason


def test_patterns_match_in_linear_time():
    require_schema({"pattern": "^(a+)+$"})
    assert "does not match" in mismatch("a" * 50_000 + "b", {"pattern": "^(a+)+$"}).reason
    names = {"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": False}
    assert "there is no property" in mismatch({"a" * 10_000 + "b": 1}, names).reason


def test_values_are_bounded():
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert "nested more than 64 deep" in mismatch(deep, {}).reason
    assert f"the limit is {OUTPUT_LIMIT}" in mismatch("x" * OUTPUT_LIMIT, {}).reason
    assert "it is not JSON" in mismatch({"a": object()}, {}).reason


@given(JSON, JSON)
def test_a_check_raises_nothing_but_its_own_errors(value: Any, schema: Any):
    for wanted in (schema, {"properties": {"a": schema}}, {"anyOf": [schema]}, {"$defs": {"a": schema}}):
        try:
            require_schema(wanted)
            require_fit(value, wanted)
        except (InvalidSchema, OutputMismatch):
            continue


# --- Inputs

DECLARED = {
    "title": {"type": "string", "minLength": 1},
    "branch": {"type": "string", "default": "main"},
    "tries": {"type": "integer", "minimum": 1, "maximum": 5, "default": 2},
}


def test_inputs_are_completed_with_their_defaults():
    require_inputs(DECLARED)
    inputs = completed_inputs(DECLARED, {"tries": 3, "title": "Fix"})
    assert inputs == {"title": "Fix", "branch": "main", "tries": 3}
    assert list(inputs) == list(DECLARED)


@pytest.mark.parametrize(
    ("given_inputs", "field", "said"),
    [
        ({"titel": "x"}, "inputs.titel", "there is no such input; did you mean title?"),
        ({"title": "x", "zzz": 1}, "inputs.zzz", "there is no such input; its inputs are: title, branch, tries"),
        ({}, "inputs.title", "it is required; give title"),
        ({"title": 5}, "inputs.title", "5 is not of type string"),
        ({"title": ""}, "inputs.title", "does not fit minLength: 1"),
        ({"title": "x", "tries": 9}, "inputs.tries", "9 does not fit maximum: 5"),
    ],
)
def test_inputs_that_are_not_as_declared_are_refused(given_inputs: dict[str, Any], field: str, said: str):
    with pytest.raises(InvalidInput) as caught:
        completed_inputs(DECLARED, given_inputs)
    assert caught.value.field == field
    assert said in str(caught.value)


def test_declarations_of_inputs_are_checked():
    with pytest.raises(InvalidSchema) as caught:
        require_inputs({"tries": {"type": "integer", "default": "two"}})
    assert (caught.value.field, caught.value.reason) == ("inputs.tries.default", "two is not of type integer")
    with pytest.raises(InvalidSchema) as caught:
        require_inputs({"tries": {"type": "int"}})
    assert caught.value.field == "inputs.tries.type"
    with pytest.raises(InvalidSchema):
        require_inputs({"tries": 5})
