"""What the toolkit offers to adapters of others: pinned, because they rely on it."""

import subprocess
import sys

from aura_executors import toolkit


def test_the_public_names_are_these() -> None:
    assert toolkit.__all__ == [
        *("ARGUMENT_LIMIT", "LINE_LIMIT", "MESSAGE_LIMIT", "NOT_UNDERSTOOD", "TOO_LONG"),
        *("UNKNOWN_ENTRIES", "UNKNOWN_LIMIT"),
        *("ActingOptions", "AgentOptions", "JsonLines", "Lines", "PlainConversation", "Program", "Said", "Tail"),
        *("agent_options", "clipped", "clipped_value", "failure_from", "lost_session"),
        *(
            "program_of",
            "prompt_bytes",
            "prompt_of",
            "read_options",
            "reason_of_status",
            "require_argument",
            "require_clean",
            "with_params",
            "without_controls",
        ),
    ]
    for name in toolkit.__all__:
        assert hasattr(toolkit, name), name


def test_it_loads_no_engine_and_no_event_loop() -> None:
    program = "import sys, aura_executors.toolkit; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"anyio", "sqlalchemy", "aura_engine", "aura_store"} & set(done.stdout.split())
