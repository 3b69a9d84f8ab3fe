"""Lines of texts compared: what comes out leads from one text to the other, is short, and merges as git does."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aura_git import _dulwich_lines
from aura_git._dulwich_lines import edits, matching, merge_lines, split_lines, unified

lines = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n", b"\n"]), max_size=14)
texts = st.binary(max_size=60).map(lambda data: data.replace(b"\x00", b"\n"))


@given(st.binary(max_size=200))
def test_split_lines_lose_nothing_and_end_only_in_newlines(data: bytes):
    split = split_lines(data)
    assert b"".join(split) == data
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in split[:-1])


def _longest(one: list[bytes], other: list[bytes]) -> int:
    row = [0] * (len(other) + 1)
    for line in one:
        above = row
        row = [0]
        for at, mate in enumerate(other):
            row.append(above[at] + 1 if line == mate else max(row[at], above[at + 1]))
    return row[-1]


@given(lines, lines)
def test_the_longest_possible_part_is_kept(one: list[bytes], other: list[bytes]):
    assert sum(length for _, _, length in matching(one, other)) == _longest(one, other)


@pytest.mark.parametrize("furthest", [1, 600], ids=["cut at unique lines", "shortest"])
@given(one=lines, other=lines)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_edits_lead_from_one_text_to_the_other(furthest: int, one: list[bytes], other: list[bytes]):
    before = _dulwich_lines._FURTHEST
    _dulwich_lines._FURTHEST = furthest
    try:
        made: list[bytes] = []
        at = 0
        for start, end, new_start, new_end in edits(one, other):
            made += one[at:start] + other[new_start:new_end]
            at = end
        assert made + one[at:] == other
    finally:
        _dulwich_lines._FURTHEST = before


def test_texts_that_have_nothing_in_common_take_no_time():
    one = [b"%d\n" % (number * 7919 % 2003) for number in range(40_000)]
    other = [b"%d\n" % (number * 104729 % 1999) for number in range(40_000)]
    assert edits(one, other)


@given(lines, lines, lines)
def test_merging_is_the_same_from_both_sides(base: list[bytes], one: list[bytes], other: list[bytes]):
    merged, conflict = merge_lines(base, one, other)
    turned, turned_conflict = merge_lines(base, other, one)
    assert conflict == turned_conflict
    assert conflict or merged == turned


@given(lines, lines)
def test_a_change_of_one_side_is_taken(base: list[bytes], one: list[bytes]):
    assert merge_lines(base, one, base) == (one, False)
    assert merge_lines(base, one, one) == (one, False)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(base=lines, one=lines, other=lines)
def test_git_merges_the_same(tmp_path: Path, base: list[bytes], one: list[bytes], other: list[bytes]):
    files = [tmp_path / name for name in ("one", "base", "other")]
    for file, text in zip(files, (one, base, other), strict=True):
        file.write_bytes(b"".join(text))
    done = subprocess.run(["git", "merge-file", "-p", *map(str, files)], capture_output=True, check=False)
    merged, conflict = merge_lines(base, one, other)
    if not conflict:
        assert done.returncode == 0
        assert b"".join(merged) == done.stdout


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(one=texts, other=texts)
def test_git_applies_the_hunks(tmp_path: Path, one: bytes, other: bytes):
    old, new = split_lines(one), split_lines(other)
    changes = edits(old, new)
    if not changes:
        return
    (tmp_path / "file").write_bytes(one)
    patch = b"--- a/file\n+++ b/file\n" + b"".join(unified(old, new, changes))
    environment = {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent), "PATH": "/usr/bin:/bin:/usr/local/bin"}
    done = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"],
        input=patch,
        cwd=tmp_path,
        capture_output=True,
        env=environment,
        check=False,
    )
    if other and one:
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "file").read_bytes() == other
