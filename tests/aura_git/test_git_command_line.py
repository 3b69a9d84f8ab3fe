"""Beyond the conformance suite: filters, many files, damage, and what is left when git fails half way.

With the environment variable `AURA_DEEP` set, many files are 20,000.
"""

import os
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from aura_contracts.errors import DirtyWorktree, GitError, GitFailed, OperationInProgress
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import Status
from aura_contracts.workspace import MergeStyle
from aura_git import CommandLineGit
from aura_git.testing.conformance import MakeGit, Scratch
from aura_git.testing.repositories import Conformance

MANY = 20_000 if os.environ.get("AURA_DEEP") else 2_000


class TestCommandLine(Conformance):
    @pytest.fixture
    def make_git(self) -> MakeGit:
        executable = shutil.which("git")
        assert executable is not None
        return lambda environment: CommandLineGit(executable, environment=environment)

    def test_files_are_put_back_when_a_filter_fails_in_the_middle(self, git: Git, repo: Scratch) -> None:
        repo.commit("more", {".gitattributes": "*.big filter=big\n", "a": "a\n", "gone": "x\n", "z.big": "old\n"})
        repo.git("checkout", "-q", "-b", "work")
        repo.commit("theirs", {"a": "A\n", "gone": None, "deep/new": "x\n", "z.big": "new\n"})
        repo.git("checkout", "-q", "main")
        repo.write("README", "mine\n")
        repo.git("config", "filter.big.clean", "cat")
        repo.git("config", "filter.big.smudge", "false")
        repo.git("config", "filter.big.required", "true")
        before = repo.state()
        with pytest.raises(GitFailed, match="smudge filter"):
            git.merge(str(repo), source="work", target_branch="main", message="m")
        repo.git("config", "filter.big.smudge", "cat")
        assert repo.state() == before
        assert git.status(str(repo)) == Status(unstaged=("README",))
        assert git.merge(str(repo), source="work", target_branch="main", message="m").changed

    def test_filters_of_the_user_are_run(
        self, make_git: MakeGit, environment: dict[str, str], repo: Scratch, tmp_path: Path
    ) -> None:
        config = str(tmp_path / "home" / ".gitconfig")
        for name, value in (("clean", "tr a-z A-Z"), ("smudge", "tr A-Z a-z")):
            repo.git("config", "--file", config, f"filter.case.{name}", value)
        repo.write(".gitattributes", "*.case filter=case\n")
        repo.write("x.case", "abc\n")
        git = make_git(environment)
        git.stage(str(repo))
        commit = git.commit(str(repo), "m")
        assert commit is not None
        assert repo.show(commit, "x.case") == b"ABC\n"
        git.ensure_branch(str(repo), "work", "main")
        git.add_worktree(str(repo), str(tmp_path / "linked"), "work")
        assert (tmp_path / "linked" / "x.case").read_text() == "abc\n"

    def test_a_branch_that_is_being_rebased_elsewhere_is_not_merged_into(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "-b", "side")
        side = repo.commit("theirs", {"README": "theirs\n"})
        repo.git("checkout", "-q", "-b", "other", "main")
        other = repo.commit("other", {"other": "x\n"})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {"README": "ours\n"})
        repo.git("rebase", side, codes=(1,))
        with pytest.raises(OperationInProgress):
            git.merge(str(repo), source=other, target_branch="main", message="m")

    def test_a_sparse_checkout_stays_sparse(self, git: Git, repo: Scratch) -> None:
        repo.commit("more", {"in/a": "1\n", "out/b": "1\n"})
        repo.git("checkout", "-q", "-b", "work")
        repo.commit("theirs", {"in/a": "2\n", "out/b": "2\n", "out/c": "2\n"})
        repo.git("checkout", "-q", "main")
        repo.git("sparse-checkout", "set", "in")
        git.merge(str(repo), source="work", target_branch="main", message="m")
        assert repo.read("in/a") == "2\n"
        assert not (repo.path / "out").exists()
        assert git.status(str(repo)) == Status()

    def test_an_index_that_is_damaged_is_thrown_away_with_the_rest(
        self, git: Git, repo: Scratch, tmp_path: Path
    ) -> None:
        git.ensure_branch(str(repo), "work", "main")
        git.add_worktree(str(repo), str(tmp_path / "linked"), "work")
        Path(git.inspect(str(tmp_path / "linked")).git_dir, "index").write_bytes(b"DIRC nonsense")
        git.switch_worktree(str(tmp_path / "linked"), "work")
        assert git.status(str(tmp_path / "linked")) == Status()

    def test_a_worktree_that_was_torn_while_it_was_made_is_named(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        git.add_detached_worktree(str(repo), str(tmp_path / "linked"), "main")
        folder = repo.path / ".git" / "worktrees" / "linked"
        (folder / "commondir").write_text("")
        with pytest.raises(GitFailed, match="half made") as failed:
            git.list_worktrees(str(repo))
        assert str(folder.relative_to(repo.path)) in failed.value.remedy

    @pytest.mark.parametrize("method", ["stage", "snapshot", "diff"])
    def test_a_file_that_becomes_a_folder_meanwhile_is_taken_as_one(
        self, environment: dict[str, str], repo: Scratch, tmp_path: Path, method: str
    ) -> None:
        """An agent at work: right before the first ``update-index``, a file that was found is made a folder."""
        file = repo.write("report", "x\n")
        fake = tmp_path / "git"
        fake.write_text(
            '#!/bin/sh\ncase "$*" in *update-index*)\n'
            f"[ -f {file} ] && rm {file} && mkdir {file} && touch {file}/one;;\n"
            f'esac\nexec {shutil.which("git")} "$@"\n'
        )
        fake.chmod(0o755)
        git = CommandLineGit(str(fake), environment=environment)
        match method:
            case "stage":
                git.stage(str(repo))
                assert git.status(str(repo)) == Status(staged=("report/one",))
            case "snapshot":
                assert "report/one" in repo.names(git.snapshot(str(repo), "refs/aura/one", "m"))
            case _:
                assert [change.path for change in git.diff(str(repo), "HEAD").files] == ["report/one"]

    def test_what_diff_makes_is_removed_by_git_when_nobody_else_did(self, git: Git, repo: Scratch) -> None:
        """Whoever asks for a diff may be killed: the place of its objects is called as git calls its own."""
        place = repo.path / ".git" / "objects"
        seen: list[Path] = []
        with git._repository(str(repo)).scratch_objects() as scratch:  # type: ignore[attr-defined]
            seen += place.glob("tmp_objdir-*")
            assert [str(folder) for folder in seen] == [scratch["GIT_OBJECT_DIRECTORY"]]
            (seen[0] / "ab").mkdir()
            os.utime(seen[0], (1_000_000_000, 1_000_000_000))
            repo.git("gc", "-q", "--prune=now")
            assert not seen[0].exists()
            seen[0].mkdir()

    def test_switching_the_main_worktree_spares_linked_ones_inside(self, git: Git, repo: Scratch) -> None:
        git.ensure_branch(str(repo), "work", "main")
        git.ensure_branch(str(repo), "next", "main")
        inside = repo.path / "trees [1]" / "work"
        git.add_worktree(str(repo), str(inside), "work")
        (inside / "unsaved").touch()
        (repo.path / "trees [1]" / "other").touch()
        git.switch_worktree(str(repo), "next")
        assert (inside / "unsaved").exists()
        assert not (repo.path / "trees [1]" / "other").exists()

    def test_a_merge_does_not_write_through_a_symbolic_link(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        (tmp_path / "outside").mkdir()
        repo.git("checkout", "-q", "-b", "work")
        repo.commit("theirs", {"folder/file": "theirs\n"})
        repo.git("checkout", "-q", "main")
        for target in (tmp_path / "outside", Path("folder")):
            (repo.path / "folder").symlink_to(target)
            with pytest.raises(DirtyWorktree):
                git.merge(str(repo), source="work", target_branch="main", message="m")
            (repo.path / "folder").unlink()
        assert not list((tmp_path / "outside").iterdir())

    def test_threads_do_not_get_in_one_anothers_way(self, git: Git, repo: Scratch) -> None:
        for number in range(10):
            repo.write(f"file{number}", f"{number}\n")
        barrier = threading.Barrier(6)

        def save(number: int) -> str:
            barrier.wait()
            git.ensure_branch(str(repo), f"branch/{number % 2}", "main")
            return repo.tree_of(git.snapshot(str(repo), f"refs/aura/{number}", "the same"))

        with ThreadPoolExecutor(6) as pool:
            assert len(set(pool.map(save, range(6)))) == 1
        repo.git("fsck", "--strict", "--no-dangling")

    @pytest.mark.deep_but_first
    @pytest.mark.parametrize("content", [b"", b"\xff\xfe\0garbage\n[[<"], ids=["empty", "garbage"])
    @pytest.mark.parametrize(
        "name",
        ["index", "HEAD", "packed-refs", "config", "refs/heads/main", "shallow", "worktrees/tree/HEAD", "object"],
    )
    def test_damage_is_a_typed_error(self, git: Git, repo: Scratch, tmp_path: Path, name: str, content: bytes) -> None:
        repo.git("pack-refs", "--all")
        commit = repo.commit("more", {"README": "more\n"})
        repo.git("worktree", "add", "-q", str(tmp_path / "tree"), "-b", "tree")
        folder = repo.path / ".git"
        damaged = next(folder.glob("objects/??/*")) if name == "object" else folder / name
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(content)
        path = str(repo)
        for call in (
            lambda: git.inspect(path),
            lambda: git.status(path),
            lambda: git.find_ref(path, "refs/heads/main"),
            lambda: git.resolve(path, commit),
            lambda: git.diff(path, commit, patch=True),
            lambda: git.list_worktrees(path),
            lambda: git.snapshot(path, "refs/aura/one", "m"),
            lambda: git.merge(path, source="tree", target_branch="main", message="m"),
            lambda: git.commit(path, "m", allow_empty=True),
            lambda: git.switch_worktree(str(tmp_path / "tree"), "tree"),
        ):
            with suppress(GitError):
                call()

    @pytest.mark.deep
    def test_many_files(self, git: Git, empty: Scratch, tmp_path: Path) -> None:
        header = "commit refs/heads/main\ncommitter A <a@b> 1700000000 +0000\ndata 1\nx\n"
        files = "".join(f"M 100644 inline d{n % 100}/f{n}\ndata {len(str(n))}\n{n}\n" for n in range(MANY))
        empty.run("fast-import", "--quiet", stdin=(header + files).encode())
        empty.git("symbolic-ref", "HEAD", "refs/heads/elsewhere")
        git.ensure_branch(str(empty), "work", "main")
        tree = str(tmp_path / "linked")
        git.add_worktree(str(empty), tree, "work")
        linked = Scratch(tmp_path / "linked", empty.environment)
        for number in range(0, MANY, 20):
            linked.write(f"d{number % 100}/f{number}", "changed\n")
        found = git.status(tree)
        assert len(found.unstaged) == MANY // 20
        assert len(git.diff(tree, "main").files) == MANY // 20
        commit = git.snapshot(tree, "refs/aura/one", "m")
        git.switch_worktree(tree, "work")
        assert git.status(tree) == Status()
        git.restore(tree, commit)
        assert git.status(tree) == found
        git.stage(tree)
        assert git.commit(tree, "m")
        done = git.merge(str(empty), source="work", target_branch="main", style=MergeStyle.SQUASH, message="m")
        assert empty.tree_of("main") == linked.tree_of("HEAD")
        assert done.changed

    def test_every_command_is_over_when_a_method_returns(
        self, environment: dict[str, str], repo: Scratch, tmp_path: Path
    ) -> None:
        """And none is asked for a password: there is no terminal, and no program that asks."""
        log = tmp_path / "calls"
        fake = tmp_path / "git"
        real = shutil.which("git")
        fake.write_text(
            f"#!/bin/sh\necho $GIT_TERMINAL_PROMPT $GIT_ASKPASS $GIT_OPTIONAL_LOCKS $LC_ALL >> '{log}'\n"
            f"ps -o tty= -p $$ | grep -q '?' || echo terminal >> '{log}'\nexec {real} \"$@\"\n"
        )
        fake.chmod(0o755)
        git = CommandLineGit(str(fake), environment=environment)
        git.status(str(repo))
        git.predict_merge(str(repo), "main", "main")
        assert set(log.read_text().splitlines()) == {"0 true 0 C"}


def test_a_repository_with_sha256_names(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    repo = tmp_path / "repo"
    subprocess.run(
        ["git", "init", "-q", "-b", "main", "--object-format=sha256", str(repo)], check=True, env=environment
    )
    git = CommandLineGit(shutil.which("git") or "git", environment=environment)
    (repo / "file").write_text("x\n")
    git.stage(str(repo))
    first = git.commit(str(repo), "first")
    assert first is not None
    assert len(first) == 64
    git.ensure_branch(str(repo), "work", "main")
    git.add_worktree(str(repo), str(tmp_path / "linked"), "work")
    (tmp_path / "linked" / "file").write_text("y\n")
    git.snapshot(str(tmp_path / "linked"), "refs/aura/s", "m")
    git.stage(str(tmp_path / "linked"))
    git.commit(str(tmp_path / "linked"), "second")
    for style in MergeStyle:
        git.update_ref(str(repo), f"refs/heads/into-{style}", first, None, "")
        assert git.merge(str(repo), source="work", target_branch=f"into-{style}", style=style, message="m").changed
