"""Where a snapshot has its index is written into its message, and read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_git.files._snapshot import IndexPlace, index_place, read_place, write_message


@given(st.text(), st.sampled_from(IndexPlace))
def test_what_is_written_is_read(message: str, place: IndexPlace) -> None:
    assert read_place(write_message(message, place)) is place


@pytest.mark.parametrize("message", ["", "a commit", "Aura-Index: nowhere", "Aura-Index: head\nnot last"])
def test_other_commits_are_no_snapshots(message: str) -> None:
    assert read_place(message) is None


def test_the_index_is_found_where_it_costs_nothing() -> None:
    assert index_place("a", "a", "a") is IndexPlace.HEAD
    assert index_place("a", "a", "b") is IndexPlace.HEAD
    assert index_place("b", "a", "b") is IndexPlace.FILES
    assert index_place("c", "a", "b") is IndexPlace.PARENT
