"""Sources: which files count, and what no agent can take away from them or add to them."""

import os
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from aura_contracts.approval import ApprovalKind, Evidence, PolicyVerdict
from aura_contracts.ids import ApprovalId, TaskId, WorkspaceId
from aura_contracts.ports.workspaces import FileSummary
from aura_contracts.workspace import Repository, Workspace, WorkspaceStatus
from aura_engine.policy.conditions import PolicySubject
from aura_engine.policy.evidence import change_of
from aura_engine.policy.sources import PROJECT_FILE, PolicySources

pytestmark = pytest.mark.anyio

APPROVES = "rules:\n  - approve: all\n    when: {kind: changes}\n"
NEVER = "rules:\n  - never: all\n    when: {kind: changes}\n"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "app"
    (folder / ".aura").mkdir(parents=True)
    return folder


async def broken(*folders, user=None):
    return [one.policy.broken for one in await PolicySources(user).files([str(folder) for folder in folders])]


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        (".aura", True),
        (".aura/policies.yaml", True),
        (".AURA/Policies.yaml", True),
        (".au\u200cra/policies.yaml", True),
        (".aura/policies/more.yaml", True),
        (".aurora/policies.yaml", False),
        ("tools/.aura/policies.yaml", False),
        ("aura/policies.yaml", False),
    ],
)
def test_every_path_that_may_become_the_folder_of_policies_counts(path, counts):
    changed = change_of([FileSummary(repository="app", path=path, kind="added")])
    assert changed.policies == counts
    assert changed.repositories == {"app": 1}
    renamed = change_of([FileSummary(repository="app", path="x", old_path=path, kind="renamed")])
    assert renamed.policies == counts


async def test_a_link_to_policies_has_a_human_asked(project, tmp_path):
    (project / "tools").mkdir()
    (project / "tools" / "policies.yaml").write_text(APPROVES)
    (project / ".aura").rmdir()
    (project / ".aura").symlink_to("tools")
    other = tmp_path / "other"
    (other / ".aura").mkdir(parents=True)
    (other / PROJECT_FILE).symlink_to(project / "tools" / "policies.yaml")
    assert ["is a link" in why for why in await broken(project, other)] == [True, True]


async def test_the_file_of_the_user_may_be_a_link(tmp_path):
    (tmp_path / "dotfiles.yaml").write_text(APPROVES)
    (tmp_path / "policies.yaml").symlink_to("dotfiles.yaml")
    assert await broken(user=tmp_path / "policies.yaml") == [""]


async def test_a_link_of_the_user_that_leads_to_no_file_has_a_human_asked(tmp_path):
    (tmp_path / "policies.yaml").symlink_to("gone.yaml")
    assert await broken(user=tmp_path / "policies.yaml") == [
        f"the policy file has faults: {tmp_path}/policies.yaml:1:1: it is a link that leads to no file"
    ]
    assert await broken(user=tmp_path / "none" / "policies.yaml") == []


async def test_a_policy_that_is_no_file_has_a_human_asked(project):
    os.mkfifo(project / PROJECT_FILE)
    (why,) = await broken(project)
    assert "not a file" in why


IN_PLACE = Workspace(
    id=WorkspaceId("0192f0c1-2d3e-7abc-8def-0123456789ab"),
    task_id=TaskId("0192f0c1-2d3e-7abc-8def-0123456789ac"),
    status=WorkspaceStatus.IN_USE,
    requested_at=datetime(2026, 1, 5, tzinfo=UTC),
    title="Work",
    slug="work",
    branch="",
    in_place=True,
    repositories=(),
)


async def test_those_who_ask_together_share_a_reading_and_one_who_leaves_spoils_it_for_none(project, monkeypatch):
    file, found, readings = project / PROJECT_FILE, [], []
    sources, read = PolicySources(), PolicySources._files

    def counted(self, paths):
        readings.append(paths)
        return read(self, paths)

    monkeypatch.setattr(PolicySources, "_files", counted)

    async def ask(scope):
        with scope:
            found.append(await sources.files([str(project)]))

    scopes = [anyio.CancelScope() for _ in range(5)]
    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(ask, scope)
        await anyio.lowlevel.checkpoint()
        scopes[0].cancel()  # the one who was about to begin it
    assert found == [[]] * 4
    assert len(readings) == 1
    file.write_text(NEVER)
    assert [one.file for one in await sources.files([str(project)])] == [str(file)]


async def in_place(project, before, after):
    """Return what the policies say about changes made in a checkout, and why, with its policy `before` and `after`."""
    file = project / PROJECT_FILE
    if before is not None:
        file.write_text(before)
    sources = PolicySources()
    workspace = replace(IN_PLACE, repositories=(Repository("app", str(project), "main"),))
    workspace = replace(workspace, policies=await sources.texts(workspace))
    file.unlink(missing_ok=True)
    if after is not None:
        file.write_text(after)
    book = await PolicySources().book(workspace)
    subject = PolicySubject(kind=ApprovalKind.CHANGES, at=IN_PLACE.requested_at, reviewers=(), evidence=Evidence())
    decided = book.decide(subject, ApprovalId(workspace.id))
    return decided.verdict, [match.rule for match in decided.matched]


@pytest.mark.parametrize(
    ("before", "after", "rules"),
    [
        (NEVER, NEVER, ["all"]),
        (NEVER, None, ["all", "policies changed"]),
        (NEVER, APPROVES, ["all", "policies changed"]),
        (NEVER, "rules: 3\n", ["", "all", "policies changed"]),
        (None, APPROVES, ["policies changed"]),
        (None, NEVER, ["all", "policies changed"]),
        (APPROVES, None, ["policies changed"]),
        ("rules: 3\n", None, ["", "policies changed"]),
    ],
)
async def test_an_agent_in_the_checkout_does_not_remove_the_policy_that_judges_it(project, before, after, rules):
    verdict, matched = await in_place(project, before, after)
    assert verdict is PolicyVerdict.NEVER
    assert sorted(matched) == rules


async def test_a_policy_that_stays_as_it_is_in_the_checkout_approves_nothing_and_asks_nothing_more(project):
    assert await in_place(project, APPROVES, APPROVES) == (PolicyVerdict.ASK, [])
    (project / PROJECT_FILE).unlink()
    assert await in_place(project, None, None) == (PolicyVerdict.ASK, [])


def test_the_paths_of_changes_are_recorded_with_their_repositories():
    """A renamed file counts with both names; a path that two repositories have counts in each."""
    files = [
        FileSummary(repository="app", path="new", old_path="old", kind="renamed"),
        FileSummary(repository="lib", path="README", kind="modified"),
        FileSummary(repository="app", path="README", kind="modified"),
    ]
    changed = change_of(files)
    assert changed.paths == ("new", "old", "README", "README")
    assert changed.repositories == {"app": 3, "lib": 1}
    many = change_of([FileSummary(repository="app", path=str(number), kind="added") for number in range(1_001)])
    assert (many.files, many.paths, many.repositories) == (1_001, None, {})
