"""A repository of the user's with a worktree in which an agent works, and what AURA does with its work."""

import os
import subprocess
from pathlib import Path

from aura_git import CommandLineGit


class World:
    """A repository of the user's, pinned, with a worktree in which an agent has worked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.repo = folder / "repo"
        self.tree = folder / "aura" / "tree"
        self.trace = folder / "trace"
        self.trap = folder / "trap"
        self.trap.write_text(f'#!/bin/sh\necho "$@" >> {self.trace}\ncat\n')
        self.trap.chmod(0o755)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{
                f"GIT_{who}_{what}": "t@example.invalid"
                for who in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
        }
        self.git = CommandLineGit(environment=self.environment, pins=folder / "pins")
        self.sh(folder, "git init -q -b main repo")
        self.sh(self.repo, "printf 'a\nb\nc\nd\ne\n' > m.txt; echo one > a.txt; git add .; git commit -qm one")

    def sh(self, where: Path, script: str) -> str:
        variables = {"TRAP": str(self.trap), "REPO": str(self.repo), "W": str(self.folder)}
        done = subprocess.run(
            ["sh", "-e", "-c", script],
            cwd=where,
            env={**self.environment, **variables},
            check=True,
            capture_output=True,
            timeout=60,
        )
        return done.stdout.decode()

    def begin(self) -> None:
        """Do what is done before an agent starts."""
        self.git.pin_configuration(str(self.repo), "w1")
        self.git.ensure_branch(str(self.repo), "work", "main")
        self.git.add_worktree(str(self.repo), str(self.tree), "work")

    def finish(self) -> str:
        """Do with the agent's work what AURA does with it; return the merged commit."""
        tree, repo = str(self.tree), str(self.repo)
        git = self.git
        git.inspect(tree)
        git.inventory(tree)
        git.operation(tree)
        git.diff(tree, "HEAD", patch=True)
        saved = git.snapshot(tree, "refs/aura/saved", "saved")
        git.stage(tree)
        git.commit(tree, "work")
        git.status(tree)
        git.diff(tree, "main", "work", patch=True)
        git.restore(tree, saved)
        git.list_worktrees(repo)
        git.predict_merge(repo, "main", "work")
        merged = git.merge(repo, source="work", target_branch="main", message="merge", keep="refs/aura/kept").commit
        moved = f"{tree}-moved"
        git.move_worktree(repo, tree, moved)
        git.status(moved)
        git.remove_worktree(repo, moved, force=True)
        git.delete_branch(repo, "work", git.resolve(repo, "work"))
        return merged
