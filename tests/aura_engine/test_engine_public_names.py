"""What `aura_engine` offers by name, and that asking for the package alone costs nothing."""

import subprocess
import sys

import aura_engine


NAMES = """
Agent AgentStatus AggregateNotFound AmbiguousId Approval ApprovalId ApprovalKind ApprovalMode ApprovalRequested
ApprovalStatus AuraError BlockingEngine BlockingRun CommandRefused Engine Event EventRecord ExecutionStatus Failure
FailureReason Host InvalidInput KeyReused Page Priority Remember RetryPolicy Run RunCancelled RunFailed RunRequest
StoreError StoreReadOnly Subscription Task TaskCompleted TaskCreated TaskFailed TaskId TaskStatus Workspace open_engine
open_engine_sync
"""


def test_the_names_are_these():
    assert aura_engine.__all__ == NAMES.split()
    for name in aura_engine.__all__:
        assert callable(getattr(aura_engine, name))
    assert not hasattr(aura_engine, "nothing")


def test_the_package_alone_loads_nothing_else():
    program = "import sys, aura_engine; print(*(m for m in sys.modules if m.startswith('aura_')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["aura_engine"]


def test_the_decisions_do_not_load_git_and_processes():
    program = "import sys, aura_engine.decisions; print(*(m for m in sys.modules if m.startswith('aura_')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"aura_git", "aura_workspace", "aura_executors"}
