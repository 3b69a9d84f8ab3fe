"""Engine context: a store, and an engine on it, from opening to closing.

`EngineOptions` checks what `open_engine` is given before anything is opened. It needs no pydantic, whose import takes
longer than opening an engine.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import attrs
from msgspec import Meta

import aura_store
from aura_contracts.actors import Actor, human
from aura_contracts.errors import InvalidInput, require_text
from aura_contracts.lease import GRACE_LIMIT, RETURN_GRACE
from aura_contracts.ports.executors import Executor
from aura_contracts.store_url import Compression, StoreUrl
from aura_engine import bootstrap
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade.arguments import Filled, Limit, check_of
from aura_engine.facade.core import Core
from aura_engine.facade.engine import Engine
from aura_engine.host import Host, require_person
from aura_engine.state_cache import StateCache
from aura_engine.unit_of_work import CommandBus

if TYPE_CHECKING:
    from aura_contracts.ports import Executor


# --- Options ----------------------------------------------------------------------------------------------------------


def _fits(_: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Refuse a value that is not of the field's type."""
    check_of(attribute.type)(value, attribute.name)


def _optional(check: Callable[[Any, str], object]) -> Callable[[object, "attrs.Attribute[Any]", Any], object]:
    """Return the validator of a field whose value is None, or has to pass `check`."""
    return lambda _, attribute, value: value is None or check(value, attribute.name)


def _folder(value: Any, field: str) -> None:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        remedy = "give the path of a folder"
        raise InvalidInput(field=field, reason=f"{ascii(value)[:80]} is not a path", remedy=remedy)
    require_text(os.fsdecode(value), field)


@attrs.frozen(kw_only=True)
class EngineOptions:
    """The arguments of `open_engine`, which describes them. Raises `InvalidInput`, and `StoreMisconfigured` for a text
    that is not a store URL."""

    url: Filled = attrs.field(validator=_fits)
    user: str | None = attrs.field(validator=_optional(require_person))
    home: Path | str | None = attrs.field(validator=_optional(_folder))
    executors: Sequence[Executor] = attrs.field(validator=_fits)
    project: Path | str | None = attrs.field(validator=_optional(_folder))
    executions: Limit | None = attrs.field(validator=_fits)
    executions_of: Mapping[str, Limit] | None = attrs.field(validator=_fits)
    grace: Annotated[float, Meta(ge=0, le=GRACE_LIMIT)] = attrs.field(validator=_fits)
    drive_all: bool = attrs.field(validator=_fits)
    record_only: bool = attrs.field(validator=_fits)
    read_only: bool = attrs.field(validator=_fits)
    auditing: bool = attrs.field(validator=_fits)
    encryption_key: Filled | None = attrs.field(validator=_fits)
    compression: Compression | None = attrs.field(validator=_fits)
    outage_timeout: Annotated[float, Meta(ge=0)] | None = attrs.field(validator=_fits)
    host: Host | None = attrs.field(validator=_fits)

    def __attrs_post_init__(self) -> None:
        hindrance = "read_only" if self.reading else "record_only" if self.record_only else None
        if self.drive_all and hindrance is not None:
            reason = f"an engine that is {hindrance} drives no tasks"
            raise InvalidInput(field="drive_all", reason=reason, remedy=f"leave out drive_all or {hindrance}")

    @property
    def reading(self) -> bool:
        """Whether the engine only reads its store."""
        return self.read_only or self.auditing or StoreUrl.parse(self.url).read_only


# --- Opening and closing ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_engine(
    url: str,
    *,
    user: str | None = None,
    home: Path | str | None = None,
    executors: "Sequence[Executor]" = (),
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
        locks = aura_store.locks_for(url)
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
