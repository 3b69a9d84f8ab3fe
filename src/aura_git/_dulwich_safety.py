"""Snapshots of everything that a worktree holds, and putting them back. What they look like, `_snapshots` says."""

import os

from dulwich.objects import ObjectID

from aura_git._dulwich_checkout import put_back
from aura_git._dulwich_diff import worktree_table
from aura_git._dulwich_index import held, index_tree, read_index
from aura_git._dulwich_recording import status_of
from aura_git._dulwich_refs import find_ref, move_ref, resolve
from aura_git._dulwich_repository import Opened, message_bytes
from aura_git._dulwich_scan import Scanner, stored_entry
from aura_git._dulwich_trees import written_tree
from aura_git._snapshots import INDEX_MESSAGE, IndexPlace, index_place, read_place, write_message


def snapshot(repo: Opened, ref: str, message: str) -> ObjectID:
    head = repo.head()
    head_tree = repo.empty_tree() if head is None else repo.tree(head)
    staged = read_index(repo)
    scanner = Scanner(repo, staged)
    table = worktree_table(
        scanner, lambda path: stored_entry(scanner, repo, path, staged.entries.get(path)), stored=True
    )
    if head is not None and not status_of(repo, staged, scanner.scan).dirty:
        _keep(repo, ref, head)
        return head
    index, files = index_tree(repo, staged), written_tree(repo, table)
    place = index_place(index.decode(), head_tree.decode(), files.decode())
    parents = [] if head is None else [head]
    if place is IndexPlace.PARENT:
        parents.append(repo.make_commit(index, parents, message_bytes(INDEX_MESSAGE)))
    made = repo.make_commit(files, parents, message_bytes(write_message(message, place)))
    _keep(repo, ref, made)
    return made


def _keep(repo: Opened, ref: str, sha: ObjectID) -> None:
    move_ref(repo, os.fsencode(ref), sha, find_ref(repo, ref), "")


def restore(repo: Opened, commit: str) -> None:
    sha = resolve(repo, commit)
    tree = repo.tree(sha)
    index = _index_tree(repo, sha)
    with held(repo) as lock:
        put_back(repo, lock, tree, index)


def _index_tree(repo: Opened, sha: ObjectID) -> ObjectID:
    commit = repo.commit(sha)
    place = read_place(commit.message.decode("utf-8", "replace"))
    if place is IndexPlace.HEAD:
        return repo.tree(commit.parents[0]) if commit.parents else repo.empty_tree()
    if place is IndexPlace.PARENT and commit.parents:
        return repo.tree(commit.parents[-1])
    return repo.tree(sha)
