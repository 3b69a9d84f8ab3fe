"""``aura policy``: faults for editors, the policies in force, and back-tests."""

import anyio
import pytest

from aura_contracts.actors import human, system
from aura_contracts.approval import (
    ApprovalGranted,
    ApprovalKind,
    ApprovalRejected,
    ApprovalRequested,
    ChangeSize,
    Evidence,
    Question,
)
from aura_contracts.events import Append, Fact
from aura_engine.host import new_ids, now
from aura_store import open_log
from command_line import call_aura

NEW_ID = new_ids()
IDS = [NEW_ID() for _ in range(3)]
POLICY = "rules:\n  - approve: documentation\n    when: {paths: {all: docs/*}}\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def asked(home, monkeypatch):
    """A store with three questions: one approved, one rejected, one about code."""
    url = f"sqlite:///{home / 'aura.db'}"
    monkeypatch.setenv("AURA_STORE", url)
    anyio.run(_ask, url)


async def _ask(url):
    answers = (ApprovalGranted(), ApprovalRejected(feedback="no"), ApprovalGranted())
    async with open_log(url) as log:
        for ident, path, answer in zip(IDS, ("docs/a", "docs/b", "src/c"), answers, strict=True):
            question = Question(
                kind=ApprovalKind.CHANGES,
                reviewers=("alice",),
                task_id=NEW_ID(),
                proposed_solution="1 file changed",
                evidence=Evidence(change=ChangeSize(files=1, paths=(path,))),
            )
            requested = ApprovalRequested(approval_id=ident, requested_by=system("engine"), question=question)
            facts = [Fact(requested, now(), system("engine"), "c", "c"), Fact(answer, now(), human("alice"), "c", "c")]
            await log.append(Append(ident, 0, tuple(facts)))


def test_faults_are_lines_for_editors_and_objects_for_programs(home):
    (home / "p.yaml").write_text("rules:\n  - aprove: x\n    when: always\n  - {ask: y, when: {kind: plans}}\n")
    done = call_aura("policy", "validate", "p.yaml")
    assert done.code == 1
    assert done.out.splitlines() == [
        "p.yaml:2:5: there is no key 'aprove' here; did you mean 'approve'?",
        "p.yaml:4:27: 'plans' is not one of its values; did you mean 'plan'?",
    ]
    first, _ = call_aura("policy", "validate", "p.yaml", "--json").objects
    assert first == {
        "file": "p.yaml",
        "line": 2,
        "column": 5,
        "code": "unknown_key",
        "message": "there is no key 'aprove' here; did you mean 'approve'?",
        "severity": "error",
    }


def test_a_valid_file_may_have_warnings(home):
    (home / "p.yaml").write_text(f"{POLICY}  - never: all\n    when: {{kind: changes}}\n")
    done = call_aura("policy", "validate", "p.yaml")
    assert done.code == 0
    assert done.out.startswith("p.yaml:2:5: warning: 'documentation' has no effect")
    assert "p.yaml is valid, 1 warning" in done.err
    assert "cannot be read" in call_aura("policy", "validate", "missing.yaml").err


def test_the_policies_in_force_are_shown(home):
    (home / "home").mkdir()
    (home / "home" / "policies.yaml").write_text(POLICY)
    (home / ".aura").mkdir()
    (home / ".aura" / "policies.yaml").write_text(
        "name: shop\nrules:\n  - {ask: y, when: always, then: {deadline: 8h}}\n"
    )
    user, project = call_aura("policy", "show", "--json").objects
    assert (user["id"], project["id"]) == ("user", "shop")
    assert user["rules"][0]["when"] == {"paths": {"all": ["docs/*"]}}
    assert project["rules"][0]["then"] == {"deadline": 28800.0}
    shown = call_aura("policy", "show", "shop").out
    assert "ask y (line 3)" in shown
    assert "then deadline: 28800.0" in shown


def test_a_back_test_lists_first_what_a_human_refused(home, asked):
    (home / "p.yaml").write_text(POLICY)
    done = call_aura("policy", "test", "p.yaml", "--json")
    assert done.err == ""
    found = done.objects
    assert [(one["approval"], one["was"], one["would_be"], one["rules"]) for one in found] == [
        (IDS[1], "ask", "approve", ["documentation"]),
        (IDS[0], "ask", "approve", ["documentation"]),
    ]
    done = call_aura("policy", "test", "p.yaml", "--since", "30d")
    assert "1 that a human had refused would be approved" in done.err
    assert call_aura("policy", "test", "p.yaml", "--since", "2999-01-01", "--json").objects == []
    assert call_aura("policy", "test", "p.yaml", "--since", "57").code == 2
    (home / "p.yaml").write_text("rules: 3\n")
    assert "p.yaml:1:8" in call_aura("policy", "test", "p.yaml").out
