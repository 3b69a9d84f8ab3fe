"""Quoting: whatever an agent chooses stays in its line, moves no cursor, hides nothing, and looks as git shows it."""

import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.quoting import (
    CUT,
    ERROR_LIMIT,
    block,
    bounded,
    cut,
    cut_to_width,
    is_visible,
    one_line,
    printable,
    quoted,
    width_of,
)
from repositories import git

HOSTILE = [
    "a\n[aura] merged into main: 0123",
    "a\rstatus    approved",
    "\x1b[2K\x1b[1Aapproved",
    "\x9b2K",
    "\u202egnp.exe",
    "\u2066hidden\u2069",
    "a\u2028b\u2029c\x85d\x0be\x0cf",
    "a\0b",
    "rm\u3164-rf",
    "rm\u2800-rf",
    "\U000e0041\U000e0042",
    "\ufe01\ufe02",
    "\u200b\u200d\ufeff\xad",
    "\ud800",
    "tab\tbed",
]

FILE_NAMES = ["plain", "a b", "é", 'say "hi"', "back\\slash", "a\nb", "tab\t", "\x1b[2K", "\x07\x08\x0b\x0c\r\x7f"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_visible_line(text):
    for shown in (quoted(text), one_line(text)):
        assert is_visible(shown)
        assert len(shown.splitlines()) == 1
    for line in block(text):
        assert line.startswith("  ")
        assert is_visible(line.replace("\t", ""))


@given(st.text())
def test_no_text_can_do_more(text):
    for shown in (quoted(text), one_line(text), printable(text).replace("\n", "")):
        assert shown.isprintable()
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs") for character in shown)
    assert len(list(block(text))) == text.count("\n") + 1


@given(st.text())
def test_visible_text_stays_as_it_is(text):
    if is_visible(text):
        assert one_line(text) == printable(text) == text
        assert quoted(text) == text or '"' in text or "\\" in text


def test_names_are_quoted_as_git_quotes_them(tmp_path: Path):
    git(tmp_path, "init", "-q")
    for name in FILE_NAMES:
        (tmp_path / name).write_text("x")
    listed = subprocess.run(
        ["git", "-c", "core.quotePath=false", "ls-files", "--others"], cwd=tmp_path, capture_output=True, check=True
    )
    assert sorted(listed.stdout.decode().splitlines()) == sorted(map(quoted, FILE_NAMES))


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_names_never_look_the_same(one, other):
    assert (quoted(one) == quoted(other)) == (one == other)


def test_pictures_stay_and_ways_to_write_between_the_lines_do_not():
    assert one_line("⚠️ done ✅") == "⚠️ done ✅"
    assert one_line("a\ufe00b\U000e0100c") == "a\\ufe00b\\U000e0100c"


def test_a_cut_is_marked_and_fits():
    assert cut("x" * 61, 60) == "x" * 59 + CUT
    assert cut("x" * 60, 60) == "x" * 60
    assert cut_to_width("漢字漢字", 5) == f"漢字{CUT}"
    assert width_of("漢字") == 4
    assert width_of("e\u0301") == 1


@given(st.text(max_size=30), st.integers(2, 20))
def test_a_text_fits_into_the_columns_it_is_given(text, width):
    assert width_of(cut_to_width(one_line(text), width)) <= width


def test_the_text_of_an_error_is_bounded_at_both_ends():
    text = "begin" + "x" * 10_000_000 + "end"
    error = InvalidInput(field="prompt", reason=text)
    assert len(str(error)) < 2 * ERROR_LIMIT
    assert error.reason.startswith("begin")
    assert error.reason.endswith("end")
    assert "characters left out" in error.reason
    assert bounded("short") == "short"
