"""Read models: lists, counts and look-ups in SQL, folded from the log. See `aura_contracts.ports.read_models`."""

from aura_store.read_models._check import BadSnapshot, CheckReport, RowDifference, check_read_models, repair_snapshot
from aura_store.read_models._models import LogReadModels, ProjectionFailed
from aura_store.read_models._open import open_read_models
from aura_store.read_models._past import ModelsDiff, diff_read_models, position_at, read_models_as_of

__all__ = [
    "BadSnapshot",
    "CheckReport",
    "LogReadModels",
    "ModelsDiff",
    "ProjectionFailed",
    "RowDifference",
    "check_read_models",
    "diff_read_models",
    "open_read_models",
    "position_at",
    "read_models_as_of",
    "repair_snapshot",
]
