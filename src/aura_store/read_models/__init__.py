"""Read models: lists, counts and lookups in SQL, folded from the log. See `aura_contracts.ports.read_models`."""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_store.read_models._check import check_read_models as check_read_models
    from aura_store.read_models._check import repair_snapshot as repair_snapshot
    from aura_store.read_models._models import LogReadModels as LogReadModels
    from aura_store.read_models._models import ProjectionFailed as ProjectionFailed
    from aura_store.read_models._past import position_at as position_at
    from aura_store.read_models._past import read_models_as_of as read_models_as_of

export_lazily(__name__)
