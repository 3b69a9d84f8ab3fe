"""Workspaces: all repositories or none, one execution at a time, and no work destroyed that nothing has saved."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import agent, human, system
from aura_contracts.errors import ActorNotAllowed, AggregateExists, AggregateNotFound, RuleViolated, TransitionRefused
from aura_contracts.events import Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.workspace import (
    WORKSPACE,
    AbandonMerge,
    AcquireWorkspace,
    ConflictedFiles,
    Merge,
    MergeStyle,
    RecordCommit,
    RecordConflict,
    RecordMerge,
    RecordPreparation,
    RecordPreparationFailure,
    RecordSnapshot,
    RecreateWorkspace,
    RecreationRequested,
    ReleaseWorkspace,
    RemoveWorkspace,
    Repository,
    RepositoryCommit,
    RequestWorkspace,
    ResolveConflict,
    RestoreSnapshot,
    SnapshotReason,
    SnapshotRestored,
    StartMerge,
    WorkspaceAcquired,
    WorkspaceLayout,
    WorkspaceReleased,
    WorkspaceStatus,
    Worktree,
)
from aura_engine.decisions import Context
from aura_engine.decisions.workspace import SLUG_LIMIT, WORKSPACE_DECIDER

WORKSPACE_ID = "0192f0c1-2d3e-7abc-8def-000000000001"
TASK_ID = "0192f0c1-2d3e-7abc-8def-000000000002"
RUN, NEXT_RUN = "0192f0c1-2d3e-7abc-8def-000000000003", "0192f0c1-2d3e-7abc-8def-000000000004"
WORKER, OTHER_WORKER = "0192f0c1-2d3e-7abc-8def-00000000000a", "0192f0c1-2d3e-7abc-8def-00000000000b"
APPROVAL_ID = "0192f0c1-2d3e-7abc-8def-00000000000c"

START = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ENGINE, ALICE, AGENT = system("engine"), human("alice"), agent("0192f0c1-2d3e-7abc-8def-00000000000d")

API = Repository(name="api", path="/src/api", target_branch="main")
WEB = Repository(name="web", path="/src/web", target_branch="develop")
ROOT = "/srv/add-search"
REQUEST = {
    "task_id": TASK_ID,
    "title": "Add search",
    "slug": "add-search",
    "branch": "aura/add-search",
    "repositories": (API, WEB),
}


def trees(root=ROOT, head="a1"):
    return tuple(Worktree(name, f"{root}/{name}", "a0", head) for name in ("api", "web"))


def at(commit, *names):
    return tuple(RepositoryCommit(name, commit) for name in names or ("api", "web"))


def snapshot(ref="refs/aura/1", commit="s1", reason=SnapshotReason.REMOVE):
    return RecordSnapshot(ref=ref, reason=reason, commits=at(commit))


PREPARE = RecordPreparation(worker_id=WORKER, root=ROOT, worktrees=trees())
FAIL = RecordPreparationFailure(
    failure=Failure(FailureReason.WORKSPACE_ERROR, "disk full"),
    cleaned_up=(f"{ROOT}/api",),
    left_behind=(f"{ROOT}/web",),
)
ACQUIRE, RELEASE = AcquireWorkspace(execution_id=RUN), ReleaseWorkspace(execution_id=RUN)
USED = (PREPARE, ACQUIRE, RELEASE)
MERGE = StartMerge(style=MergeStyle.SQUASH, dirty=False)
CONFLICT = RecordConflict(files=(ConflictedFiles("api", ("app.py",)),), approval_id=APPROVAL_ID)
DESTROY = (
    RemoveWorkspace(dirty=True),
    RecreateWorkspace(reason="broken", dirty=True),
    RestoreSnapshot(ref="refs/aura/1", dirty=True),
)


class Story:
    """The events of one workspace so far; each command is decided, a minute after the last, on what they fold to."""

    def __init__(self, *commands, **request):
        self.facts = []
        self.do(RequestWorkspace(workspace_id=WORKSPACE_ID, layout=WorkspaceLayout(**REQUEST | request)))
        for command in commands:
            self.do(command)

    @property
    def state(self):
        return WORKSPACE.fold(self.facts)

    @property
    def now(self):
        return START + timedelta(minutes=len(self.facts))

    def do(self, command, by=ENGINE):
        now = self.now
        decision = WORKSPACE_DECIDER.decide(WORKSPACE_ID, self.state, command, Context(actor=by, now=now))
        self.facts += [Fact(event, now, by, "", "") for event in decision.events]
        assert decision.state == self.state
        return list(decision.events)


@contextmanager
def refused(rule):
    """Expect a rule of this name to refuse, with all facts."""
    with pytest.raises(RuleViolated) as refusal:
        yield refusal
    error = refusal.value
    assert (error.aggregate, error.aggregate_id, error.rule) == ("workspace", WORKSPACE_ID, rule)
    assert error.reason


# --- Asking for one ---------------------------------------------------------------------------------------------------


def test_a_request_says_what_is_worked_on_and_where():
    state = Story(copy_globs=(".env", "config/*.local")).state
    assert (state.id, state.status, state.task_id) == (WORKSPACE_ID, WorkspaceStatus.REQUESTED, TASK_ID)
    assert (state.title, state.slug, state.branch) == ("Add search", "add-search", "aura/add-search")
    assert (state.repositories, state.copy_globs) == ((API, WEB), (".env", "config/*.local"))
    assert (state.requested_at, state.worktrees, state.holder) == (START, (), None)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"title": " "}, "title"),
        ({"slug": ""}, "slug"),
        ({"slug": "../etc"}, "slug"),
        ({"slug": "Add Search"}, "slug"),
        ({"slug": "x" * (SLUG_LIMIT + 1)}, "slug"),
        ({"branch": " "}, "branch"),
        ({"branch": "main"}, "branch"),
        ({"repositories": ()}, "repositories"),
        ({"repositories": (API, API)}, "repositories"),
        ({"repositories": (API, Repository(name="api", path="/src/b", target_branch="main"))}, "repositories"),
        ({"repositories": (API, Repository(name="b", path="/src/api", target_branch="main"))}, "repositories"),
        ({"repositories": (Repository(name="..", path="/src/b", target_branch="main"),)}, "repositories"),
        ({"repositories": (Repository(name="a/b", path="/src/b", target_branch="main"),)}, "repositories"),
        ({"repositories": (Repository(name="a", path="/src/b", target_branch=""),)}, "branch"),
        ({"copy_globs": ("",)}, "copy_globs"),
        ({"copy_globs": (".env", "/etc/passwd")}, "copy_globs"),
        ({"copy_globs": ("../secrets/*",)}, "copy_globs"),
        ({"copy_globs": ("a\\..\\..\\b",)}, "copy_globs"),
        ({"copy_globs": ("C:\\keys",)}, "copy_globs"),
    ],
)
def test_a_request_that_makes_no_sense_or_leaves_its_place_is_refused(fields, rule):
    with refused(rule):
        Story(**fields)


def test_a_workspace_is_requested_once():
    story = Story()
    with pytest.raises(AggregateExists):
        story.do(RequestWorkspace(workspace_id=WORKSPACE_ID, layout=WorkspaceLayout(**REQUEST)))


def test_what_was_never_requested_is_not_acquired():
    with pytest.raises(AggregateNotFound):
        WORKSPACE_DECIDER.decide(WORKSPACE_ID, None, ACQUIRE, Context(actor=ENGINE, now=START))


# --- Preparing: all or nothing ----------------------------------------------------------------------------------------


def test_a_prepared_workspace_has_every_repository_at_its_path():
    state = Story(PREPARE).state
    assert (state.status, state.worker_id, state.root) == (WorkspaceStatus.READY, WORKER, ROOT)
    assert state.worktrees == trees()
    assert not state.unsaved


@pytest.mark.parametrize(
    "worktrees",
    [(), trees()[:1], (*trees(), Worktree("docs", "/srv/docs", "a0", "a0")), (trees()[0], trees()[0])],
)
def test_half_a_workspace_is_none(worktrees):
    with refused("repositories") as refusal:
        Story(RecordPreparation(worker_id=WORKER, root=ROOT, worktrees=worktrees))
    assert "api, web" in refusal.value.reason


def test_worktrees_do_not_share_a_path():
    same = tuple(Worktree(name, ROOT, "a0", "a0") for name in ("api", "web"))
    with refused("path"):
        Story(RecordPreparation(worker_id=WORKER, root=ROOT, worktrees=same))


def test_a_failed_preparation_says_what_became_of_what_was_made():
    story = Story(FAIL)
    assert (story.state.status, story.state.failure.message) == (WorkspaceStatus.FAILED, "disk full")
    assert story.state.left_behind == (f"{ROOT}/web",)
    assert story.facts[-1].event.cleaned_up == (f"{ROOT}/api",)
    with pytest.raises(TransitionRefused):
        story.do(ACQUIRE)


def test_a_failed_preparation_can_be_tried_again():
    story = Story(FAIL, RecreateWorkspace(reason="disk was cleaned", dirty=False), PREPARE)
    assert (story.state.status, story.state.failure, story.state.left_behind) == (WorkspaceStatus.READY, None, ())


def test_a_workspace_that_was_asked_for_at_a_place_is_prepared_there():
    with refused("same_path") as refusal:
        Story(root="/srv/elsewhere").do(PREPARE)
    assert "/srv/elsewhere" in refusal.value.reason
    assert ROOT in refusal.value.reason


# --- One execution at a time ------------------------------------------------------------------------------------------


def test_an_execution_has_the_workspace_for_itself():
    story = Story(PREPARE, ACQUIRE)
    assert (story.state.status, story.state.holder) == (WorkspaceStatus.IN_USE, RUN)
    with refused("in_use") as refusal:
        story.do(AcquireWorkspace(execution_id=NEXT_RUN))
    assert RUN in refusal.value.reason
    assert story.do(ACQUIRE) == []
    story.do(RELEASE)
    assert (story.state.status, story.state.holder) == (WorkspaceStatus.READY, None)
    story.do(AcquireWorkspace(execution_id=NEXT_RUN))


def test_a_workspace_is_taken_over_from_an_execution_that_is_over():
    story = Story(PREPARE, ACQUIRE)
    assert story.do(AcquireWorkspace(execution_id=NEXT_RUN, replacing=RUN)) == [
        WorkspaceReleased(execution_id=RUN),
        WorkspaceAcquired(execution_id=NEXT_RUN),
    ]
    with refused("in_use"):
        story.do(AcquireWorkspace(execution_id=RUN, replacing=RUN))


def test_only_the_execution_that_has_it_gives_it_back():
    with refused("not_holder") as refusal:
        Story(PREPARE, ACQUIRE).do(ReleaseWorkspace(execution_id=NEXT_RUN))
    assert RUN in refusal.value.reason


@pytest.mark.parametrize(
    "command", [MERGE, RemoveWorkspace(dirty=False), RecreateWorkspace(reason="broken", dirty=False)]
)
def test_nothing_is_merged_removed_or_recreated_under_a_running_execution(command):
    with pytest.raises(TransitionRefused) as refusal:
        Story(PREPARE, ACQUIRE).do(command)
    assert refusal.value.status == "in_use"
    assert "ready" in refusal.value.allowed_in


def test_agents_save_their_work_and_dispose_of_nothing():
    story = Story(PREPARE, ACQUIRE)
    story.do(RecordCommit(heads=at("b1", "api")), by=AGENT)
    story.do(snapshot(), by=AGENT)
    story.do(RELEASE)
    for command in (MERGE, RemoveWorkspace(dirty=False), RestoreSnapshot(ref="refs/aura/1", dirty=False), ACQUIRE):
        with pytest.raises(ActorNotAllowed) as refusal:
            story.do(command, by=AGENT)
        assert refusal.value.actor == AGENT


# --- Unsaved work -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", DESTROY)
def test_unsaved_work_is_not_destroyed(command):
    story = Story(*USED)
    with refused("unsaved_work") as refusal:
        story.do(command)
    assert "snapshot" in refusal.value.remedy
    story.do(snapshot())
    story.do(command)


@pytest.mark.parametrize("command", DESTROY)
def test_a_snapshot_before_the_last_use_saves_nothing_of_it(command):
    story = Story(*USED, snapshot(), AcquireWorkspace(execution_id=NEXT_RUN), ReleaseWorkspace(execution_id=NEXT_RUN))
    with refused("unsaved_work"):
        story.do(command)


def test_a_snapshot_during_the_use_does_not_have_what_is_written_after_it():
    story = Story(PREPARE, ACQUIRE, snapshot(), RELEASE)
    with refused("unsaved_work"):
        story.do(RemoveWorkspace(dirty=True))


def test_a_clean_workspace_goes_without_snapshot():
    story = Story(*USED)
    story.do(RemoveWorkspace(dirty=False, reason="done"))
    assert story.state.status is WorkspaceStatus.REMOVED


def test_a_workspace_that_nobody_used_goes_without_snapshot():
    assert Story(PREPARE, RemoveWorkspace(dirty=True)).state.status is WorkspaceStatus.REMOVED
    assert Story(RemoveWorkspace(dirty=False)).state.status is WorkspaceStatus.REMOVED
    assert Story(FAIL, RemoveWorkspace(dirty=False)).state.status is WorkspaceStatus.REMOVED


def test_a_commit_saves_work_if_it_left_nothing_behind_and_nobody_goes_on():
    assert Story(*USED, RecordCommit(heads=at("b1", "api"))).state.unsaved
    assert Story(PREPARE, ACQUIRE, RecordCommit(heads=at("b1"), clean=True)).state.unsaved
    assert not Story(*USED, RecordCommit(heads=at("b1"), clean=True)).state.unsaved


def test_a_commit_moves_the_heads_of_the_repositories_it_names():
    state = Story(PREPARE, ACQUIRE, RecordCommit(heads=at("b1", "web"))).state
    assert {tree.repository: (tree.base_commit, tree.head) for tree in state.worktrees} == {
        "api": ("a0", "a1"),
        "web": ("a0", "b1"),
    }


@pytest.mark.parametrize("heads", [(), at("b1", "docs"), at("b1", "api", "api")])
def test_a_commit_is_in_the_repositories_of_the_workspace(heads):
    with refused("repositories"):
        Story(*USED).do(RecordCommit(heads=heads))


def test_a_removed_workspace_begins_again_at_the_same_place():
    story = Story(PREPARE, RemoveWorkspace(dirty=False))
    root = story.state.root
    with pytest.raises(TransitionRefused):
        story.do(ACQUIRE)
    story.do(RecreateWorkspace(reason="follow-up", dirty=False))
    assert (story.state.status, story.state.root, story.state.worktrees) == (WorkspaceStatus.REQUESTED, root, ())


# --- Snapshots and paths ----------------------------------------------------------------------------------------------


def test_a_snapshot_says_when_why_and_what_it_has():
    story = Story(*USED, snapshot(reason=SnapshotReason.RETRY))
    (copy,) = story.state.snapshots
    assert (copy.ref, copy.reason, copy.commits) == ("refs/aura/1", "retry", at("s1"))
    assert (copy.taken_at, copy.restored_at) == (story.facts[-1].time, None)


@pytest.mark.parametrize("commits", [(), at("s1", "api"), at("s1", "api", "docs")])
def test_a_snapshot_has_every_repository(commits):
    with refused("repositories"):
        Story(*USED).do(RecordSnapshot(ref="refs/aura/1", reason=SnapshotReason.CLEAN, commits=commits))


def test_each_snapshot_has_a_ref_of_its_own():
    story = Story(*USED, snapshot())
    assert story.do(snapshot()) == []
    with refused("snapshot_ref"):
        story.do(snapshot(commit="s2"))
    with refused("snapshot_ref"):
        story.do(snapshot(ref=" "))


def test_recording_an_old_snapshot_again_does_not_save_newer_work():
    story = Story(*USED, snapshot(), AcquireWorkspace(execution_id=NEXT_RUN), ReleaseWorkspace(execution_id=NEXT_RUN))
    assert story.do(snapshot()) == []
    assert story.state.unsaved


def test_a_snapshot_is_restored_and_remembers_it():
    story = Story(*USED, snapshot(), snapshot(ref="refs/aura/2", commit="s2"))
    assert story.do(RestoreSnapshot(ref="refs/aura/1", dirty=True), by=ALICE) == [SnapshotRestored(ref="refs/aura/1")]
    first, second = story.state.snapshots
    assert (first.restored_at, second.restored_at) == (story.facts[-1].time, None)


def test_only_what_was_saved_is_restored():
    with refused("unknown_snapshot") as refusal:
        Story(PREPARE).do(RestoreSnapshot(ref="refs/aura/9", dirty=False))
    assert "refs/aura/9" in refusal.value.reason


def test_a_recreated_workspace_comes_back_at_the_path_it_had():
    story = Story(*USED, snapshot())
    assert story.do(RecreateWorkspace(reason="gone", dirty=False)) == [RecreationRequested(reason="gone")]
    assert (story.state.status, story.state.root) == (WorkspaceStatus.REQUESTED, ROOT)
    moved_tree = (trees()[0], Worktree("web", f"{ROOT}/other", "a0", "a1"))
    for root, worktrees in (("/srv/other", trees("/srv/other")), (ROOT, moved_tree)):
        with refused("same_path"):
            story.do(RecordPreparation(worker_id=WORKER, root=root, worktrees=worktrees))
    story.do(RecordPreparation(worker_id=OTHER_WORKER, root=ROOT, worktrees=trees(head="b1")))
    assert (story.state.status, story.state.worker_id) == (WorkspaceStatus.READY, OTHER_WORKER)
    assert story.state.worktrees == trees(head="b1")
    assert [copy.ref for copy in story.state.snapshots] == ["refs/aura/1"]


# --- Merging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", MergeStyle)
def test_a_merge_records_its_style_and_its_commits(style):
    story = Story(*USED, StartMerge(style=style, dirty=False))
    assert (story.state.status, story.state.merge_style) == (WorkspaceStatus.MERGING, style)
    story.do(RecordMerge(commits=at("m1", "api")))
    assert (story.state.status, story.state.merge_style, story.state.unsaved) == (WorkspaceStatus.READY, None, False)
    assert story.state.merges == (Merge(style=style, commits=at("m1", "api"), merged_at=story.facts[-1].time),)


def test_work_goes_on_after_a_merge_and_is_merged_again():
    story = Story(*USED, MERGE, RecordMerge(commits=at("m1")), ACQUIRE, RELEASE, MERGE, RecordMerge(commits=at("m2")))
    assert [merge.commits for merge in story.state.merges] == [at("m1"), at("m2")]


def test_a_dirty_tree_is_not_merged():
    with refused("dirty"):
        Story(*USED).do(StartMerge(style=MergeStyle.MERGE, dirty=True))


def test_nobody_works_in_a_workspace_that_is_being_merged():
    with pytest.raises(TransitionRefused):
        Story(*USED, MERGE).do(ACQUIRE)


def test_a_conflict_is_a_humans_to_resolve():
    story = Story(*USED, MERGE, CONFLICT)
    assert (story.state.status, story.state.approval_id) == (WorkspaceStatus.CONFLICTED, APPROVAL_ID)
    assert story.state.conflicts == (ConflictedFiles("api", ("app.py",)),)
    with pytest.raises(ActorNotAllowed):
        story.do(ResolveConflict(resolution="mine"), by=AGENT)
    story.do(ResolveConflict(resolution="rebased by hand", heads=at("b2", "api")), by=ALICE)
    assert (story.state.status, story.state.conflicts, story.state.approval_id) == (WorkspaceStatus.READY, (), None)
    assert [tree.head for tree in story.state.worktrees] == ["b2", "a1"]
    story.do(MERGE)


def test_what_a_human_left_in_a_conflicted_workspace_is_work_too():
    story = Story(PREPARE, MERGE, CONFLICT, snapshot())
    story.do(ResolveConflict(resolution="half done"), by=ALICE)
    with refused("unsaved_work"):
        story.do(RemoveWorkspace(dirty=True))


@pytest.mark.parametrize("before", [(MERGE,), (MERGE, CONFLICT)])
def test_a_merge_can_be_given_up(before):
    story = Story(*USED, *before)
    story.do(AbandonMerge(reason="cancelled"), by=ALICE)
    assert (story.state.status, story.state.conflicts, story.state.merges) == (WorkspaceStatus.READY, (), ())
    assert (story.state.merge_style, story.state.unsaved) == (None, True)


@pytest.mark.parametrize("command", [RecordMerge(commits=at("m1", "docs")), RecordConflict(files=())])
def test_a_merge_is_of_the_repositories_of_the_workspace(command):
    with refused("repositories"):
        Story(*USED, MERGE).do(command)


def test_only_a_merge_that_was_started_is_recorded():
    with pytest.raises(TransitionRefused) as refusal:
        Story(*USED).do(RecordMerge(commits=at("m1")))
    assert (refusal.value.status, refusal.value.allowed_in) == ("ready", ("merging", "conflicted"))
