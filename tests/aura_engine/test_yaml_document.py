"""YAML documents: plain data, places, and faults with line and column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_engine.yaml_document import DEPTH_LIMIT, SIZE_LIMIT, TextPlace, read_yaml


def read(text):
    return read_yaml(text.encode() if isinstance(text, str) else text, "f.yaml")


def told(text):
    return [str(fault) for fault in read(text).faults]


def test_values_are_those_of_yaml_1_2_with_their_places():
    document = read("a: [no, 09:30, 010, 1.5e3, ~, true]\né:\n  'on': |\n    text\n")
    assert document.data == {"a": ["no", "09:30", 10, 1500.0, None, True], "é": {"on": "text\n"}}
    assert document.place(("a", 1)) == TextPlace(1, 9)
    assert document.place(("é", "on"), at_key=True) == TextPlace(3, 3)
    assert document.place(("a", "missing")) == TextPlace(1, 4), "of what is not there, its holder's"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("a: 1\nb: 2\na: 3\n", ["f.yaml:3:1: the key 'a' is there already, in line 1"]),
        ("a: &x 1\nb: *x\n", ["f.yaml:1:4: anchors (&name) are not supported"]),
        ("a: !!python/object x\n", ["f.yaml:1:4: tags (tag:yaml.org,2002:python/object) are not supported"]),
        ("? [k]\n: 5\n", ["f.yaml:1:3: a key is a word"]),
        ("a: 1\n---\nb: 2\n", ["f.yaml:2:1: a file holds one document"]),
        ("a: \x00", ["f.yaml:1:4: the character U+0000 is not allowed"]),
        (b"a:\n \xff", ["f.yaml:2:2: this byte is not UTF-8"]),
    ],
)
def test_faults_have_their_place(text, faults):
    found = told(text)
    assert found[: len(faults)] == faults


def test_all_duplicates_are_told_and_those_before_a_syntax_error():
    found = told("a: 1\na: 2\nb: {c: 1, c: 2}\nd: [\n")
    assert [line.split(": ")[0] for line in found[:2]] == ["f.yaml:2:1", "f.yaml:3:11"]
    assert "this is not YAML" in found[2]


def test_aliases_that_grow_are_not_followed():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    faults = read("\n".join(lines)).faults
    assert faults
    assert {fault.code for fault in faults} == {"anchor", "alias"}


def test_depth_and_size_are_limited():
    assert [fault.code for fault in read("[" * 10_000).faults] == ["too_deep"]
    assert not read("[" * DEPTH_LIMIT + "]" * DEPTH_LIMIT).faults
    assert [fault.code for fault in read(b" " * (SIZE_LIMIT + 1)).faults] == ["too_large"]


@given(st.text("ab:- \n[]{}'\"|>#&*!%@`?,01\t\\é\ufeff", max_size=40) | st.text(max_size=20))
def test_whatever_is_in_a_file_reading_it_raises_nothing(text):
    document = read(text.encode("utf-8", "replace"))
    assert all(fault.line >= 1 and fault.column >= 1 for fault in document.faults)
