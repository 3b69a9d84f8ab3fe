"""Revisions and refs: what names stand for, and moving refs by compare-and-swap."""
# ruff: noqa: PTH103, PTH106, PTH108, PTH118, PTH120, PTH123
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from dulwich.file import FileLocked, GitFile
from dulwich.objects import Commit, ObjectID
from dulwich.refs import Ref, is_per_worktree_ref

from aura_contracts.errors import BranchInUse, GitFailed, InvalidBranchName, RefChanged, UnknownRevision
from aura_git._branch_names import is_valid_branch, is_valid_ref
from aura_git._dulwich_repository import HEAD, HEADS, SYMBOLIC, Opened
from aura_git._layout import branch_under_operation, git_dirs

_T = TypeVar("_T")
_PATIENCE = 1.0
"""Seconds to wait for the lock of a ref; git's own wait for it is a tenth, for packed refs one second."""

_WAYS = (b"%s", b"refs/%s", b"refs/tags/%s", b"refs/heads/%s", b"refs/remotes/%s", b"refs/remotes/%s/HEAD")
"""Where a short name is looked for, in git's order (gitrevisions(7))."""

_STEP = re.compile(r"(\^\{(?:commit)?\}|\^\d*|~\d*)$")


# --- Revisions --------------------------------------------------------------------------------------------------------


def resolve(repo: Opened, revision: str) -> ObjectID:
    """Return the commit that a revision names. Raises `UnknownRevision`."""
    try:
        found = _resolved(repo, revision)
    except GitFailed:
        found = None
    if found is None:
        raise UnknownRevision(repository=repo.asked, revision=revision)
    return found


def _resolved(repo: Opened, revision: str) -> ObjectID | None:
    step = _STEP.search(revision)
    if step and step.start():
        before = _resolved(repo, revision[: step.start()])
        return None if before is None else _stepped(repo, before, step.group())
    sha = _named(repo, revision)
    if sha is None:
        return None
    peeled = repo.peel(sha)
    return peeled.id if isinstance(peeled, Commit) else None


def _stepped(repo: Opened, sha: ObjectID, step: str) -> ObjectID | None:
    if step.startswith("^{"):
        return sha
    count = int(step[1:] or 1)
    if step[0] == "^":
        parents = repo.repo.get_parents(sha)
        return sha if count == 0 else parents[count - 1] if count <= len(parents) else None
    for _ in range(count):
        parents = repo.repo.get_parents(sha)
        if not parents:
            return None
        sha = parents[0]
    return sha


def _named(repo: Opened, name: str) -> ObjectID | None:
    try:
        encoded = os.fsencode(name)
    except UnicodeEncodeError:
        return None
    if not encoded or b"\0" in encoded:
        return None
    whole = repo.repo.object_format.hex_length
    if re.fullmatch(rb"[0-9a-fA-F]+", encoded) and len(encoded) == whole:
        sha = ObjectID(encoded.lower())
        return sha if sha in repo.repo.object_store else None
    for way in _WAYS if encoded != b"@" else (b"HEAD",):
        ref = way % encoded if b"%s" in way else way
        sha_of = _ref_value(repo, ref)
        if sha_of is not None:
            return sha_of
    if re.fullmatch(rb"[0-9a-fA-F]{4,}", encoded) and len(encoded) < whole:
        return _abbreviated(repo, encoded.lower())
    return None


def _ref_value(repo: Opened, ref: bytes) -> ObjectID | None:
    if ref in {b"ORIG_HEAD", b"FETCH_HEAD", b"MERGE_HEAD", b"CHERRY_PICK_HEAD", b"REVERT_HEAD"}:
        with suppress(OSError), open(os.path.join(repo.place.git_dir, ref.decode()), "rb") as file:
            return ObjectID(file.read(repo.repo.object_format.hex_length))
        return None
    if ref != HEAD and (not ref.startswith(b"refs/") or not is_valid_ref(os.fsdecode(ref))):
        return None
    try:
        return repo.repo.refs.follow(Ref(ref))[1]
    except (KeyError, ValueError):
        return None


def _abbreviated(repo: Opened, prefix: bytes) -> ObjectID | None:
    found = set(repo.repo.object_store.iter_prefix(prefix))
    commits = [sha for sha in found if isinstance(repo.peel(sha), Commit)]
    return commits[0] if len(commits) == 1 else None


