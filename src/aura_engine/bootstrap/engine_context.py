"""Engine context: a store, and an engine on it, from opening to closing."""

import inspect
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import anyio

import aura_store
from aura_contracts.actors import Actor, actor_kind, actor_name, human
from aura_contracts.agent import AgentSpec, RegisterAgent
from aura_contracts.approval import WaitingTimes
from aura_contracts.errors import AggregateExists, InvalidInput
from aura_contracts.ids import AgentId
from aura_contracts.lease import RETURN_GRACE
from aura_contracts.ports.callables import AgentCallable
from aura_contracts.store_url import Compression, StoreUrl
from aura_contracts.task import parse_agent_type
from aura_engine import bootstrap
from aura_engine import policy as sources
from aura_engine.bootstrap.engine_options import EngineOptions
from aura_engine.clockwork.wall_clock import WallClock
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade.core import Core
from aura_engine.facade.engine import Engine
from aura_engine.host import Host
from aura_engine.state_cache import StateCache
from aura_engine.unit_of_work import CommandBus

if TYPE_CHECKING:
    from aura_contracts.ports.executors import Executor
    from aura_engine.policy import PolicySources
    from aura_engine.policy.rulebook import PolicyCallable
    from aura_engine.record.tally import Tally


@asynccontextmanager
async def open_engine(
    url: str,
    *,
    user: str | None = None,
    home: Path | str | None = None,
    executors: "Sequence[Executor]" = (),
    agents: Mapping[str, AgentCallable] | None = None,
    project: Path | str | None = None,
    executions: int | None = None,
    executions_of: Mapping[str, int] | None = None,
    grace: float = RETURN_GRACE,
    drive_all: bool = False,
    record_only: bool = False,
    read_only: bool = False,
    auditing: bool = False,
    encryption_key: str | None = None,
    compression: Compression | None = None,
    outage_timeout: float | None = None,
    policies: "Sequence[PolicyCallable]" = (),
    sample_agents: bool = False,
    host: Host | None = None,
) -> AsyncIterator[Engine]:
    """Open an engine on the store at `url` (``sqlite:///aura.db``, ``postgresql://...``, ``memory:``).

    Works on asyncio and on trio. Opening starts nothing: tasks that earlier engines left unfinished stay as they are.
    With `drive_all` this engine drives them, every task that another program starts, and those of engines that stop.

    - `user`: on whose behalf commands run (default: AURA_USER, or the login name; a read-only engine needs neither).
    - `home`: the folder of worktrees and process output (default: AURA_HOME, or the platform's data folder).
    - `executors`: executors to use besides the installed ones.
    - `agents`: Python functions that are agents of the pool, by name; see `aura_contracts.ports.callables`. They run in
      this process, while this engine is open. The name is their executor and type: ``assign(task, agent_type=name)``.
    - `project`: a folder whose ``.aura/profiles.toml`` applies, and ``.aura/policies.yaml`` without a repository.
    - `executions`, `executions_of`: how many runs may work at once, in total and by executor.
    - `grace`: seconds that agents may outlive this process before they are ended (30 by default).
    - `record_only`: only record commands; another engine carries them out.
    - `read_only`: refuse commands. `auditing` also opens a damaged store, or one without its key, for `audit`.
    - `policies`: callables that give a verdict on the questions this engine asks, besides those of policy files.
    - `sample_agents`: choose agents of the pool by a draw from what is known of their acceptance (Thompson sampling),
      instead of the one with the least to do; the draws are recorded.
    - `encryption_key`, `compression`, `outage_timeout` (seconds): see `aura_store.open_log`.

    Closing the engine stops driving: agents at work continue under their supervisors for `grace` seconds, so that the
    next engine can take over. Raises `InvalidInput` for a bad argument, profile or policy file, `StoreMisconfigured`,
    `StoreUnavailable` and `LogDamaged`. A read-only engine reads the profiles only for `executors.check` and `doctor`.
    """
    given = EngineOptions(
        url=url,
        user=user,
        home=home,
        executors=executors,
        agents=agents or {},
        project=project,
        executions=executions,
        executions_of=executions_of,
        grace=grace,
        drive_all=drive_all,
        record_only=record_only,
        read_only=read_only,
        auditing=auditing,
        encryption_key=encryption_key,
        compression=compression,
        outage_timeout=outage_timeout,
        policies=policies,
        sample_agents=sample_agents,
        host=host,
    )
    async with _core_of(given, host or Host()) as core, _serving(core):
        if not given.reading:
            await core.runtime.profiles.load()  # fails early
            await core.policies.require(())
            for name, function in given.agents.items():
                await _register(core, name, function)
            await core.follower.start()
        yield Engine(core)


