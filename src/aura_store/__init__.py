"""Store: the event log on memory, SQLite and PostgreSQL, and everything derived from it: lists, audits, history, costs.

    async with open_log("sqlite:///aura.db", read_only=True) as log:
        report = await verify(log)                                  # was any event changed, removed or moved?
        before = await world_at(log, 100)                           # every aggregate at a position or a time
        lines = await history(log, TASK, task_id)                   # one aggregate, event by event
        async with open_read_models(log) as models:
            page = await models.list(TaskQuery(status="pending"))   # lists, see aura_contracts.ports.read_models

An auditor needs only these names. The modules below are for authors of adapters: `aura_store.adapters` has the building
blocks, `aura_store.testing` the conformance suites.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_contracts.ports.archive import AuditFinding as AuditFinding
    from aura_contracts.ports.archive import AuditReport as AuditReport
    from aura_contracts.ports.archive import Change as Change
    from aura_contracts.ports.archive import HistoryLine as HistoryLine
    from aura_contracts.ports.archive import StoreReport as StoreReport
    from aura_contracts.ports.archive import UsageCost as UsageCost
    from aura_contracts.ports.archive import UsageKey as UsageKey
    from aura_contracts.ports.archive import World as World
    from aura_contracts.store_url import Compression as Compression
    from aura_contracts.store_url import StoreUrl as StoreUrl
    from aura_store._history import diff as diff
    from aura_store._history import history as history
    from aura_store._history import read_until as read_until
    from aura_store._history import state_at as state_at
    from aura_store._history import world_at as world_at
    from aura_store._locks import locks_for as locks_for
    from aura_store._open import open_log as open_log
    from aura_store._read_model_location import open_read_models as open_read_models
    from aura_store.archive import StoreArchive as StoreArchive
    from aura_store.audit import checkpoint as checkpoint
    from aura_store.audit import verify as verify
    from aura_store.pricing import InvalidPrices as InvalidPrices
    from aura_store.pricing import Price as Price
    from aura_store.pricing import PriceTable as PriceTable
    from aura_store.pricing import cost_of as cost_of
    from aura_store.pricing import read_prices as read_prices
    from aura_store.pricing import usage_of as usage_of
    from aura_store.read_models import check_read_models as check_read_models
    from aura_store.read_models import read_models_as_of as read_models_as_of
    from aura_store.read_models import repair_snapshot as repair_snapshot
    from aura_store.repository import AggregateRepository as AggregateRepository
    from aura_store.repository import Loaded as Loaded

export_lazily(__name__)
