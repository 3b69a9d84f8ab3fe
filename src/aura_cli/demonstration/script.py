"""Script: the prompts of the demo and the steps of its scripted agent."""

from pathlib import Path
from typing import Any

BEFORE = 'echo "Hello"\n'
FIRST = 'echo "Hello, $1"\n'
SECOND = 'echo "Hello, ${1:-world}"\n'
THIRD = 'echo "Hello, ${1:-world}!"\n'

PROMPT = "Greet people by their name"
FEEDBACK = "Greet the world when no name is given"
SECOND_PROMPT = "Greet with an exclamation mark"
HALF = "half of the work is done"

ROUNDS: list[list[dict[str, Any]]] = [
    [
        {"print": "reading greet.sh"},
        {"edit": {"path": "greet.sh", "old": BEFORE, "new": FIRST}},
        {"print": "greet.sh greets by name now"},
    ],
    [
        {"expect_prompt": FEEDBACK},
        {"print": f"The feedback was: {FEEDBACK}"},
        {"edit": {"path": "greet.sh", "old": FIRST, "new": SECOND}},
    ],
]
"""The agent's steps for `PROMPT`: the first round, and the round after the feedback."""

CHECK = "sh -n greet.sh && echo the script is sound"
"""The setup script of the first task."""


def slow_rounds(gate: Path) -> list[list[dict[str, Any]]]:
    """Return the agent's steps for `SECOND_PROMPT`; in the middle it waits until `gate` exists."""
    steps: list[dict[str, Any]] = [
        {"print": HALF},
        {"wait_for": str(gate)},
        {"edit": {"path": "greet.sh", "old": SECOND, "new": THIRD}},
        {"print": "the other half, too"},
    ]
    return [steps]