async def _register(core: Core, name: str, function: AgentCallable) -> None:
    """Add a Python agent to the pool, once: an engine that is opened with it again has the same agent."""
    agent_id = AgentId(str(uuid5(NAMESPACE_URL, f"urn:aura:agent:{name}")))
    description = next(iter((inspect.getdoc(function) or "").splitlines()), "")
    spec = AgentSpec(name=name, type=parse_agent_type(name), executor=name, description=description)
    with suppress(AggregateExists):
        await core.bus.handle(core.user, agent_id, RegisterAgent(agent_id=agent_id, spec=spec))


@asynccontextmanager
async def _core_of(given: EngineOptions, host: Host) -> AsyncIterator[Core]:
    """Open the store, and close it at the end."""
    identify = partial(_user, given.user, host)
    if not given.reading:
        _require_member(identify(), given)  # fails early: commands need the name
    home = host.home if given.home is None else Path(os.path.abspath(given.home))  # noqa: ASYNC240, PTH100 - looks at no file
    access: dict[str, Any] = {"encryption_key": given.encryption_key, "compression": given.compression}
    access |= {"read_only": given.read_only, "auditing": given.auditing, "clock": host.clock}
    waiting: dict[str, Any] = {} if given.outage_timeout is None else {"outage_timeout": given.outage_timeout}
    async with aura_store.open_log(given.url, **access, **waiting) as log, aura_store.open_read_models(log) as reads:
        locks = aura_store.locks_for(given.url, **waiting)
        core = Core(
            bus=CommandBus(
                log=log,
                states=StateCache(aura_store.AggregateRepository(log).load),
                clock=host.clock,
                ids=host.ids,
                read_only=given.reading,
            ),
            reads=reads,
            locks=locks,
            clock=WallClock(host.clock),
            make_archive=lambda: aura_store.StoreArchive(
                log=log,
                models=reads,
                clock=host.clock,
                ids=host.ids,
                prices=home / "prices.toml",
                path=StoreUrl.parse(given.url).path,
                compression=given.compression or "none",
                encrypted=given.encryption_key is not None,
            ),
            make_policies=lambda: _policies(given, home, core.tally, host.waiting_times),
            make_services=lambda: bootstrap.services_of(core, given, host, home),
            make_notifier=lambda: bootstrap.notifier_of(core, host, home),
            examine_host=lambda: bootstrap.examine_host(host, home),
            identify=identify,
            home=home,
            source=host.source,
            base_url=host.base_url,
            record_only=given.record_only,
            read_only=given.reading,
        )
        try:
            yield core
        finally:
            with anyio.CancelScope(shield=True):
                await locks.aclose()


def _policies(given: EngineOptions, home: Path, tally: "Tally", waiting: WaitingTimes) -> "PolicySources":
    project = None if given.project is None else Path(given.project)
    return sources.PolicySources(home / sources.USER_FILE, project, given.policies, tally, waiting)


def _require_member(user: Actor, given: EngineOptions) -> None:
    """Refuse to drive tasks, or to run agents, for an observer, who only reads. Raises `InvalidInput`."""
    field = "drive_all" if given.drive_all else "agents" if given.agents else None
    if field is not None and actor_kind(user) == "observer":
        reason = f"{actor_name(user)} is an observer, who only reads"
        raise InvalidInput(field=field, reason=reason, remedy=f"leave out {field}, or unset AURA_ROLE")


def _user(name: str | None, host: Host) -> Actor:
    return host.user if name is None else human(name)


@asynccontextmanager
async def _serving(core: Core) -> AsyncIterator[None]:
    """Keep room for the background work of the engine while the body runs.

    An exception of the body, ``SystemExit`` and ``KeyboardInterrupt`` included, propagates as it is and not in a group;
    so does the one error of a background task that ends the body, and the exception that `Core.leave` was called with.
    """
    raised: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            core.group = group

            def leave(error: BaseException) -> None:
                nonlocal raised
                raised = raised or error
                group.cancel_scope.cancel()

            core.leave = leave
            try:
                try:
                    yield
                except (anyio.get_cancelled_exc_class(), GeneratorExit):
                    raise
                except BaseException as error:  # noqa: BLE001 - raised again below
                    raised = raised or error
                await core.close()
            finally:
                core.abandon()
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        if raised is None:
            raise unwrap_group(errors) from None
    finally:
        core.group = None
    if raised is not None:
        raise raised
