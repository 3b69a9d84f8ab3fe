"""Names of workspaces: what a title and an id become as a folder and a branch."""

import random
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aura_contracts.ids import WorkspaceId, uuid7_factory
from aura_contracts.workspace import WORKSPACE_SLUG_LIMIT, workspace_branch, workspace_folder, workspace_slug

ID = WorkspaceId("0192f0c1-2d3e-7abc-8def-0123456789ab")


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Fix the login", "fix-the-login"),
        ("  Größe & Maß: 10 %!  ", "grosse-mass-10"),
        ("Café #42 (naïve)", "cafe-42-naive"),
        ("修复登录", "work"),
        ("", "work"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 70, "x" * 60),
        ("a" * 59 + " bc", "a" * 59),
        ("a" * 56 + " bcd", "a" * 56 + "-bcd"),
    ],
)
def test_slugs(title: str, slug: str) -> None:
    assert workspace_slug(title) == slug


@given(st.text(max_size=200))
@example("İ" * 80)
@example("\ud800\0-")
def test_a_slug_is_words_of_small_letters_and_digits_with_single_hyphens_between(title: str) -> None:
    slug = workspace_slug(title)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert len(slug) <= WORKSPACE_SLUG_LIMIT
    assert workspace_slug(slug) == slug


def test_the_branch_and_the_folder_carry_the_random_end_of_the_id() -> None:
    assert workspace_branch(ID, "fix-the-login") == "aura/456789ab-fix-the-login"
    assert workspace_folder(ID, "fix-the-login") == "456789ab-fix-the-login"


def test_workspaces_of_one_millisecond_have_branches_of_their_own() -> None:
    new_id = uuid7_factory(lambda: 1_767_225_600_000, random.Random(1).getrandbits)
    assert len({workspace_branch(WorkspaceId(new_id()), "same") for _ in range(1_000)}) == 1_000
