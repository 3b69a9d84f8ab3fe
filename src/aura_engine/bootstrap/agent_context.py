"""Agent context: what an agent may see and do in AURA, on the store alone."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aura_contracts.errors import StoreMisconfigured
from aura_contracts.store_url import Compression, StoreUrl
from aura_engine.agent_tools.access import scope_in
from aura_engine.agent_tools.api import OwnTask
from aura_engine.host import new_ids, now
from aura_engine.policy.sources import USER_FILE, PolicySources
from aura_engine.record.tally import Tally
from aura_engine.state_cache import StateCache
from aura_engine.unit_of_work import CommandBus
from aura_store import AggregateRepository, open_log, open_read_models


@asynccontextmanager
async def open_own_task(
    url: str,
    *,
    home: Path,
    environment: Mapping[str, str],
    encryption_key: str | None = None,
    compression: Compression | None = None,
    outage_timeout: float | None = None,
) -> AsyncIterator[OwnTask]:
    """Open what an agent may see and do in AURA: its own task, which the token in its environment names.

    Uses the store only, alongside the engine that drives the task. Raises `TokenRefused` for a token that this home did
    not issue, before it opens anything, and the errors of `open_engine` for the store.
    """
    scope = scope_in(environment, home)
    path = StoreUrl.parse(url).path
    if path is not None and not path.exists():
        reason = "the store does not exist"
        raise StoreMisconfigured(store=url, reason=reason, remedy="set AURA_STORE as AURA does for its agents")
    options: dict[str, Any] = {"encryption_key": encryption_key, "compression": compression}
    waiting: dict[str, Any] = {} if outage_timeout is None else {"outage_timeout": outage_timeout}
    async with open_log(url, clock=now, **options, **waiting) as log, open_read_models(log) as reads:
        bus = CommandBus(log=log, states=StateCache(AggregateRepository(log).load), clock=now, ids=new_ids())
        yield OwnTask(bus, reads, scope, PolicySources(home / USER_FILE, tally=Tally(reads)))
