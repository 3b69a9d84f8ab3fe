"""Whatever an agent writes where AURA's git works, against an independent model of what may come of it.

The model is the file system and a reader of objects of its own (dulwich, and a patch applied by hand): no program of
the agent has left its trace, nothing of the user's has changed, the review shows exactly how two trees differ, and what
is merged is that. Settings and hooks in the git directory must not even keep work from being merged.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from git_settings import ELSEWHERE, HARMLESS, PLACES, PROGRAMS, READ, WRITTEN
from hostile_world import World
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import hostile_writes as writes
from aura_contracts.errors import GitError
from aura_git import CommandLineGit
from hostile_writes import File, Setting, Write
from independent_reader import Objects, changed, is_binary, patched, snapshot

DEEP = settings().max_examples > 1_000
FAMILIES = 4
SHARDS = 40 if DEEP else 1
"""So that each takes less than the five minutes after which a test counts as hanging."""


class Stage:
    """A world that is made once, and put back before each example, at the same place: it is full of absolute paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "w"
        self.folder.mkdir()
        self.world = world = World(self.folder)
        world.git = CommandLineGit(environment=world.environment, pins=self.folder / "pins", timeout=10)
        world.trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {world.trace}\nexit 1\n')
        for folder_of_agent in ("agent", "user"):
            (self.folder / folder_of_agent).mkdir()
        for name in (".", "heads", "aura", "refs/heads", "refs/aura"):  # what the folders of reflogs may lead to
            logs = self.folder / "user" / "logs" / name
            logs.mkdir(parents=True, exist_ok=True)
            (logs / "work").symlink_to(self.folder / "user" / "mine" / "kept")
        for name in ("id_rsa", ".profile"):
            (world.home / name).write_text("PRIVATE\n")
        (world.home / "empty").touch()
        world.sh(
            world.repo,
            """
            git config --global merge.both.driver 'git merge-file --union %A %O %B'
            git config filter.up.clean 'tr a-z A-Z'; git config filter.up.smudge 'tr A-Z a-z'
            mkdir -p .git/info sub; printf '*.up filter=up\nm.txt merge=both\n' > .git/info/attributes
            echo s > sub/s; echo '*.log' > .gitignore; git add .; git commit -qm two; git branch dev
            git worktree add -q -b mine $W/user/mine; cd $W/user/mine; echo PRIVATE > kept; echo PRIVATE >> a.txt
            git init -q -b main --template= $W/user/other; cd $W/user/other; echo PRIVATE > file; git add .
            git commit -qm other; git branch work; git update-ref refs/aura/saved HEAD; git pack-refs --all; cd $REPO
            """,
        )
        world.begin()
        self.base = world.sh(world.repo, "git rev-parse main").strip()
        world.sh(world.repo, "sed -i s/e/theirs/ m.txt; echo t > theirs.txt; git add .; git commit -qm theirs")
        world.sh(world.repo, "echo mine > notes; echo mine > notes.log; chmod 600 notes")
        world.sh(
            world.tree, "sed -i s/a/ours/ m.txt; echo evil > evil.txt; echo hello > y.up; echo b >> a.txt; cp $TRAP ."
        )
        self.main = world.sh(world.repo, "git rev-parse main").strip()
        self.places = {
            "T": world.tree,
            "C": world.repo / ".git",
            "G": world.repo / ".git/worktrees/tree",
            "A": self.folder / "agent",
            "H": world.home,
            "U": self.folder / "user",
            "TRAP": world.trap,
            "COMMIT": Path(self.base),
        }
        self.belongings = snapshot(world.home, self.folder / "user")
        self.checkout = snapshot(world.repo)
        self._copy = folder / "copy"
        shutil.copytree(self.folder, self._copy, symlinks=True)

    def put_back(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self._copy, self.folder, symlinks=True)


# --- What AURA does ---------------------------------------------------------------------------------------------------


class Work(NamedTuple):
    """What came of the agent's work. None for what was refused."""

    commit: str | None = None
    shown: bytes = b""
    paths: frozenset[str] = frozenset()
    merged: str | None = None


def review(stage: Stage, looks: Iterable[str]) -> Work:
    """Do with the agent's work what AURA does with it, up to the merge."""
    git, tree, repo = stage.world.git, str(stage.world.tree), str(stage.world.repo)
    work = Work()
    with suppress(GitError):
        git.status(tree)
        saved = git.snapshot(tree, "refs/aura/saved", "saved")
        git.examine_all(tree)
        git.stage(tree)
        git.commit(tree, "work")
        for look in looks:
            with suppress(GitError):
                LOOKS[look](stage)
        git.keep_left_commits(tree, "refs/aura/left/w1")
        head = git.inspect(tree).head
        before = git.find_ref(repo, "refs/heads/main")
        assert head is not None
        shown = git.diff(repo, stage.base, head, patch=True)
        assert not shown.truncated
        names = {name for file in shown.files for name in (file.path, file.old_path) if name is not None}
        work = Work(head, shown.patch or b"", frozenset(names))
        git.restore(tree, saved)
        assert before == stage.main, "nothing is merged before it was shown"
        done = git.merge(repo, source=head, target_branch="main", message="m", keep="refs/aura/kept")
        work = work._replace(merged=done.commit)
    return work


