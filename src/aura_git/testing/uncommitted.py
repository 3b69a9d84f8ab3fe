"""The part of the conformance suite about what committing everything does not record."""

from pathlib import Path

import pytest

from aura_contracts.ports.git import Git
from aura_contracts.workspace import UnrecordedKind
from aura_git.testing.repositories import Conformance, Scratch


class UnrecordedConformance(Conformance):
    def found(self, git: Git, repo: Scratch) -> list[tuple[UnrecordedKind, str]]:
        return [(one.kind, one.path) for one in git.inventory(str(repo)).unrecorded]

    def nested(self, repo: Scratch, path: str) -> Scratch:
        inner = Scratch(repo.path / path, repo.environment)
        inner.path.mkdir(parents=True)
        inner.git("init", "-q", "-b", "main")
        inner.write("main.py")
        return inner

    @pytest.mark.parametrize("commits", [0, 1])
    def test_repositories_inside_are_unrecorded(self, git: Git, repo: Scratch, commits: int) -> None:
        for path in ("app", "deep/er/with space"):
            inner = self.nested(repo, path)
            if commits:
                inner.commit("first")
        git.stage(str(repo))
        git.commit(str(repo), "everything")
        assert self.found(git, repo) == [
            (UnrecordedKind.REPOSITORY, "app/"),
            (UnrecordedKind.REPOSITORY, "deep/er/with space/"),
        ]

    def test_other_worktrees_inside_are_unrecorded(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.git("worktree", "add", "-q", str(tmp_path / "elsewhere"))
        repo.git("worktree", "add", "-q", str(repo.path / "inner"))
        assert self.found(git, repo) == [(UnrecordedKind.REPOSITORY, "inner/")]

    def test_ignored_files_are_unrecorded(self, git: Git, repo: Scratch) -> None:
        repo.commit("rules", {".gitignore": "*.out\nbuild/\n"})
        for name in ("report.out", "deep/er/a.out", "build/x", "build/y/z", "plain"):
            repo.write(name)
        assert self.found(git, repo) == [
            (UnrecordedKind.IGNORED, "build/"),
            (UnrecordedKind.IGNORED, "deep/er/a.out"),
            (UnrecordedKind.IGNORED, "report.out"),
        ]

    def test_what_programs_make_again_is_not(self, git: Git, repo: Scratch) -> None:
        repo.commit("rules", {".gitignore": "node_modules/\n__pycache__/\n*.pyc\n.venv\ntarget/\n.cache/\nempty/\n"})
        for name in (
            *("node_modules/left-pad/index.js", "src/__pycache__/app.cpython-311.pyc", "old.pyc"),
            *(
                ".venv/pyvenv.cfg",
                ".venv/lib/x.py",
                "target/CACHEDIR.TAG",
                "target/debug/x",
                ".cache/deep/CACHEDIR.TAG",
            ),
        ):
            repo.write(name)
        (repo.path / "empty").mkdir()
        assert self.found(git, repo) == []
        repo.write(".cache/data")
        assert self.found(git, repo) == [(UnrecordedKind.IGNORED, ".cache/")]

    def test_folders_without_a_file_are_named(self, git: Git, repo: Scratch) -> None:
        assert git.empty_folders(str(repo)) == ()
        repo.commit("rules", {".gitignore": "*.out\nkept/\n"})
        for name in ("build/a", "build/b", "with\nnewline", ":(top)", "src/new", "kept", "link/x", "-dash"):
            (repo.path / name).mkdir(parents=True)
        for name in ("a file/here", "ignored/x.out"):
            repo.write(name)
        (repo.path / "link/x/leads").symlink_to("nowhere")
        found = (":(top)/", "-dash/", "build/", "src/new/", "with\nnewline/")
        assert set(git.empty_folders(str(repo))) - {"kept/"} == set(found)

    @pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
    def test_changes_in_files_marked_as_unchanged_are_seen_again(self, git: Git, repo: Scratch, mark: str) -> None:
        repo.git("update-index", mark, "README", "src/app.py")
        repo.write("README", "changed\n")
        if mark == "--skip-worktree":
            (repo.path / "src/app.py").unlink()  # as in a sparse checkout
        assert git.status(str(repo)).unstaged == ()
        git.examine_all(str(repo))
        assert git.status(str(repo)).unstaged == ("README",)

    # --- Commits on no branch -----------------------------------------------------------------------------------------

    def test_commits_left_on_no_branch_are_kept(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "--detach")
        first = repo.commit("left", {"left": "x\n"})
        repo.git("checkout", "-q", "main")
        repo.git("checkout", "-q", "--detach")
        repo.commit("taken")
        repo.git("branch", "taken")
        repo.git("checkout", "-q", "main")
        assert git.left_commits(str(repo), "refs/aura/left/x") == (first,)
        assert git.find_ref(str(repo), f"refs/aura/left/x/{first[:16]}") is None, "nothing is changed"
        assert git.keep_left_commits(str(repo), "refs/aura/left/x") == (first,)
        assert git.left_commits(str(repo), "refs/aura/left/x") == (first,)
        repo.git("reflog", "expire", "--expire=now", "--all")
        repo.git("gc", "-q", "--prune=now")
        assert repo.show(first, "left") == b"x\n"
        assert git.keep_left_commits(str(repo), "refs/aura/left/x") == (first,)
        repo.git("merge", "-q", first)
        assert git.keep_left_commits(str(repo), "refs/aura/left/x") == ()

    def test_commits_that_were_replaced_are_not_left(self, git: Git, repo: Scratch) -> None:
        repo.commit("wrong")
        repo.git("commit", "-q", "--amend", "--allow-empty", "-m", "right")
        repo.git("checkout", "-q", "-b", "other")
        repo.git("checkout", "-q", "main")
        assert git.keep_left_commits(str(repo), "refs/aura/left/x") == ()

    def test_branches_and_stashes_of_a_worktree_are_found(self, git: Git, repo: Scratch) -> None:
        repo.git("branch", "others", "HEAD~0")
        repo.git("checkout", "-q", "others")
        repo.git("checkout", "-q", "main")
        assert git.elsewhere(str(repo)) == ()
        repo.git("checkout", "-q", "-b", "aside")
        repo.commit("aside", {"aside": "x\n"})
        repo.write("README", "stashed\n")
        repo.git("stash", "-q")
        repo.git("checkout", "-q", "main")
        assert [(one.kind, one.path) for one in git.elsewhere(str(repo))] == [
            (UnrecordedKind.STASH, repo.commit_of("refs/stash")),
            (UnrecordedKind.BRANCH, "aside"),
        ]
        repo.git("merge", "-q", "aside")
        repo.git("stash", "pop", "-q")
        assert git.elsewhere(str(repo)) == ()

    def test_a_stash_of_another_worktree_is_not_found(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.write("README", "stashed\n")
        repo.git("stash", "-q")
        git.ensure_branch(str(repo), "work", "main")
        git.add_worktree(str(repo), str(tmp_path / "linked"), "work")
        assert git.elsewhere(str(tmp_path / "linked")) == ()

    # --- Snapshots ----------------------------------------------------------------------------------------------------

    def test_a_snapshot_takes_ignored_files_that_are_named(self, git: Git, repo: Scratch) -> None:
        repo.write("build.log", "ignored\n")
        (repo.path / "link.log").symlink_to("nowhere")
        before = repo.index()
        commit = git.snapshot(str(repo), "refs/aura/s", "copy", also=["build.log", "link.log"])
        assert commit != repo.head
        assert repo.show(commit, "build.log") == b"ignored\n"
        assert repo.show(commit, "link.log") == b"nowhere"
        assert repo.index() == before
        (repo.path / "build.log").unlink()
        git.restore(str(repo), commit)
        assert repo.read("build.log") == "ignored\n"
        assert repo.git("status", "--porcelain") == ""
