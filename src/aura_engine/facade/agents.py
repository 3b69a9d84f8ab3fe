"""Agents: the pool that tasks are assigned from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

import anyio
import anyio.to_thread
import attrs
import msgspec

from aura_contracts.agent import (
    AGENT,
    Agent,
    AgentChanges,
    AgentSpec,
    DisableAgent,
    EditAgent,
    EnableAgent,
    RegisterAgent,
)
from aura_contracts.approval import Approval
from aura_contracts.ids import AgentId
from aura_contracts.plain_data import Plain
from aura_contracts.ports.read_models import AgentQuery
from aura_contracts.ports.rows import Page
from aura_engine import facade, runtime
from aura_engine.facade.arguments import Kept
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.instructions import propose_edit
from aura_engine.facade.options import AgentFilters, NewAgentOptions
from aura_engine.record.agent_record import AgentRecord
from aura_engine.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from aura_engine.agent_files import AgentFile

_EXAMINED = ("executor", "model", "options", "permissions", "variant")
"""What an executor examines."""


class ImportedAgent(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """An agent that a file defines."""

    agent: Agent
    path: str
    added: bool
    """Whether it is new in the pool."""
    notes: tuple[str, ...] = ()
    """What of the file has no effect, and why."""


@gated
@attrs.frozen
class Agents:
    """The agents of the pool. Ids may be shortened to a unique prefix or suffix."""

    _core: Core

    async def get(self, agent: str) -> Agent:
        """Return an agent. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.load(AGENT, agent)

    async def list(self, **filters: Unpack[AgentFilters]) -> Page[Agent]:
        """Return a page of agents, newest first unless `sort` and `descending` say otherwise."""
        return await self._core.reads.list(AgentQuery(**filters))

    async def record(self, agent: str) -> AgentRecord:
        """Return how humans received an agent's work, and how well the confidence that it states fits.

        Raises `AggregateNotFound`, `AmbiguousId`.
        """
        agent_id = (await self.get(agent)).id
        verdicts = await self._core.tally.current()
        return AgentRecord.of(agent_id, verdicts, await self._core.reads.milestones_of(agent_id))

    async def learn(self, agent: str, *, reviewers: Kept[Sequence[str]] = (), by: str | None = None) -> Approval:
        """Propose an edit of an agent's instructions from what humans sent its work back for; return the approval.

        Once it is approved, the agent has the instructions of `Approval.edit`. `reviewers` may decide besides the
        actor. The same proposal is made once while it is open. Raises `InvalidInput` if there is nothing to learn.
        """
        return await propose_edit(self._core, await self.get(agent), reviewers, by)

    async def add(
        self, name: str, executor: str, *, by: str | None = None, **options: Unpack[NewAgentOptions]
    ) -> Agent:
        """Add an agent to the pool: a profile with which tasks are run.

        Raises `UnknownExecutor`, and `InvalidInput` for options that its executor refuses, and for rules that its agent
        would not ask about.
        """
        given = facade.NewAgent.model_validate({"name": name, "executor": executor, **options})
        agent_id = AgentId(self._core.bus.ids())
        async with self._core.bus.unit(self._core.actor(by)) as unit:
            await self._examine(given.spec)
            return await unit.handle(agent_id, RegisterAgent(agent_id=agent_id, spec=given.spec))

    async def edit(self, agent: str, changes: Kept[AgentChanges], *, by: str | None = None) -> Agent:
        """Edit an agent; fields that `changes` does not set stay as they are. If it is busy, its next run uses them.

        Its executor examines what concerns it, if that changes. Raises `UnknownExecutor`, and `InvalidInput` for
        options that its executor refuses, and for rules that its agent would not ask about.
        """
        agent_id = await self._core.find("agent", agent)

        async def decide(unit: UnitOfWork) -> Agent:
            return await self._edited(unit, await unit.require(AGENT, agent_id), changes)

        return await self._core.bus.transact(self._core.actor(by), decide)

    async def import_files(
        self, paths: Sequence[str], *, executor: str | None = None, by: str | None = None
    ) -> Sequence[ImportedAgent]:
        """Add agents to the pool that files define, as Claude Code does in ``.claude/agents/*.md``.

        Each of `paths` is a file, or a folder, with the ``*.md`` files in it and below. The text after the front matter
        is the agent's prompt. An agent with the name of one in the pool replaces its description, model, rules and
        prompt. `executor` runs the agents, by default ``claude``, or what an agent has already.

        Either all are imported or none: raises `AgentFilesRefused` with everything that is wrong in any file.
        """
        actor = await self._core.require_member("agents", ", ".join(paths), "import", by)  # before files are read
        files = await anyio.to_thread.run_sync(facade.read_agent_files, paths)

        async def decide(unit: UnitOfWork) -> Sequence[ImportedAgent]:
            return [await self._imported(unit, file, executor) for file in files]

        return await self._core.bus.transact(actor, decide)

    async def _imported(self, unit: UnitOfWork, file: "AgentFile", executor: str | None) -> ImportedAgent:
        known = await self._core.reads.list(AgentQuery(name=file.name, ad_hoc=False, descending=False, limit=1))
        before = await unit.require(AGENT, known.rows[0].id) if known.rows else None
        runs = executor or ("claude" if before is None else before.executor)
        asks = (await self._core.runtime.gateway.capability(runs)).permissions
        spec = file.spec(runs, asks=asks)
        if before is None:
            await self._examine(spec)
            agent_id = AgentId(self._core.bus.ids())
            agent = await unit.handle(agent_id, RegisterAgent(agent_id=agent_id, spec=spec))
        else:
            changes = AgentChanges(
                executor=spec.executor,
                description=spec.description,
                model=spec.model,
                prompt=spec.prompt,
                permissions=spec.permissions,
            )
            agent = await self._edited(unit, before, changes)
        notes = [f"{key} is left out: AURA does not know it" for key in file.ignored]
        if file.tools is not None and not asks:
            notes.append(f"tools are left out: executor {runs} asks for no permission")
        return ImportedAgent(agent=agent, path=file.path, added=before is None, notes=tuple(notes))

    async def _edited(self, unit: UnitOfWork, found: Agent, changes: AgentChanges) -> Agent:
        edited = msgspec.structs.replace(found, **changes.given())
        if any(getattr(edited, name) != getattr(found, name) for name in _EXAMINED):
            await self._examine(edited)
        return await unit.handle(found.id, EditAgent(changes=changes))

    async def _examine(self, spec: AgentSpec) -> None:
        """Have the executor examine what concerns it."""
        options, variant = runtime.options_of(spec), spec.variant or None
        await facade.examine_options(self._core, spec.executor, options, variant=variant, rules=spec.permissions)

    async def disable(
        self, agent: str, reason: Kept[str] = "", *, drop_task: bool = False, by: str | None = None
    ) -> Agent:
        """Take an agent out of the pool, so it gets no more tasks. `drop_task` allows this while it works on one."""
        command = DisableAgent(reason=reason, drop_task=drop_task)
        return await self._core.handle(AGENT, agent, command, by)

    async def enable(self, agent: str, *, by: str | None = None) -> Agent:
        """Put an agent back into the pool."""
        return await self._core.handle(AGENT, agent, EnableAgent(), by)
