"""What git prints is read right, whatever files are called."""

import os

from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.ports.git_values import ChangedFile, ChangeKind, LinkedWorktree, Status
from aura_git.commandline._output import parse_changes, parse_config, parse_status, parse_worktrees, paths

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name)
ZERO, ONE = "0" * 40, "1" * 40


@given(st.lists(NAMES, unique=True), st.lists(NAMES, unique=True), st.lists(NAMES, unique=True))
def test_any_bytes_may_be_a_name_in_a_status(
    staged: list[bytes], unstaged: list[bytes], untracked: list[bytes]
) -> None:
    facts = f"N... 100644 100644 100644 {ONE} {ONE} ".encode()
    records = [b"1 M. " + facts + name for name in staged]
    records += [b"1 .M " + facts + name for name in unstaged]
    records += [b"? " + name for name in untracked]
    found = parse_status(b"".join(record + b"\0" for record in records))
    for names, parsed in ((staged, found.staged), (unstaged, found.unstaged), (untracked, found.untracked)):
        assert parsed == tuple(sorted(map(os.fsdecode, names)))


def test_a_status_with_conflicts_headers_and_submodules() -> None:
    output = (
        b"# branch.oid 1\0"
        b"u UU N... 100644 100644 100644 100644 a b c in conflict\0"
        b"1 .M SC.. 160000 160000 160000 a a sub\0"
        b"1 MM N... 100644 100644 100644 a a both\0"
    )
    assert parse_status(output) == Status(staged=("both",), unstaged=("both", "sub"), conflicted=("in conflict",))


def test_changes_of_all_kinds() -> None:
    output = (
        f":100644 000000 {ONE} {ZERO} D\0gone\0"
        f":000000 100644 {ZERO} {ONE} A\0:added\0"
        f":100644 100644 {ONE} {ONE} R087\0old\tname\0new\nname\0"
        f":100644 120000 {ONE} {ONE} T\0link\0"
        f"0\t2\tgone\0" + "-\t-\t:added\0" + "1\t1\t\0old\tname\0new\nname\0" + "1\t0\tlink\0"
    ).encode()
    assert parse_changes(output) == (
        ChangedFile(path=":added", kind=ChangeKind.ADDED, added=None, removed=None),
        ChangedFile(path="gone", kind=ChangeKind.DELETED, added=0, removed=2),
        ChangedFile(path="link", kind=ChangeKind.TYPE_CHANGED, added=1, removed=0),
        ChangedFile(path="new\nname", kind=ChangeKind.RENAMED, old_path="old\tname", added=1, removed=1),
    )


def test_worktrees_of_all_kinds() -> None:
    output = (
        b"worktree /repo.git\0bare\0\0"
        b"worktree /a b\nc\0HEAD " + ONE.encode() + b"\0branch refs/heads/x/y\0locked why not\0\0"
        b"worktree /gone\0HEAD " + ONE.encode() + b"\0detached\0prunable gone\0\0"
        b"worktree /new\0HEAD " + ZERO.encode() + b"\0branch refs/heads/unborn\0\0"
    )
    assert parse_worktrees(output) == (
        LinkedWorktree(path="/repo.git", head=None, branch=None, bare=True),
        LinkedWorktree(path="/a b\nc", head=ONE, branch="x/y", locked=True),
        LinkedWorktree(path="/gone", head=ONE, branch=None, prunable=True),
        LinkedWorktree(path="/new", head=None, branch="unborn"),
    )


def test_nothing_is_nothing() -> None:
    assert paths(b"") == []
    assert parse_changes(b"") == ()
    assert parse_worktrees(b"") == ()
    assert parse_status(b"") == Status()


def test_configuration_with_lines_and_without_values() -> None:
    output = b"global\0file:/x\0user.name\nUna\nLines\0local\0file:.git/config\0core.bare\0"
    assert parse_config(output) == [
        ("global", "file:/x", "user.name", "Una\nLines"),
        ("local", "file:.git/config", "core.bare", "true"),
    ]
