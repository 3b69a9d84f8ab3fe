"""Decisions: one decider per aggregate, imported together when the first command is handled.

The ledger has no decider: `aura_store`, which writes the log, decides its events."""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.decisions._decider import Context as Context
    from aura_engine.decisions._decider import Decider as Decider
    from aura_engine.decisions._decider import Decision as Decision
    from aura_engine.decisions.deciders import DECIDERS as DECIDERS
    from aura_engine.decisions.deciders import decider_of as decider_of

export_lazily(__name__)
