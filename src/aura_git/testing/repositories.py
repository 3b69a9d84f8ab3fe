"""Repositories for the conformance suite: made, and checked, with the git command line."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from aura_contracts.ports.git import Git

MakeGit = Callable[[Mapping[str, str]], Git]

WEIRD_NAMES = (
    "with space",
    'with "quote"',
    "with\ttab",
    "with\nnewline",
    "with\\backslash",
    "äöü-€-日本",
    os.fsdecode(b"latin-\xe9\xff"),
    "*[glob]?",
    ":(top)colon",
    "-dash",
    " leading",
    "trailing ",
    "folder with space/ein\nname",
)
"""Names that break programs which quote, split or decode them."""

LINK_TARGETS = ("the same", "other content", "nothing", "itself")
"""The targets of a symbolic link that replaces a folder, see `Conformance.make_link_of_folder`."""

USER = {
    "GIT_AUTHOR_NAME": "Una",
    "GIT_AUTHOR_EMAIL": "una@example.org",
    "GIT_COMMITTER_NAME": "Una",
    "GIT_COMMITTER_EMAIL": "una@example.org",
}


def weird_names(folder: Path) -> list[str]:
    """Return the weird names that the file system of `folder` supports."""
    taken = []
    for name in WEIRD_NAMES:
        with suppress(OSError):
            (folder / "probe").mkdir(exist_ok=True)
            (folder / "probe" / name.replace("/", "_")).touch()
            taken.append(name)
    return taken


class Scratch:
    """A repository or worktree to experiment with. `git` is the measure: the plain command line."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self.path = path
        self.environment = environment

    def __str__(self) -> str:
        return str(self.path)

    def run(self, *arguments: str, stdin: bytes = b"", codes: tuple[int, ...] = (0,), **variables: str) -> bytes:
        """Run git in the repository; return its output."""
        done = subprocess.run(  # noqa: S603 - the suite's own commands
            ["git", "-c", "core.hooksPath=/dev/null", "-C", str(self.path), *arguments],  # noqa: S607
            input=stdin,
            capture_output=True,
            check=False,
            env={**self.environment, **USER, **variables},
        )
        assert done.returncode in codes, f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}"
        return done.stdout

    def git(self, *arguments: str, stdin: bytes = b"", codes: tuple[int, ...] = (0,), **variables: str) -> str:
        """Run git in the repository; return its output as text."""
        return os.fsdecode(self.run(*arguments, stdin=stdin, codes=codes, **variables)).rstrip("\n")

    def write(self, name: str, content: str | bytes = "content\n") -> Path:
        """Write a file, and create its folders."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def read(self, name: str) -> str:
        return (self.path / name).read_text("utf-8")

    def commit(self, message: str = "change", files: Mapping[str, str | bytes | None] | None = None) -> str:
        """Write `files` (None: delete), commit everything, return the commit."""
        for name, content in (files or {}).items():
            if content is None:
                (self.path / name).unlink()
            else:
                self.write(name, content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD")

    def commit_of(self, revision: str) -> str:
        return self.git("rev-parse", f"{revision}^{{commit}}")

    def tree_of(self, revision: str) -> str:
        return self.git("rev-parse", f"{revision}^{{tree}}")

    def show(self, revision: str, path: str) -> bytes:
        """Return a file of a commit."""
        return self.run("cat-file", "blob", f"{revision}:{path}")

    def names(self, revision: str) -> list[str]:
        """Return the files of a commit."""
        listed = self.run("ls-tree", "-r", "-z", "--name-only", revision)
        return [os.fsdecode(name) for name in listed.split(b"\0")[:-1]]

    def porcelain(self) -> str:
        """Return git's status of index and files."""
        return self.git("status", "--porcelain=v2", "--untracked-files=all", "--ignored", "-z")

    def index(self) -> bytes:
        """Return the content of the index."""
        return self.run("ls-files", "-s", "-z")

    def state(self) -> tuple[str, bytes, dict[str, bytes], str]:
        """Return everything that a method might touch: HEAD, index, files, refs."""
        head = self.git("symbolic-ref", "-q", "HEAD", codes=(0, 1)) or self.head
        return head, self.index(), dict(self.files()), self.git("for-each-ref")

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield all files of the folder with their content, except those in git's own folder."""
        for folder, folders, names in os.walk(self.path):
            if ".git" in folders:
                folders.remove(".git")
            for name in names:
                file = Path(folder, name)
                if name != ".git":
                    content = os.readlink(file).encode() if file.is_symlink() else file.read_bytes()
                    yield str(file.relative_to(self.path)), content


def _make_repo(repo: Scratch) -> None:
    lines = "".join(f"line {number}\n" for number in range(1, 21))
    repo.git("init", "-q", "-b", "main", "--template=")
    repo.commit("first", {"README": lines, "src/app.py": "print('hello')\n", ".gitignore": "*.log\n"})


