"""Subject: what a list or a question is about, a task and the repositories that its agent works on."""

import os.path
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import msgspec

from aura_contracts.file_paths import is_within
from aura_contracts.task import Task
from aura_contracts.workspace import Workspace


class Subject(msgspec.Struct, frozen=True):
    """A task and where its agent works, as lists and questions name them."""

    title: str = ""
    folders: tuple[str, ...] = ()
    """The repositories, or the folder of a task that works in place."""
    worktrees: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: Task | None, workspace: Workspace | None) -> "Subject":
        """Return the subject of a task; either may be missing."""
        title = "" if task is None else task.title
        if workspace is None:
            return cls(title)
        folders = tuple(one.path for one in workspace.repositories) or ((workspace.root,) if workspace.root else ())
        return cls(title, folders, tuple(tree.path for tree in workspace.worktrees))

    @property
    def place(self) -> str:
        """The names of its folders, for a column of a list."""
        return ", ".join(map(_name_of, self.folders))

    @property
    def data(self) -> dict[str, Any]:
        """The subject for programs."""
        return {"title": self.title, "repositories": self.folders}

    def holds(self, folder: str) -> bool:
        """Whether a folder, given as its real path, is in one of the repositories or worktrees."""
        return any(is_within(folder, os.path.realpath(each)) for each in (*self.folders, *self.worktrees) if each)


@lru_cache
def _name_of(path: str) -> str:
    """Return the name of a folder; ten thousand tasks are about few of them."""
    return PurePath(path).name or path
