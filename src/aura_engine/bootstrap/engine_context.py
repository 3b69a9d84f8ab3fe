"""Engine context: a store, and an engine on it, from opening to closing."""

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio

import aura_store
from aura_contracts.actors import Actor, human
from aura_contracts.lease import RETURN_GRACE
from aura_contracts.ports.executors import Executor
from aura_contracts.store_url import Compression, StoreUrl
from aura_engine import bootstrap
from aura_engine.bootstrap.engine_options import EngineOptions
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade.core import Core
from aura_engine.facade.engine import Engine
from aura_engine.host import Host
from aura_engine.state_cache import StateCache
from aura_engine.unit_of_work import CommandBus


@asynccontextmanager
async def open_engine(
    url: str,
    *,
    user: str | None = None,
    home: Path | str | None = None,
    executors: Sequence[Executor] = (),
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
    host: Host | None = None,
) -> AsyncIterator[Engine]:
    """Open an engine on the store at `url` (``sqlite:///aura.db``, ``postgresql://...``, ``memory:``).

    Works on asyncio and on trio. Opening starts nothing: tasks that earlier engines left unfinished stay as they are.
    With `drive_all` this engine drives them, every task that another program starts, and those of engines that stop.

    - `user`: on whose behalf commands run (default: AURA_USER, or the login name; a read-only engine needs neither).
    - `home`: the folder of worktrees and process output (default: AURA_HOME, or the platform's data folder).
    - `executors`: executors to use besides the installed ones.
    - `project`: a folder whose ``.aura/profiles.toml`` applies.
    - `executions`, `executions_of`: how many runs may work at once, in total and by executor.
    - `grace`: seconds that agents may outlive this process before they are ended (30 by default).
    - `record_only`: only record commands; another engine carries them out.
    - `read_only`: refuse commands. `auditing` also opens a damaged store, or one without its key, for `audit`.
    - `encryption_key`, `compression`, `outage_timeout` (seconds): see `aura_store.open_log`.

    Closing the engine stops driving: agents at work continue under their supervisors for `grace` seconds, so that the
    next engine can take over. Raises `InvalidInput` for a bad argument or profile file, `StoreMisconfigured`,
    `StoreUnavailable` and `LogDamaged`. A read-only engine reads the profiles only for `executors.check` and `doctor`.
    """
    given = EngineOptions(
        url=url,
        user=user,
        home=home,
        executors=executors,
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
        host=host,
    )
    host = host or Host()
    identify = partial(_user, user, host)
    if not given.reading:
        identify()  # fails early: commands need the name
    folder = host.home if home is None else Path(os.path.abspath(home))  # noqa: ASYNC240, PTH100 - looks at no file
    options: dict[str, Any] = {"encryption_key": encryption_key, "compression": compression}
    waiting: dict[str, Any] = {} if outage_timeout is None else {"outage_timeout": outage_timeout}
    opening = aura_store.open_log(url, clock=host.clock, read_only=read_only, auditing=auditing, **options, **waiting)
    async with opening as log, aura_store.open_read_models(log) as reads:
        locks = aura_store.locks_for(url, **waiting)
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
            archive=aura_store.StoreArchive(
                log=log,
                models=reads,
                clock=host.clock,
                ids=host.ids,
                prices=folder / "prices.toml",
                path=StoreUrl.parse(url).path,
                compression=compression or "none",
                encrypted=encryption_key is not None,
            ),
            make_services=lambda: bootstrap.services_of(core, given, host, folder),
            examine_host=lambda: bootstrap.examine_host(host),
            identify=identify,
            record_only=record_only,
            read_only=given.reading,
        )
        try:
            async with _serving(core):
                if not given.reading:
                    await core.runtime.profiles.load()  # fails early
                    await core.follower.start()
                yield Engine(core)
        finally:
            with anyio.CancelScope(shield=True):
                await locks.aclose()


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