# --- Refs -------------------------------------------------------------------------------------------------------------


def find_ref(repo: Opened, ref: str) -> ObjectID | None:
    if ref != "HEAD" and not is_valid_ref(ref):
        return None
    return _ref_value(repo, os.fsencode(ref))


def list_refs(repo: Opened, prefix: str) -> dict[str, str]:
    wanted = os.fsencode(prefix)
    found: dict[str, str] = {}
    for ref in sorted(repo.repo.refs.allkeys()):
        if ref.startswith(b"refs/") and ref.startswith(wanted):
            sha = _ref_value(repo, ref)
            if sha is not None:
                found[os.fsdecode(ref)] = sha.decode()
    return found


def move_ref(repo: Opened, ref: bytes, new: ObjectID | None, expected: ObjectID | None, message: str) -> None:
    """Compare and swap; None stands for a ref that is not there. Raises `RefChanged`."""
    refs = repo.repo.refs
    name = Ref(ref)
    actual = _ref_value(repo, ref)
    done = actual == expected
    if done and new is None:
        done = expected is None or _with_patience(lambda: refs.remove_if_equals(name, expected))
        if done:
            _forget_log(repo, ref)
    elif done and new is not None:
        note = _log_message(ref, message)
        arguments = (repo.signature(), int(repo.now), repo.offset(), note)
        if note is not None:  # or two threads that make the same folder get in one another's way in dulwich
            os.makedirs(os.path.dirname(_log_path(repo, ref)), exist_ok=True)
        if expected is None:
            _make_place(repo, ref)
            done = _with_patience(lambda: refs.add_if_new(name, new, *arguments))
        else:
            done = _with_patience(lambda: refs.set_if_equals(name, expected, new, *arguments))
    if not done:
        actual = _ref_value(repo, ref)
        raise RefChanged(repository=repo.asked, ref=os.fsdecode(ref), expected=_text(expected), actual=_text(actual))
    if new is not None and ref != HEAD and ref == repo.head_ref() and message:
        log_head(repo, expected, new, message)


def move_head(repo: Opened, old: ObjectID | None, new: ObjectID, message: str) -> None:
    """Move the branch that HEAD is on, or a detached HEAD itself."""
    move_ref(repo, repo.head_ref() or HEAD, new, old, message)


def update_ref(repo: Opened, ref: str, new: ObjectID | None, expected: ObjectID | None, message: str) -> None:
    """Compare and swap what callers name; a symbolic ref is not followed but replaced."""
    if new is not None:
        _require_object(repo, ref, new)
    name = os.fsencode(ref)
    content = repo.repo.refs.read_loose_ref(Ref(name))
    if new is not None and content is not None and content.startswith(SYMBOLIC):
        actual = _ref_value(repo, name)
        if actual != expected:
            raise RefChanged(repository=repo.asked, ref=ref, expected=_text(expected), actual=_text(actual))
        with GitFile(repo.ref_path(name), "wb") as file:
            file.write(new + b"\n")
        return
    move_ref(repo, name, new, expected, " ".join(message.split()) or "aura")


def _require_object(repo: Opened, ref: str, sha: ObjectID) -> None:
    if sha not in repo.repo.object_store or (ref.startswith("refs/heads/") and not isinstance(repo.read(sha), Commit)):
        raise UnknownRevision(repository=repo.asked, revision=sha.decode())


def _text(sha: ObjectID | None) -> str | None:
    return None if sha is None else sha.decode()


def _log_message(ref: bytes, message: str) -> bytes | None:
    """Git logs only what moves branches."""
    if not message or not (ref == HEAD or ref.startswith((b"refs/heads/", b"refs/remotes/", b"refs/notes/"))):
        return None
    return message.split("\n", 1)[0].encode("utf-8", "surrogateescape")


def _make_place(repo: Opened, ref: bytes) -> None:
    """A new ref cannot be where others are below it, nor below another; empty folders left of others make room."""
    for other in repo.repo.refs.allkeys():
        if other.startswith(ref + b"/") or ref.startswith(other + b"/"):
            raise repo.failure(
                f"{os.fsdecode(ref)} cannot be beside {os.fsdecode(other)}", "choose another name, or delete that one"
            )
    for folder, _, _ in os.walk(repo.ref_path(ref), topdown=False):
        with suppress(OSError):
            os.rmdir(folder)


