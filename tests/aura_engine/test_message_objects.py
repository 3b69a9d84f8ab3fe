"""JSON objects among other words: whole ones only, however hostile the text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_engine.message_objects import TEXT_LIMIT, objects_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ('{"a": {"b": 1}, "c": [{"d": 2}]} and {"e": {}}', [{"a": {"b": 1}, "c": [{"d": 2}]}, {"e": {}}]),
        ('{ {} { "a": 1 }', [{}, {"a": 1}]),
        ('{"a": "{\\"b\\": 1}"}', [{"a": '{"b": 1}'}]),
        ('{"a": {"b": 1},}', []),  # inside of one that is not valid
        ('{"a": [{"b": 1}', []),  # inside of one that ends too early
        ('{"a": x} {"b": 1}', [{"b": 1}]),
        ('if (x) { return "y" } {"b": 1}', [{"b": 1}]),
        ('{"a": ' + "9" * 5000 + ', "b": {"a": 1}}', [{"a": float("inf"), "b": {"a": 1}}]),
        ("{" * 60_000, []),
    ],
)
def test_objects_are_found_as_wholes(text, found):
    assert [one.data for one in objects_in(text)] == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":' * 20_000 + "{}", "nested too deeply"),
        ('{"a": ' + "[" * 20_000 + "]" * 20_000 + ', "b": {"c": 1}}', "nested too deeply"),
        (('{"a":"' + "x" * 500 + '","b":') * 900, "never complete"),
        (('{"a": "' + "x" * 50 + '"\n') * 10_000, "never complete"),
        ("x" * TEXT_LIMIT + "{}", "characters"),
    ],
    ids=["deep objects", "deep lists", "unclosed objects", "broken objects", "long"],
)
def test_what_cannot_be_read_in_little_time_is_refused(text, reason):
    with pytest.raises(InvalidInput, match=reason):
        objects_in(text)


@pytest.mark.parametrize(("text", "key"), [('{"a": 1, "a": 2}', "a"), ('{"a": [{"b": 1, "b": 1}]}', "b"), ("{}", None)])
def test_a_key_that_occurs_twice_is_noted(text, key):
    assert [one.repeated for one in objects_in(text + '{"a": {"c": 1}, "c": 1}')] == [key, None]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=4), st.text(alphabet="ab .\n{["))
def test_every_object_is_found_whatever_braces_stand_between(objects, between):
    text = f"{between}\n".join(["", *map(json.dumps, objects), ""])
    assert [one.data for one in objects_in(text)] == objects
