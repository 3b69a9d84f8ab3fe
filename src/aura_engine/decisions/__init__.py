"""Decisions: one decider per aggregate, imported together when the first command is handled.

The ledger has no decider: `aura_store`, which writes the log, decides its events."""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.decisions._decider import Context as Context
    from aura_engine.decisions._decider import Decider as Decider
    from aura_engine.decisions._decider import Decision as Decision
    from aura_engine.decisions._decider import refuse_observer as refuse_observer
    from aura_engine.decisions._link_rules import require_key_owner as require_key_owner
    from aura_engine.decisions._link_rules import require_link_holder as require_link_holder
    from aura_engine.decisions._link_rules import why_over as why_over
    from aura_engine.decisions._task_rules import TITLE_LIMIT as TITLE_LIMIT
    from aura_engine.decisions._task_rules import require_concern as require_concern
    from aura_engine.decisions._task_rules import subtask_title_problem as subtask_title_problem
    from aura_engine.decisions.deciders import DECIDERS as DECIDERS
    from aura_engine.decisions.deciders import decider_of as decider_of
    from aura_engine.decisions.deciders import record_of_refusal as record_of_refusal
    from aura_engine.decisions.lock_table import claims_before as claims_before

export_lazily(__name__)
