"""What `aura_contracts` offers by name; a name that is dropped or renamed breaks programs out there."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import aura_contracts
from aura_contracts.catalogue import AGGREGATES

PUBLIC = [
    "AGENT",
    "AGGREGATES",
    "ALERTS",
    "ALERTS_ID",
    "APPROVAL",
    "BOARD",
    "CATALOGUE",
    "EXECUTION",
    "LEDGER",
    "LEDGER_ID",
    "LOCK_TABLE",
    "LOCK_TABLE_ID",
    "OUTBOX",
    "OUTPUT",
    "PROJECT",
    "PROMPT_TEMPLATE",
    "RETRYABLE",
    "TASK",
    "WORKER_LEASE",
    "WORKFLOW",
    "WORKFLOW_DEFINITION",
    "WORKFLOW_SCHEDULE",
    "WORKSPACE",
    "Actor",
    "ActorKind",
    "ActorNotAllowed",
    "Agent",
    "AgentId",
    "AgentStatus",
    "Aggregate",
    "AggregateExists",
    "AggregateNotFound",
    "Alerts",
    "AlertsStatus",
    "Append",
    "Approval",
    "ApprovalId",
    "ApprovalStatus",
    "AuraError",
    "Board",
    "BoardId",
    "BoardStatus",
    "Clock",
    "Command",
    "CommandRefused",
    "CyclicDependency",
    "CyclicParent",
    "DefinitionId",
    "DefinitionStatus",
    "Event",
    "EventCatalogue",
    "EventLog",
    "EventOutOfOrder",
    "EventRecord",
    "EventTooLarge",
    "Execution",
    "ExecutionId",
    "ExecutionStatus",
    "Fact",
    "Failure",
    "FailureReason",
    "HappenedFact",
    "IdFactory",
    "ImpossibleTransition",
    "Instant",
    "InvalidId",
    "InvalidInput",
    "InvalidText",
    "LeaseId",
    "LeaseStatus",
    "Ledger",
    "LedgerStatus",
    "LockTable",
    "LockTableStatus",
    "LogDamaged",
    "NaiveDatetime",
    "NewerEventVersion",
    "Outbox",
    "OutboxStatus",
    "Output",
    "OutputStatus",
    "Project",
    "ProjectId",
    "ProjectStatus",
    "PromptTemplate",
    "RuleViolated",
    "SERVICE",
    "SERVICE_ID",
    "ScheduleId",
    "ScheduleStatus",
    "SealedRow",
    "Service",
    "ServiceStatus",
    "SelfChecking",
    "Snapshot",
    "State",
    "StepStatus",
    "StoreClosed",
    "StoreError",
    "StoreFull",
    "StoreMisconfigured",
    "StoreReadOnly",
    "StoreUnavailable",
    "StoredDefinition",
    "StreamId",
    "Table",
    "Task",
    "TaskId",
    "TaskStatus",
    "TemplateId",
    "TemplateStatus",
    "TransitionRefused",
    "UndecodableEvent",
    "UnknownEventType",
    "Upcaster",
    "VersionConflict",
    "WorkerId",
    "WorkerLease",
    "Workflow",
    "WorkflowId",
    "WorkflowSchedule",
    "WorkflowStatus",
    "Workspace",
    "WorkspaceId",
    "WorkspaceStatus",
    "__version__",
    "actor_kind",
    "actor_name",
    "event_fields",
    "is_canonical_id",
    "output_stream",
    "parse_actor",
    "parse_id",
    "require_aware",
    "uuid7_factory",
]


def test_the_public_names_are_pinned():
    assert sorted(aura_contracts.__all__) == sorted(PUBLIC)


def test_every_name_is_there_once():
    assert len(set(aura_contracts.__all__)) == len(aura_contracts.__all__)
    assert all(hasattr(aura_contracts, name) for name in aura_contracts.__all__)


def test_every_aggregate_is_there_with_its_state_and_statuses():
    offered = [getattr(aura_contracts, name) for name in aura_contracts.__all__]
    for aggregate in AGGREGATES:
        assert all(part in offered for part in (aggregate, aggregate.state, aggregate.statuses)), aggregate.name


def test_no_name_hides_a_module():
    modules = {module.name for module in pkgutil.iter_modules(aura_contracts.__path__)}
    assert not modules & set(aura_contracts.__all__)
    for module in modules:
        imported = importlib.import_module(f"aura_contracts.{module}")
        assert getattr(aura_contracts, module) is imported


FOLDERS = [
    "aura_contracts",
    *(m.name for m in pkgutil.walk_packages(aura_contracts.__path__, "aura_contracts.") if m.ispkg),
]


def defined_below(folder):
    """Yield the public names that the modules of `folder` define, not those that they import."""
    for path in Path(folder.__file__).parent.rglob("*.py"):
        for statement in ast.parse(path.read_text("utf-8")).body:
            match statement:
                case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                    yield name
                case ast.Assign(targets=targets):
                    yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_offers_only_what_its_modules_define(name):
    folder = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(folder.__path__)}
    offered = {public for public in dir(folder) if not public.startswith("_")} - modules
    assert offered - set(defined_below(folder)) == set()


@pytest.mark.parametrize("name", [name for name in FOLDERS if name not in {"aura_contracts", "aura_contracts.ports"}])
def test_a_folder_offers_all_that_its_modules_define(name):
    folder = importlib.import_module(name)
    defined = {public for public in defined_below(folder) if not public.startswith("_")}
    assert defined - set(dir(folder)) == set()


def test_importing_it_imports_nothing_heavy_and_nothing_else_of_aura():
    code = "import sys, aura_contracts; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    heavy = {"anyio", "asyncio", "eventsourcing", "jinja2", "pydantic", "sqlalchemy", "sqlite3", "subprocess"}
    assert not imported & heavy
    assert {name for name in imported if name.startswith("aura_")} == {"aura_contracts"}