def _make_forked(repo: Scratch) -> None:
    _make_repo(repo)
    repo.git("checkout", "-q", "-b", "work")
    text = repo.read("README")
    repo.commit("work one\n\nwith a body", {"README": text.replace("line 20", "line twenty"), "one": "1\n"})
    repo.git(
        *("commit", "-q", "--allow-empty", "-m", "nothing in it"),
        GIT_AUTHOR_NAME="Ägent",
        GIT_AUTHOR_DATE="2001-02-03T04:05:06+0700",
    )
    repo.commit("work two", {"deep/two": "2\n", "src/app.py": None})
    repo.git("checkout", "-q", "main")
    repo.commit("main", {"README": text.replace("line 1\n", "line one\n"), "main": "m\n"})


class Conformance:
    """Fixtures for all parts of the suite."""

    @pytest.fixture
    def make_git(self) -> MakeGit:
        raise NotImplementedError("override the fixture `make_git`: see aura_git.testing.conformance")

    @pytest.fixture
    def environment(self, tmp_path: Path) -> dict[str, str]:
        """The environment of a user without any configuration."""
        home = tmp_path / "home"
        home.mkdir()
        return {"HOME": str(home), "PATH": os.defpath + os.pathsep + "/usr/local/bin", "GIT_CONFIG_NOSYSTEM": "1"}

    @pytest.fixture
    def git(self, make_git: MakeGit, environment: dict[str, str]) -> Git:
        return make_git(environment)

    @pytest.fixture
    def empty(self, tmp_path: Path, environment: dict[str, str]) -> Scratch:
        """A repository without commits, on branch main."""
        path = tmp_path / "repo"
        path.mkdir()
        scratch = Scratch(path, environment)
        scratch.git("init", "-q", "-b", "main", "--template=")
        return scratch

    @pytest.fixture
    def models(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A folder of repositories to copy: copying is faster than making."""
        folder = tmp_path_factory.getbasetemp() / "git-models"
        folder.mkdir(exist_ok=True)
        return folder

    @pytest.fixture
    def repo(self, models: Path, tmp_path: Path, environment: dict[str, str]) -> Scratch:
        """A repository with one commit: ``README``, ``src/app.py`` and ``.gitignore``, which ignores ``*.log``."""
        return self.copy_of(models / "repo", _make_repo, tmp_path, environment)

    @pytest.fixture
    def forked(self, models: Path, tmp_path: Path, environment: dict[str, str]) -> Scratch:
        """`repo` with diverged branches: ``main`` is checked out; ``work`` has three commits of its own."""
        return self.copy_of(models / "forked", _make_forked, tmp_path, environment)

    def copy_of(
        self, model: Path, make: Callable[[Scratch], None], folder: Path, environment: dict[str, str]
    ) -> Scratch:
        """Copy the repository `model` to ``repo`` in `folder`; `make` creates the model if necessary."""
        if not model.exists():
            model.mkdir()
            make(Scratch(model, environment))
        shutil.copytree(model, folder / "repo", symlinks=True)
        copy = Scratch(folder / "repo", environment)
        copy.git("update-index", "--refresh")
        return copy

    def make_link_of_folder(self, repo: Scratch, outside: Path, target: str) -> Path:
        """Commit ``dir/a`` and ``dir/sub/b``, then replace ``dir`` with a link; return its target."""
        repo.commit("folder", {"dir/a": "a\n", "dir/sub/b": "b\n"})
        (repo.path / "dir").rename(outside / "target")
        match target:
            case "other content":
                (outside / "target" / "a").write_text("A\n")
            case "nothing":
                shutil.rmtree(outside / "target")
            case "itself":
                shutil.rmtree(outside / "target")
                (repo.path / "dir").symlink_to("dir")
                return repo.path / "dir"
        (repo.path / "dir").symlink_to(outside / "target")
        return outside / "target"

    @pytest.fixture
    def bare(self, repo: Scratch, tmp_path: Path) -> Scratch:
        """A bare clone of `repo`."""
        repo.git("clone", "-q", "--bare", str(repo), str(tmp_path / "bare.git"))
        return Scratch(tmp_path / "bare.git", repo.environment)

    @pytest.fixture
    def conflicting(self, forked: Scratch) -> Scratch:
        """`forked`, with conflicts between ``main`` and ``work`` in two files."""
        forked.commit("contradict", {"README": "all new\n", "one": "uno\n"})
        return forked

    def merged_tree(self, repo: Scratch, ours: str, theirs: str) -> str:
        """Return the tree of a merge, by git itself."""
        return repo.git("merge-tree", "--write-tree", ours, theirs)

    @pytest.fixture
    def with_submodule(self, repo: Scratch, tmp_path: Path) -> Scratch:
        """A repository with `repo` as submodule ``sub``."""
        path = tmp_path / "super"
        path.mkdir()
        outer = Scratch(path, repo.environment)
        outer.git("init", "-q", "-b", "main")
        outer.git("-c", "protocol.file.allow=always", "submodule", "-q", "add", str(repo), "sub")
        outer.commit("with submodule", {"file": "x\n"})
        return outer

    def make_conflict(self, repo: Scratch, *command: str) -> None:
        """Make ``git <command> side`` stop with a conflict in ``README``."""
        repo.git("checkout", "-q", "-b", "side")
        repo.commit("theirs", {"README": "theirs\n", "clean": "x\n"})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {"README": "ours\n"})
        repo.git(*command, "side", codes=(1,))