def _with_patience(attempt: Callable[[], _T]) -> _T:
    """Repeat what finds a ref locked for a while: another program may be moving it."""
    deadline = time.monotonic() + _PATIENCE
    pause = 0.002
    while True:
        try:
            return attempt()
        except FileLocked:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.05)


def log_head(repo: Opened, old: ObjectID | None, new: ObjectID, message: str) -> None:
    """Add to HEAD's reflog what was done to the branch that it is on."""
    path = os.path.join(repo.place.git_dir, "logs", "HEAD")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    zero = b"0" * len(new)
    note = message.split("\n", 1)[0].encode("utf-8", "surrogateescape")
    offset = repo.offset() // 60
    zone = b"%s%02d%02d" % (b"-" if offset < 0 else b"+", *divmod(abs(offset), 60))
    line = b"%s %s %s %d %s\t%s\n" % (old or zero, new, repo.signature(), int(repo.now), zone, note)
    with open(path, "ab") as file:
        file.write(line)


def _log_path(repo: Opened, ref: bytes) -> bytes:
    base = repo.place.git_dir if is_per_worktree_ref(ref) else repo.place.common_dir
    return os.path.join(os.fsencode(base), b"logs", ref)


def _forget_log(repo: Opened, ref: bytes) -> None:
    path = _log_path(repo, ref)
    with suppress(OSError):
        os.unlink(path)
        while (path := os.path.dirname(path)).count(b"/logs/refs/"):
            os.rmdir(path)


# --- Branches ---------------------------------------------------------------------------------------------------------


def branch_ref(repo: Opened, branch: str) -> bytes:
    """Return the full name of a branch. Raises `InvalidBranchName`."""
    if not is_valid_branch(branch):
        raise InvalidBranchName(repository=repo.asked, branch=branch)
    return HEADS + os.fsencode(branch)


def existing_branch(repo: Opened, branch: str) -> tuple[bytes, ObjectID]:
    """Return the full name of a branch and its tip. Raises `UnknownRevision`."""
    ref = branch_ref(repo, branch)
    sha = _ref_value(repo, ref)
    if sha is None:
        raise UnknownRevision(repository=repo.asked, revision=branch)
    return ref, sha


def ensure_branch(repo: Opened, branch: str, start: str) -> ObjectID:
    ref = branch_ref(repo, branch)
    there = _ref_value(repo, ref)
    if there is not None:
        return there
    sha = resolve(repo, start)
    try:
        move_ref(repo, ref, sha, None, f"branch: Created from {start}")
    except RefChanged:  # made by somebody else in between
        there = _ref_value(repo, ref)
        if there is None:
            raise
        return there
    return sha


def delete_branch(repo: Opened, branch: str, expected: str) -> None:
    ref = branch_ref(repo, branch)
    if _ref_value(repo, ref) is None:
        return
    refuse_used(repo, ref)
    move_ref(repo, ref, None, ObjectID(expected.encode()), "")


def refuse_used(repo: Opened, ref: bytes, *, besides: str | None = None) -> None:
    """Raise `BranchInUse` if a worktree has the branch checked out, or will come back to it after an operation."""
    for directory, path in users_of(repo, ref):
        if directory != besides:
            raise BranchInUse(repository=repo.asked, branch=os.fsdecode(ref[len(HEADS) :]), worktree=path)


def users_of(repo: Opened, ref: bytes, *, operations: bool = True) -> Iterator[tuple[str, str]]:
    """Yield git directory and path of each worktree that uses a branch."""
    from aura_git._dulwich_worktrees import worktree_path  # noqa: PLC0415 - a cycle: worktrees use branches

    for directory in git_dirs(repo.place.common_dir):
        path = worktree_path(repo, directory)
        if path is None:
            continue
        head = read_head(directory)
        if head == SYMBOLIC + ref or (operations and branch_under_operation(directory) == os.fsdecode(ref)):
            yield directory, path


def read_head(directory: str) -> bytes:
    """Return what HEAD of a git directory says; nothing if it has none."""
    try:
        with open(os.path.join(directory, "HEAD"), "rb") as file:
            return file.read().strip()
    except OSError:
        return b""