def clear_up(stage: Stage) -> None:
    git, tree, repo = stage.world.git, str(stage.world.tree), str(stage.world.repo)
    for step in (
        lambda: git.move_worktree(repo, tree, f"{tree}-moved"),
        lambda: git.remove_worktree(repo, f"{tree}-moved", force=True),
        lambda: git.remove_worktree(repo, tree, force=True),
        lambda: git.delete_branch(repo, "work", git.resolve(repo, "work")),
        lambda: git.unpin_configuration(repo, "w1"),
    ):
        with suppress(GitError):
            step()


def run_again(stage: Stage, branch: str) -> str | None:
    """Look at the repository while it is not pinned, and do another run, for which the user has changed the branch.

    Return the merged commit, None for what was refused, and "" where that was the whole run.
    """
    world, git, repo = stage.world, stage.world.git, str(stage.world.repo)
    for look in UNPINNED:
        with suppress(GitError):
            look(stage)
    if not (world.repo / ".git/HEAD").is_symlink():
        (world.repo / ".git/HEAD").write_text(f"ref: refs/heads/{branch}\n")
    tree = world.folder / "aura" / "again"
    try:
        git.pin_configuration(repo, "w2")
    except GitError:
        return ""  # the configuration cannot be read: nothing is run at all
    with suppress(GitError):
        git.ensure_branch(repo, "again", "main")
        git.add_worktree(repo, str(tree), "again")
        (tree / "again.up").write_text("again\n")
        (tree / "again.txt").write_text("again\n")
        ignored = git.is_ignored(str(tree), "again.txt")  # by a file of the work that was reviewed and merged
        git.stage(str(tree))
        git.commit(str(tree), "again")
        shown = git.diff(repo, "main", "again", patch=True).patch
        assert ignored or b"+again\n" in (shown or b""), "text is shown as text"
        done = git.merge(repo, source="again", target_branch="main", message="again").commit
        git.remove_worktree(repo, str(tree), force=True)
        git.unpin_configuration(repo, "w2")
        return done
    return None


LOOKS: dict[str, Callable[[Stage], object]] = {
    "inventory": lambda s: s.world.git.inventory(str(s.world.tree)),
    "operation": lambda s: s.world.git.operation(str(s.world.tree)),
    "elsewhere": lambda s: s.world.git.elsewhere(str(s.world.tree)),
    "ignored": lambda s: s.world.git.is_ignored(str(s.world.tree), "sub"),
    "diff": lambda s: s.world.git.diff(str(s.world.tree), s.base, patch=True),
    "fill": lambda s: s.world.git.fill_submodules(str(s.world.tree)),
    "keep": lambda s: s.world.git.keep_submodules(str(s.world.tree), "w1"),
    "missing": lambda s: s.world.git.missing_submodule_commits(str(s.world.repo), s.base, "work", str(s.world.tree)),
    "filters": lambda s: s.world.git.require_filters(str(s.world.repo), "work"),
    "list": lambda s: s.world.git.list_worktrees(str(s.world.repo)),
    "predict": lambda s: s.world.git.predict_merge(str(s.world.repo), "main", "work"),
    "repair": lambda s: s.world.git.repair_worktree(str(s.world.repo), str(s.world.tree)),
    "switch": lambda s: s.world.git.switch_worktree(str(s.world.tree), "work"),
    "distrusted": lambda s: s.world.git.distrusted_settings(),
    "unstage": lambda s: s.world.git.unstage_added(str(s.world.tree), ["nothing"]),
    "rest": lambda s: s.world.git.rest_configuration(str(s.world.repo), "w1"),
}

UNPINNED: Sequence[Callable[[Stage], object]] = (
    lambda s: s.world.git.inspect(str(s.world.repo)),
    lambda s: s.world.git.distrusted_settings(),
    lambda s: s.world.git.require_free_branch(str(s.world.repo), "again"),
    lambda s: s.world.git.require_filters(str(s.world.repo), "main"),
    lambda s: s.world.git.is_ignored(str(s.world.repo), "sub"),
    lambda s: s.world.git.status(str(s.world.repo)),
    lambda s: s.world.git.diff(str(s.world.repo), s.base, "main", patch=True),
)


# --- What has to hold -------------------------------------------------------------------------------------------------


def check(
    stage: Stage, written: Sequence[Write], looks: Iterable[str], branch: str, *, again: bool, harmless: bool
) -> None:
    stage.put_back()
    world = stage.world
    for one in written:
        one.write(stage.places)
    work = review(stage, looks)
    assert not world.trace.exists(), world.trace.read_text()
    if work.merged is not None:
        require_model(stage, work, switched="switch" in looks)
    else:
        assert not harmless, "settings keep no work from being merged"
        assert snapshot(world.repo) == stage.checkout
    event("merged" if work.merged else "refused")
    clear_up(stage)
    if again:
        done = run_again(stage, branch)
        event("merged again" if done else "refused again")
        if harmless and done != "":
            assert done is not None
            assert Objects(stage.places["C"] / "objects").tree(done)["again.up"][1] == b"AGAIN\n"
    assert not world.trace.exists(), world.trace.read_text()
    assert snapshot(world.home, world.folder / "user") == stage.belongings


