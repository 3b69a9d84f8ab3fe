"""Instructions: proposes to edit those of an agent from what its work was sent back for, and makes approved edits."""

from collections.abc import Sequence
from contextlib import aclosing

from aura_contracts.actors import actor_name
from aura_contracts.agent import AGENT, Agent, AgentChanges, EditAgent
from aura_contracts.approval import Approval, ApprovalKind, InstructionsEdit, Question, RequestApproval
from aura_contracts.errors import InvalidInput
from aura_contracts.ids import ApprovalId
from aura_contracts.ports.milestones import Milestone
from aura_contracts.ports.read_models import LIMIT, ApprovalQuery, MilestoneQuery
from aura_engine.facade.core import Core
from aura_engine.record.lessons import difference, lessons_of, with_lessons
from aura_engine.record.verdicts import PROPOSALS
from aura_engine.unit_of_work import UnitOfWork

LOOKED_AT = 200
"""The most proposals sent back that an agent learns from."""


async def propose_edit(core: Core, agent: Agent, reviewers: Sequence[str], by: str | None) -> Approval:
    """Ask for an edit, or return the open question about the same one. Raises `InvalidInput` if nothing is to learn."""
    actor = await core.require_member("agent", agent.id, "learn", by)
    after = with_lessons(agent.prompt, lessons_of(await _feedback(core, agent.id)))
    if after == agent.prompt:
        reason = "humans have sent nothing back that its instructions do not say"
        raise InvalidInput(field="agent", reason=reason, remedy="wait until they do, or edit the agent yourself")
    edit = InstructionsEdit(agent.id, agent.prompt, after)
    if (asked := await _open_question(core, edit)) is not None:
        return asked
    question = Question(
        kind=ApprovalKind.INSTRUCTIONS,
        reviewers=(actor_name(actor), *reviewers),
        proposed_solution=f"Edit the instructions of {agent.name}:\n\n{difference(edit.before, edit.after)}",
        edit=edit,
    )
    approval_id = ApprovalId(core.bus.new_id())
    question = core.policies.waiting.timed(question, core.bus.clock())  # no policy is about it
    return await core.bus.handle(actor, approval_id, RequestApproval(approval_id=approval_id, question=question))


async def make_edit(unit: UnitOfWork, edit: InstructionsEdit) -> None:
    """Make an approved edit. Raises `InvalidInput` if the instructions have changed since it was proposed."""
    agent = await unit.require(AGENT, edit.agent_id)
    if agent.prompt != edit.before:
        reason = f"the instructions of {agent.name} were edited since it was asked"
        remedy = f"reject it, and propose another edit: aura agent learn {agent.id}"
        raise InvalidInput(field="approval", reason=reason, remedy=remedy)
    await unit.handle(agent.id, EditAgent(changes=AgentChanges(prompt=edit.after)))


async def _open_question(core: Core, edit: InstructionsEdit) -> Approval | None:
    query = ApprovalQuery(kind=str(ApprovalKind.INSTRUCTIONS), pending=True, limit=LIMIT)
    async with aclosing(core.reads.rows(query)) as rows:
        async for asked in rows:
            if asked.edit == edit:
                return asked
    return None


async def _feedback(core: Core, agent_id: str) -> Sequence[str | None]:
    """Return what humans wrote when they last sent proposals of an agent back, the newest first."""
    refusals = [str(Milestone.REJECTED), str(Milestone.NEEDS_CHANGES)]
    query = MilestoneQuery(agent=agent_id, milestone=refusals, kind=[*map(str, PROPOSALS)], limit=LOOKED_AT)
    ids = [row.approval_id for row in (await core.reads.list(query)).rows if row.approval_id is not None]
    asked = {one.id: one for one in (await core.reads.list(ApprovalQuery(id=ids, limit=LOOKED_AT))).rows}
    return [asked[one].feedback for one in map(ApprovalId, ids)]
