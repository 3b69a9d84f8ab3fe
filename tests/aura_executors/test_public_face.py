"""What the package offers, to adapters of others above all: pinned, because they rely on it."""

import subprocess
import sys

import aura_executors
from aura_contracts import entries
from aura_contracts.ports import executors as port

PORT = {
    *(
        "AgentRun",
        "AgentTools",
        "Answer",
        "AnyEntry",
        "Availability",
        "Capability",
        "Conversation",
        "Entry",
        "ErrorReported",
    ),
    *("Executor", "ExecutorInfo", "FileChange", "FileChanged", "Finished", "Launch", "Message"),
    *(
        "PermissionRequested",
        "PermissionWithdrawn",
        "PlanStep",
        "PlanUpdated",
        "Send",
        "SessionStarted",
        "TEXT_LIMIT",
        "Thinking",
    ),
    *("ToolCalled", "ToolFinished", "ToolServer", "Unknown", "UsageReported", "failure_of"),
}
ADAPTER = {
    *("ARGUMENT_LIMIT", "LINE_LIMIT", "MESSAGE_LIMIT", "NOT_UNDERSTOOD", "TOO_LONG", "UNKNOWN_ENTRIES"),
    *("UNKNOWN_LIMIT", "ActingOptions", "AgentExecutor", "AgentOptions", "OpenQuestions", "ReportedTurn", "SingleTurn"),
    *("Item", "JsonLines", "Lines", "PlainConversation", "Program"),
    *("Tail", "agent_options", "clipped", "clipped_value", "failure_from", "flags", "lost_session", "program_of"),
    *("prompt_bytes", "prompt_of", "read_options", "reason_of_status", "require_clean"),
    "without_controls",
}
OTHERS = {
    *("ExitCause", "Failure", "FailureReason", "InterruptPlan", "InvalidInput", "OutputSource", "ProcessExit"),
    *("Usage", "fingerprint_of"),
    *("CustomExecutor", "ExecutorRegistry", "ScriptedExecutor", "SupervisedRunner"),
}


def test_the_public_names_are_these() -> None:
    assert set(aura_executors.__all__) == PORT | ADAPTER | OTHERS
    assert len(aura_executors.__all__) == len(set(aura_executors.__all__))
    for name in aura_executors.__all__:
        assert getattr(aura_executors, name) is not None, name


def test_dir_lists_the_public_names_and_nothing_else() -> None:
    assert dir(aura_executors) == sorted(aura_executors.__all__)


def test_the_whole_port_is_there() -> None:
    own = {
        name
        for name, value in vars(port).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == port.__name__
    }
    assert own <= PORT
    for name in PORT:
        assert getattr(aura_executors, name) is getattr(port if name in vars(port) else entries, name)


def test_every_name_that_the_manual_mentions_is_there() -> None:
    import re

    mentioned = {name.partition(".")[0] for name in re.findall(r"(?<!`)`([\w.]+)`(?!`)", aura_executors.__doc__ or "")}
    methods = {"launch", "converse", "understand", "aura_executors"}
    assert mentioned - methods <= set(aura_executors.__all__)


def test_it_loads_no_engine_and_no_event_loop() -> None:
    program = "import sys, aura_executors; aura_executors.JsonLines, aura_executors.Program; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"anyio", "sqlalchemy", "aura_engine", "aura_store"} & set(done.stdout.split())