def require_model(stage: Stage, work: Work, *, switched: bool) -> None:
    """Require what is shown and merged to be the agent's work; switching may have thrown away what was on no branch."""
    objects = Objects(stage.places["C"] / "objects")
    assert work.commit is not None
    assert work.merged is not None
    base, done, main, merged = map(objects.tree, (stage.base, work.commit, stage.main, work.merged))
    changes = changed(base, done)
    assert work.paths == changes
    shown = patched(base, work.shown)
    assert shown.keys() == done.keys()
    for path in done:
        if shown[path][1] == b"?" and is_binary(done[path][1], base.get(path, (0, b""))[1]):
            continue
        assert shown[path] == done[path], path
    for path in (changes | merged.keys()) - {"m.txt"}:
        assert merged.get(path) == (done if path in changes else main).get(path), path
    assert switched or b"ours" in done["m.txt"][1].lower(), "work was overlooked"
    if "m.txt" in changes:
        assert {b"ours", b"theirs"} <= set(merged["m.txt"][1].lower().split()), "merged by the user's driver"
    if "y.up" in done:  # it may be ignored
        assert merged["y.up"][1] == b"HELLO\n"
    assert not any(b"PRIVATE" in content for _, content in merged.values())
    now = snapshot(stage.world.repo)
    touched = changed(now, stage.checkout)
    folders = {str(folder) for path in changes for folder in Path(path).parents}
    assert touched <= changes | folders | {"m.txt"}, touched
    head = stage.places["C"] / "HEAD"
    if "y.up" in done and head.is_file() and head.read_bytes() == b"ref: refs/heads/main\n":
        assert now["y.up"][1] == b"hello\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


NOT_RUN = [key for key in f"{ELSEWHERE} {WRITTEN} {READ} {PLACES} {HARMLESS}".split() if "[" not in key]
RUN = [*PROGRAMS, "extensions.partialClone", "remote.<name>.url", "hook.<x>.event", "core.worktree"]
a_setting = writes.settings_of(RUN, NOT_RUN) | writes.switches | writes.includes
configured = a_setting | writes.hooks | writes.attributes("C/info/attributes G/info/attributes")
in_tree = (
    writes.attributes("T/.gitattributes T/sub/.gitattributes")
    | writes.files
    | writes.links_in_tree
    | writes.inner
    | writes.submodules
    | writes.removed
)
in_git_dir = writes.git_files | writes.git_files | writes.git_links | writes.git_gone | writes.marks
some_looks = st.lists(st.sampled_from(sorted(LOOKS)), max_size=3, unique=True)
branches = st.sampled_from(["main", "main", "dev"])

quick = settings(
    max_examples=20_000 // FAMILIES // SHARDS if DEEP else 3,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)
run = quick if DEEP else settings(quick, max_examples=10)
shards = pytest.mark.parametrize("shard", range(SHARDS))


@pytest.mark.deep
@shards
@run
@given(written=st.lists(configured, min_size=1, max_size=10), looks=some_looks, branch=branches, again=st.booleans())
def test_settings_have_no_effect(
    stage: Stage, shard: int, written: list[Write], looks: list[str], branch: str, *, again: bool
) -> None:
    check(stage, written, looks, branch, again=again, harmless=True)


@pytest.mark.deep
@shards
@run
@given(written=st.lists(in_tree | in_tree | a_setting, min_size=1, max_size=8), looks=some_looks, branch=branches)
def test_what_is_in_the_worktree_is_shown_and_merged(
    stage: Stage, shard: int, written: list[Write], looks: list[str], branch: str
) -> None:
    check(stage, written, looks, branch, again=False, harmless=False)


@pytest.mark.deep
@shards
@run
@given(written=st.lists(in_git_dir, min_size=1, max_size=4), looks=some_looks, branch=branches, again=st.booleans())
def test_what_is_in_the_git_directory_reaches_nothing_of_the_users(
    stage: Stage, shard: int, written: list[Write], looks: list[str], branch: str, *, again: bool
) -> None:
    check(stage, written, looks, branch, again=again, harmless=False)


@pytest.mark.deep
@shards
@quick
@given(
    written=st.lists(configured | in_tree | in_git_dir, min_size=1, max_size=12),
    looks=some_looks,
    branch=branches,
    again=st.booleans(),
)
def test_all_at_once(
    stage: Stage, shard: int, written: list[Write], looks: list[str], branch: str, *, again: bool
) -> None:
    check(stage, written, looks, branch, again=again, harmless=False)


def test_without_pins_the_model_sees_what_runs(stage: Stage) -> None:
    written = [Setting("C/config", "filter.x.clean", "{TRAP}", 1), File("T/.gitattributes", "* filter=x\n")]
    pinned = stage.world.git
    stage.world.git = CommandLineGit(environment=stage.world.environment)
    try:
        with pytest.raises(AssertionError, match="trap"):
            check(stage, written, [], "main", again=False, harmless=False)
    finally:
        stage.world.git = pinned
