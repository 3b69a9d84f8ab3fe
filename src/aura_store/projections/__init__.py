"""Projections: read models in SQL, folded from the log, in its own database. The one place that imports SQLAlchemy."""

from aura_store.projections._checking import BadSnapshot, CheckReport, RowDifference
from aura_store.projections._database import Database, memory_database, sqlite_database
from aura_store.projections._models import AgentRow, ApprovalRow, ExecutionLogRow, TaskRow, UsageRow, WorkflowRow
from aura_store.projections._paging import Page
from aura_store.projections._read_models import (
    ModelsDiff,
    PastModels,
    ReadModels,
    diff_read_models,
    open_read_models,
    position_at,
    read_models_as_of,
)
from aura_store.projections._rows import Step
from aura_store.projections.projector import PROJECTIONS, Projection, ProjectionFailed
from aura_store.projections.runner import ProjectionRunner

__all__ = [
    "PROJECTIONS",
    "AgentRow",
    "ApprovalRow",
    "BadSnapshot",
    "CheckReport",
    "Database",
    "ExecutionLogRow",
    "ModelsDiff",
    "Page",
    "PastModels",
    "Projection",
    "ProjectionFailed",
    "ProjectionRunner",
    "ReadModels",
    "RowDifference",
    "Step",
    "TaskRow",
    "UsageRow",
    "WorkflowRow",
    "diff_read_models",
    "memory_database",
    "open_read_models",
    "position_at",
    "read_models_as_of",
    "sqlite_database",
]
