"""Whether two patterns have a path in common, compared with all paths of a small world."""

import posixpath
from itertools import combinations_with_replacement, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.path_patterns import PATTERN_LENGTH, overlap, require_pattern
from aura_contracts.permission.wildcards import fits


def texts(letters, longest):
    return ["".join(some) for length in range(1, longest + 1) for some in product(letters, repeat=length)]


def is_path(text):
    parts = text.split("/")
    return posixpath.normpath(text) == text and not {"", ".", ".."} & set(parts)


PATHS = [text for text in texts("ab./", 6) if is_path(text)]
"""Two patterns of up to three characters with a path in common have one of up to six."""


def test_patterns_overlap_exactly_if_a_path_matches_both():
    """All pairs of all short patterns, against all short paths."""
    matched = {
        pattern: sum(1 << number for number, path in enumerate(PATHS) if fits(path, pattern))
        for pattern in texts("a./*?", 3)
    }
    for (one, some), (other, others) in combinations_with_replacement(matched.items(), 2):
        assert overlap(one, other) == overlap(other, one) == bool(some & others), (one, other)


@given(st.sampled_from(PATHS), st.data())
def test_patterns_made_from_one_path_overlap(path, data):
    """However long they are: each wildcard stands for a part of the path."""
    one, other = [loosened(path, data) for _ in range(2)]
    assert fits(path, one)
    assert overlap(one, other)


def loosened(path, data):
    """Return the path with wildcards in place of some of its parts."""
    made, rest = "", path
    while rest:
        kind, size = data.draw(st.sampled_from("=?*")), data.draw(st.integers(1, len(rest)))
        made += {"=": rest[:size], "?": "?" * size, "*": "*"}[kind]
        rest = rest[size:]
    return made


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("src/api/*", "src/api/routes.py", True),
        ("src/api/**", "src/api/deep/er.py", True),
        ("src/api/*", "src/app/*", False),
        ("src/*/test.py", "src/api/*", True),
        ("src/api", "src/api/*", False),
        ("[ab]", "a", False),
        ("a/?b", "a?/b", False),
        ("*" + "a" * 199, "*" + "a" * 198 + "b", False),
    ],
)
def test_examples(one, other, expected):
    assert overlap(one, other) is expected


@pytest.mark.parametrize(
    "pattern", ["", "/", "/src/*", "src/", "./a", "a/../b", "a//b", " a", "a\n", "~/" + "a" * PATTERN_LENGTH, "*?" * 6]
)
def test_what_no_file_matches_is_refused_with_what_to_write(pattern):
    with pytest.raises(InvalidInput) as refused:
        require_pattern(pattern, "locked_paths")
    assert refused.value.field == "locked_paths"
    assert refused.value.remedy


@given(st.sampled_from(PATHS))
def test_every_path_is_a_pattern(path):
    require_pattern(path, "locked_paths")
