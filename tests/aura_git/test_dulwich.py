"""The backend without git, where the conformance suite does not look: crashes, races, locks, formats it refuses."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from aura_contracts.errors import DirtyWorktree, GitError, GitFailed, MergeConflict
from aura_contracts.ports.git import ChangeKind, Identity
from aura_contracts.workspace import MergeStyle
from aura_git._dulwich import DulwichGit
from aura_git._dulwich_files import Files
from aura_git.testing.repositories import WEIRD_NAMES, Scratch

LINES = "".join(f"line {number}\n" for number in range(1, 21))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def git(environment: dict[str, str]) -> DulwichGit:
    return DulwichGit(environment=environment)


@pytest.fixture
def repo(tmp_path: Path, environment: dict[str, str]) -> Scratch:
    path = tmp_path / "repo"
    path.mkdir()
    scratch = Scratch(path, environment)
    scratch.git("init", "-q", "-b", "main")
    scratch.commit("first", {"README": LINES, "src/app.py": "print()\n", ".gitignore": "*.log\n"})
    return scratch


def work(repo: Scratch, files: dict[str, str | bytes | None], branch: str = "work") -> str:
    """Commit `files` on a branch of its own; return the commit. The main branch stays checked out."""
    repo.git("checkout", "-q", "-b", branch)
    commit = repo.commit(branch, files)
    repo.git("checkout", "-q", "main")
    return commit


# --- Without git ------------------------------------------------------------------------------------------------------


def test_no_program_is_ever_started(git: DulwichGit, repo: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for hook in ("pre-commit", "commit-msg", "post-commit", "post-checkout", "post-merge", "reference-transaction"):
        script = repo.write(f".git/hooks/{hook}", f"#!/bin/sh\ntouch {tmp_path}/{hook}-ran\nexit 1\n")
        script.chmod(0o755)
    commit = work(repo, {"new": "new\n"}) if not list(tmp_path.glob("*-ran")) else ""

    def refused(*arguments: object, **_: object) -> None:
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refused)
    monkeypatch.setattr(os, "posix_spawn", refused)
    monkeypatch.setattr(os, "fork", refused)
    path = str(repo)
    repo.write("README", "changed\n")
    git.stage(path)
    git.commit(path, "mine")
    git.snapshot(path, "refs/aura/one", "before")
    git.merge(path, source=commit, target_branch="main", message="theirs")
    git.add_worktree(path, str(tmp_path / "tree"), "work")
    git.diff(path, "HEAD", patch=True)
    git.switch_worktree(str(tmp_path / "tree"), "work")
    git.remove_worktree(path, str(tmp_path / "tree"), force=True)
    assert not list(tmp_path.glob("*-ran"))


def test_git_finds_nothing_wrong_with_what_was_written(git: DulwichGit, repo: Scratch, tmp_path: Path):
    commit = work(repo, {"new": "new\n", "bin": b"\0\1", "deep/er/file": "x", "README": None})
    (repo.path / "link").symlink_to("src/app.py")
    repo.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    git.stage(str(repo))
    git.commit(str(repo), "by dulwich")
    git.snapshot(str(repo), "refs/aura/one", "snapshot")
    git.merge(str(repo), source=commit, target_branch="main", message="merge")
    git.ensure_branch(str(repo), "other", "main")
    git.add_worktree(str(repo), str(tmp_path / "tree"), "other")
    git.add_detached_worktree(str(repo), str(tmp_path / "pool"), "work")
    for path in (repo.path, tmp_path / "tree", tmp_path / "pool"):
        assert Scratch(path, repo.environment).porcelain() == ""
    assert repo.git("fsck", "--strict", "--no-dangling") == ""
    listed = {tree.path: tree.head for tree in git.list_worktrees(str(repo))}
    porcelain = repo.git("worktree", "list", "--porcelain").split("\n\n")
    assert listed == {entry.split("\n")[0][9:]: entry.split("\n")[1][5:] for entry in porcelain}
    reflog = repo.git("reflog", "--format=%gs").split("\n")
    assert reflog[:2] == [f"merge: {commit} (merge)", "commit: by dulwich"]


# --- Patches ----------------------------------------------------------------------------------------------------------


def test_git_applies_every_patch(git: DulwichGit, repo: Scratch):
    names = [name for name in WEIRD_NAMES if "/" not in name]
    binary = bytes(range(256)) * 9
    repo.commit(
        "more", {**dict.fromkeys(names, LINES), "bin": binary, "old.bin": binary, "becomes-link": "x", "tail": "a"}
    )
    (repo.path / "becomes-link").unlink()
    (repo.path / "becomes-link").symlink_to("README")
    for number, name in enumerate(names):
        repo.write(name, LINES.replace("line 7\n", f"line seven {number}\n"))
    repo.write("bin", binary[1:])
    (repo.path / "old.bin").rename(repo.path / "new.bin")
    (repo.path / "src/app.py").chmod(0o755)
    repo.write("empty", "")
    repo.write("tail", "a\nb")
    (repo.path / "README").unlink()
    patch = git.diff(str(repo), "HEAD", patch=True, patch_limit=1_000_000).patch
    assert patch is not None
    snapshot = git.snapshot(str(repo), "refs/aura/one", "all")
    index = str(repo.path / ".git" / "scratch")
    repo.git("read-tree", "HEAD", GIT_INDEX_FILE=index)
    repo.git("apply", "--cached", "--binary", "-", stdin=patch, GIT_INDEX_FILE=index)
    assert repo.git("write-tree", GIT_INDEX_FILE=index) == repo.tree_of(snapshot)


def test_a_mode_alone_is_a_change_without_lines(git: DulwichGit, repo: Scratch):
    (repo.path / "src/app.py").chmod(0o755)
    diff = git.diff(str(repo), "HEAD", patch=True)
    assert [(file.kind, file.added, file.removed) for file in diff.files] == [(ChangeKind.MODIFIED, 0, 0)]
    assert diff.patch == b"diff --git a/src/app.py b/src/app.py\nold mode 100644\nnew mode 100755\n"


# --- The index --------------------------------------------------------------------------------------------------------


def test_a_change_in_the_same_moment_and_of_the_same_size_is_seen(git: DulwichGit, repo: Scratch):
    for number in range(20):
        repo.write("README", f"a{number:04}")
        git.stage(str(repo))
        repo.write("README", f"b{number:04}")
        assert git.status(str(repo)).unstaged == ("README",)
        assert repo.git("diff", "--name-only") == "README"
        repo.write("other", f"{number}")
        git.stage(str(repo), ["other"])  # the index gets younger than the file
        assert git.status(str(repo)).unstaged == ("README",)
        assert repo.git("diff", "--name-only") == "README"


def test_a_lock_that_was_left_behind_is_taken_over(git: DulwichGit, repo: Scratch, environment: dict[str, str]):
    script = (
        "import os, signal\nfrom aura_git._dulwich import DulwichGit\nfrom aura_git import _dulwich_recording as r\n"
        "r.Scanner = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"DulwichGit().stage({str(repo)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    lock = repo.path / ".git" / "index.lock"
    assert done.returncode == -signal.SIGKILL
    assert lock.exists()
    repo.write("new")
    git.stage(str(repo))
    assert not lock.exists()
    assert git.status(str(repo)).staged == ("new",)


def test_a_lock_that_is_held_is_respected(git: DulwichGit, repo: Scratch):
    lock = repo.path / ".git" / "index.lock"
    lock.write_text("DIRC")
    repo.write("new")
    with pytest.raises(GitFailed, match=r"index\.lock"):
        git.stage(str(repo))
    assert lock.read_text() == "DIRC"


def test_an_index_in_another_format_is_refused(git: DulwichGit, repo: Scratch):
    repo.git("update-index", "--split-index")
    with pytest.raises(GitFailed, match="split"):
        git.status(str(repo))


@pytest.mark.parametrize("version", ["2", "3", "4"])
def test_every_version_of_the_index_stays_readable_to_git(git: DulwichGit, repo: Scratch, version: str):
    repo.git("update-index", "--index-version", version)
    repo.commit("many", {f"folder{number // 7}/file{number}": "x" for number in range(50)})
    repo.write("folder1/new")
    git.stage(str(repo))
    assert repo.git("status", "--porcelain") == "A  folder1/new"


def test_sparse_and_assumed_unchanged_files_are_left_alone(git: DulwichGit, repo: Scratch):
    commit = work(repo, {"README": "theirs\n", "src/app.py": "theirs\n", "new": "theirs\n"})
    repo.git("update-index", "--skip-worktree", "README")
    (repo.path / "README").unlink()
    assert not git.status(str(repo)).dirty
    git.merge(str(repo), source=commit, target_branch="main", message="merge")
    assert not (repo.path / "README").exists()
    assert repo.read("src/app.py") == "theirs\n"
    assert repo.git("status", "--porcelain") == ""


# --- Merging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", MergeStyle)
def test_a_merge_that_fails_halfway_is_taken_back(
    git: DulwichGit, repo: Scratch, style: MergeStyle, monkeypatch: pytest.MonkeyPatch
):
    commit = work(repo, {"README": "theirs\n", "src/app.py": None, "new": "new\n", "zzz": "last\n"})
    repo.write("mine", "untracked\n")
    before = repo.state()
    put = Files.put

    def full(self: Files, path: bytes, entry: tuple[int, bytes]) -> object:
        if path == b"zzz":
            raise OSError(28, "No space left on device")
        return put(self, path, entry)  # type: ignore[arg-type]

    monkeypatch.setattr(Files, "put", full)
    with pytest.raises(GitFailed, match="No space left"):
        git.merge(str(repo), source=commit, target_branch="main", style=style, message="merge")
    assert repo.state() == before
    assert not (repo.path / ".git" / "index.lock").exists()
    monkeypatch.undo()
    git.merge(str(repo), source=commit, target_branch="main", style=style, message="merge")
    assert repo.git("status", "--porcelain") == "?? mine"


@pytest.mark.parametrize("at", range(1, 6))
def test_a_merge_that_is_killed_is_finished_by_the_next_one(
    git: DulwichGit, repo: Scratch, environment: dict[str, str], at: int
):
    commit = work(repo, {"README": "theirs\n", "src/app.py": None, "new": "new\n", "zzz": "last\n"})
    repo.write("keep", "mine\n")
    repo.git("add", "keep")
    repo.git("commit", "-q", "-m", "keep")
    repo.write("keep", "edited\n")
    script = (
        "import os, signal, sys\nfrom aura_git._dulwich import DulwichGit\n"
        "from aura_git import _dulwich_files as f, _dulwich_index as i\ncount = 0\n"
        "def counted(made):\n    def call(*a, **k):\n        global count\n        count += 1\n"
        f"        if count == {at}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return made(*a, **k)\n    return call\n"
        "f.Files.put = counted(f.Files.put); f.Files.remove = counted(f.Files.remove)\n"
        "i.IndexLock.publish = counted(i.IndexLock.publish)\n"
        f"DulwichGit().merge({str(repo)!r}, source={commit!r}, target_branch='main', message='m', keep='refs/aura/k')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    outcome = git.merge(str(repo), source=commit, target_branch="main", message="m", keep="refs/aura/k")
    assert outcome.commit == git.find_ref(str(repo), "refs/aura/k") == repo.commit_of("main")
    assert repo.git("status", "--porcelain") == " M keep"
    assert repo.read("keep") == "edited\n"
    assert repo.git("rev-list", "--count", "--merges", "main") == "1"


def test_both_sides_of_a_criss_cross_merge_as_git_does(git: DulwichGit, repo: Scratch):
    one = work(repo, {"one": "1\n"}, "one")
    two = work(repo, {"two": "2\n", "README": LINES.replace("line 3\n", "line three\n")}, "two")
    for branch, ours, theirs in (("left", one, two), ("right", two, one)):
        repo.git("checkout", "-q", "-b", branch, ours)
        repo.git("merge", "-q", "-m", branch, theirs)
        changed = repo.read("README").replace("line 18\n" if branch == "left" else "line 9\n", f"{branch}\n")
        repo.commit(branch, {"README": changed})
    predicted = git.predict_merge(str(repo), "left", "right")
    assert predicted.tree == repo.git("merge-tree", "--write-tree", "left", "right")


@pytest.mark.parametrize(
    ("ours", "theirs", "conflict"),
    [
        ({"moved": LINES, "README": None}, {"README": LINES + "more\n"}, False),
        ({"moved": LINES, "README": None}, {"README": None}, True),
        ({"moved": LINES, "README": None}, {"other": LINES, "README": None}, True),
        ({"README": None}, {"README": LINES + "more\n"}, True),
        ({"README": None, "README/in": "x\n"}, {"README": LINES + "more\n"}, True),
        ({"lib/app.py": "print()\n", "src/app.py": None}, {"src/new.py": "x\n"}, True),
        ({"empty": None, "elsewhere": ""}, {"empty": "x\n"}, True),
        ({"new": "a\n"}, {"new": "b\n"}, True),
        ({"bin": b"\0a"}, {"bin": b"\0b"}, True),
    ],
    ids=["rename and change", "rename and delete", "two renames", "delete and change", "folder", "folder moved",
         "empty file moved", "added twice", "binary"],
)  # fmt: skip
def test_what_git_calls_a_conflict_is_one(
    git: DulwichGit, repo: Scratch, ours: dict[str, str | None], theirs: dict[str, str | None], conflict: bool
):
    repo.commit("empty", {"empty": ""})
    commit = work(repo, dict(theirs))
    repo.commit("ours", dict(ours))
    predicted = git.predict_merge(str(repo), "main", commit)
    code = 1 if conflict else 0
    listed = repo.git("merge-tree", "--write-tree", "--name-only", "main", commit, codes=(code,))
    if conflict:
        before = repo.state()
        with pytest.raises(MergeConflict) as failed:
            git.merge(str(repo), source=commit, target_branch="main", message="m")
        assert failed.value.paths == predicted.conflicts != ()
        assert repo.state() == before
    else:
        assert predicted.tree == listed


def test_a_merge_does_not_write_through_a_symbolic_link(git: DulwichGit, repo: Scratch, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    commit = work(repo, {"folder/file": "theirs\n"})
    (repo.path / "folder").symlink_to(outside)
    with pytest.raises(DirtyWorktree):
        git.merge(str(repo), source=commit, target_branch="main", message="m")
    assert not list(outside.iterdir())


# --- Contents ---------------------------------------------------------------------------------------------------------


def test_line_ends_follow_the_attributes(git: DulwichGit, repo: Scratch, tmp_path: Path):
    repo.commit(
        "attributes", {".gitattributes": "*.txt text eol=crlf\n*.bin -text\n", "a.txt": "x\ny\n", "b.bin": "x\r\n"}
    )
    git.ensure_branch(str(repo), "other", "main")
    git.add_worktree(str(repo), str(tmp_path / "tree"), "other")
    tree = Scratch(tmp_path / "tree", repo.environment)
    assert (tree.path / "a.txt").read_bytes() == b"x\r\ny\r\n"
    assert tree.porcelain() == ""
    tree.write("a.txt", "x\r\nz\r\n")
    git.stage(str(tree))
    git.commit(str(tree), "crlf")
    assert tree.show("HEAD", "a.txt") == b"x\nz\n"
    assert tree.porcelain() == ""


def test_a_file_that_needs_a_program_is_refused(git: DulwichGit, repo: Scratch):
    repo.git("config", "filter.secret.clean", "cat")
    repo.commit("attributes", {".gitattributes": "*.key filter=secret\n"})
    repo.write("a.key", "x")
    assert git.status(str(repo)).untracked == ("a.key",)
    with pytest.raises(GitFailed, match="filter=secret"):
        git.stage(str(repo))


@pytest.mark.parametrize("option", ["--object-format=sha256"])
def test_newer_object_names_work(git: DulwichGit, tmp_path: Path, environment: dict[str, str], option: str):
    repo = Scratch(tmp_path / "new", environment)
    repo.path.mkdir()
    repo.git("init", "-q", "-b", "main", option)
    repo.write("file")
    git.stage(str(repo))
    commit = git.commit(str(repo), "first")
    assert commit == repo.head
    assert len(commit) == 64
    assert repo.porcelain() == ""
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


# --- Many at once -----------------------------------------------------------------------------------------------------


def test_threads_do_not_get_in_one_anothers_way(git: DulwichGit, repo: Scratch):
    for number in range(30):
        repo.write(f"file{number}", f"{number}\n")
    barrier = threading.Barrier(6)

    def save(number: int) -> str:
        barrier.wait()
        git.ensure_branch(str(repo), f"branch/{number % 2}", "main")
        return repo.tree_of(git.snapshot(str(repo), f"refs/aura/{number}", "the same"))

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(save, range(6)))) == 1
    assert repo.git("fsck", "--strict", "--no-dangling") == ""


def test_one_of_many_moves_a_ref(git: DulwichGit, repo: Scratch):
    first = repo.head
    commits = [repo.git("commit-tree", f"{first}^{{tree}}", "-p", first, "-m", str(number)) for number in range(6)]
    barrier = threading.Barrier(6)

    def move(commit: str) -> bool:
        barrier.wait()
        try:
            git.update_ref(str(repo), "refs/heads/main", commit, first, "race")
        except GitFailed:
            raise
        except Exception:  # noqa: BLE001 - RefChanged, from all but one
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(move, commits)) == 1


# --- Identity and configuration ---------------------------------------------------------------------------------------


def test_the_users_configuration_says_who_and_what_is_ignored(repo: Scratch, environment: dict[str, str]):
    Path(environment["HOME"], ".gitconfig").write_text(
        "[core]\n\texcludesFile = ~/mine\n[user]\n\tname = Eva\n\temail = e@x\n"
    )
    Path(environment["HOME"], "mine").write_text("*.tmp\n")
    git = DulwichGit(environment=environment, identity=Identity("A", "a@b"))
    repo.write("x.tmp")
    assert not git.status(str(repo)).dirty
    git.commit(str(repo), "mine", allow_empty=True)
    assert repo.git("log", "-1", "--format=%an %ae %cn") == "Eva e@x Eva"
    nobody = DulwichGit(identity=Identity("A", "a@b"))
    assert nobody.status(str(repo)).untracked == ("x.tmp",)
    nobody.commit(str(repo), "mine", allow_empty=True)
    assert repo.git("log", "-1", "--format=%an %ae %cn") == "A a@b A"


# --- Damage -----------------------------------------------------------------------------------------------------------

DAMAGED = ("index", "HEAD", "packed-refs", "config", "refs/heads/main", "shallow", "worktrees/tree/HEAD", "an object")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0garbage\n[[<", b"ref: refs/\n"], ids=["empty", "garbage", "cut"])
@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_a_typed_error(git: DulwichGit, repo: Scratch, tmp_path: Path, name: str, content: bytes):
    repo.git("pack-refs", "--all")
    commit = work(repo, {"README": "theirs\n"})
    repo.git("worktree", "add", "-q", str(tmp_path / "tree"), "-b", "tree")
    folder = repo.path / ".git"
    damaged = next(folder.glob("objects/??/*")) if name == "an object" else folder / name
    damaged.unlink(missing_ok=True)
    damaged.write_bytes(content)
    path = str(repo)
    for call in (
        lambda: git.inspect(path),
        lambda: git.status(path),
        lambda: git.diff(path, commit, patch=True),
        lambda: git.list_refs(path, "refs/"),
        lambda: git.list_worktrees(path),
        lambda: git.snapshot(path, "refs/aura/one", "m"),
        lambda: git.merge(path, source=commit, target_branch="main", message="m"),
        lambda: git.commit(path, "m", allow_empty=True),
        lambda: git.switch_worktree(str(tmp_path / "tree"), "tree"),
    ):
        with suppress(GitError):
            call()
