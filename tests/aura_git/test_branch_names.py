"""The rules for names of branches are git's."""

import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from aura_git._branch_names import is_valid_branch, is_valid_ref

PARTS = st.sampled_from(
    [*"aB0/.-@{}~^:?*[]\\ \t\n\x7f\x1fä\udcff%#'$|", "//", "..", "@{", ".lock", "lock", "HEAD", "refs", "heads", '"']
)


@settings(max_examples=max(150, settings.default.max_examples))
@given(st.lists(PARTS, min_size=1, max_size=6).map("".join))
def test_git_agrees_on_branches(name: str) -> None:
    if name == "@" or name.startswith("@{-"):  # they stand for something else
        return
    done = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, cwd="/", check=False)
    assert is_valid_branch(name) == (done.returncode == 0)


@given(st.lists(PARTS, min_size=1, max_size=6).map("".join))
def test_git_agrees_on_refs(name: str) -> None:
    name = f"refs/{name}"
    done = subprocess.run(["git", "check-ref-format", name], capture_output=True, check=False)
    assert is_valid_ref(name) == (done.returncode == 0)
