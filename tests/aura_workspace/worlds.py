"""A world to make workspaces in: a home, repositories made with the real git, and what tests ask of them."""

import random
import shutil
from pathlib import Path

from msgspec.structs import replace

from aura_contracts.ids import WorkspaceId, uuid7_factory
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import PreparedWorkspace, WorkspaceSpec
from aura_contracts.workspace import Repository, workspace_branch, workspace_slug
from aura_git import CommandLineGit
from aura_workspace import LocalWorkspaces
from repositories import ENVIRONMENT, git, make_repository

GIT = shutil.which("git") or "git"
FILES = {"README": "hello\n", "src/app.py": "one\ntwo\nthree\n", ".gitignore": "*.log\n.env\n"}

new_id = uuid7_factory(lambda: 1_767_225_600_000, random.Random(7).getrandbits)


def command_line_git(executable: str = GIT) -> CommandLineGit:
    return CommandLineGit(executable, environment=ENVIRONMENT)


class World:
    """`api` and `web` are repositories with one commit on main, which is checked out."""

    def __init__(self, folder: Path, adapter: Git | None = None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.api = make_repository(folder / "api", FILES)
        self.web = make_repository(folder / "web", FILES)
        self.git = adapter or command_line_git()
        self.workspaces = LocalWorkspaces(self.home, self.git, patience=0.2)

    def spec(self, *repositories: Path, title: str = "Fix the login", **more: object) -> WorkspaceSpec:
        workspace_id = WorkspaceId(new_id())
        slug = workspace_slug(title)
        spec = WorkspaceSpec(
            id=workspace_id,
            title=title,
            slug=slug,
            branch=workspace_branch(workspace_id, slug),
            repositories=tuple(Repository(path.name, str(path), "main") for path in repositories or (self.api,)),
        )
        return replace(spec, **more)

    def prepared(self, spec: WorkspaceSpec) -> WorkspaceSpec:
        """Prepare; return the spec as it is recorded then."""
        return recorded(spec, self.workspaces.prepare(spec))

    def left_over(self) -> list[str]:
        """Return what there is in the home but locks, and worktrees and branches of the repositories but the first."""
        found = [str(path.relative_to(self.home)) for path in (self.home / "workspaces").glob("*")]
        found += [str(path.relative_to(self.home)) for path in (self.home / "pool").glob("*/[0-9]*")]
        for repository in (self.api, self.web):
            found += git(repository, "worktree", "list").splitlines()[1:]
            found += [name for name in git(repository, "branch", "--format=%(refname:short)").split() if name != "main"]
        return found


def recorded(spec: WorkspaceSpec, made: PreparedWorkspace) -> WorkspaceSpec:
    return replace(spec, root=made.root, worktrees=made.worktrees)


def tree(spec: WorkspaceSpec, number: int = 0) -> Path:
    """Return the worktree of a prepared workspace."""
    return Path(spec.worktrees[number].path)


def tip(repository: Path, revision: str) -> str:
    return git(repository, "rev-parse", revision)
