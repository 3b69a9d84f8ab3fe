"""Instructions: an agent learns what its work was sent back for once a human agrees, and not otherwise."""

from datetime import UTC, datetime

import pytest

from aura_contracts.actors import human
from aura_contracts.agent import AgentChanges
from aura_contracts.approval import (
    ApprovalKind,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalStatus,
    Evidence,
    Question,
)
from aura_contracts.errors import InvalidInput
from aura_contracts.events import Append, Fact
from aura_engine import open_engine
from aura_store import open_log
from read_model_story import an_id

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 4, tzinfo=UTC)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'aura.db'}"


@pytest.fixture
async def engine(url, tmp_path):
    async with open_engine(url, home=tmp_path / "home", user="alice", record_only=True) as engine:
        yield engine


async def send_back(url, agent, feedback, number=1):
    """Record that a human rejected what an agent proposed."""
    evidence = Evidence(agent_id=agent.id, executor=agent.executor)
    question = Question(
        kind=ApprovalKind.CHANGES,
        reviewers=("alice",),
        task_id=an_id(99),
        proposed_solution="a diff",
        evidence=evidence,
    )
    asked = ApprovalRequested(approval_id=an_id(number), requested_by=human("alice"), question=question)
    events = (asked, ApprovalRejected(feedback=feedback))
    async with open_log(url) as log:
        facts = tuple(Fact(event, NOW, human("alice"), "c", "c") for event in events)
        await log.append(Append(an_id(number), 0, facts))


async def made(engine):
    return await engine.agents.add("Ada", "custom", options={"base_command": "sh"}, prompt="You test.")


async def test_an_approved_edit_is_made_with_the_decision(engine, url):
    ada = await made(engine)
    with pytest.raises(InvalidInput, match="nothing"):
        await engine.agents.learn(ada.id)
    await send_back(url, ada, "Write   in English")
    approval = await engine.agents.learn(ada.id, reviewers=["bob"])
    assert (approval.status, approval.kind, approval.reviewers) == ("pending", "instructions", ("alice", "bob"))
    assert "+- Write in English" in await engine.approvals.diff(approval.id)
    assert (await engine.agents.get(ada.id)).prompt == "You test.", "no one has agreed yet"
    assert await engine.agents.learn(ada.id, reviewers=["bob"]) == approval
    await engine.approvals.approve(approval.id, by="bob")
    learned = (await engine.agents.get(ada.id)).prompt
    assert learned.startswith("You test.\n")
    assert learned.endswith("- Write in English")
    with pytest.raises(InvalidInput, match="nothing"):
        await engine.agents.learn(ada.id)


async def test_a_rejected_edit_changes_nothing(engine, url):
    ada = await made(engine)
    await send_back(url, ada, "Write in English")
    approval = await engine.agents.learn(ada.id)
    await engine.approvals.reject(approval.id, "It does")
    assert (await engine.agents.get(ada.id)).prompt == "You test."


async def test_an_edit_of_instructions_that_changed_meanwhile_is_refused(engine, url):
    ada = await made(engine)
    await send_back(url, ada, "Write in English")
    approval = await engine.agents.learn(ada.id)
    await engine.agents.edit(ada.id, AgentChanges(prompt="You test well."))
    with pytest.raises(InvalidInput, match="edited since"):
        await engine.approvals.approve(approval.id)
    assert (await engine.approvals.get(approval.id)).status is ApprovalStatus.PENDING
    assert (await engine.agents.get(ada.id)).prompt == "You test well."
    assert (await engine.agents.learn(ada.id)).edit.before == "You test well."
