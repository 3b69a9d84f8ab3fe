"""Runs of workflows written down as data: what happens, and what has run then.

A world is a workflow with its outside: the `Reference`, or the engine's decisions folded in memory. What happens is a
list of words: ``end build``, ``signal released``, ``cancel``, ``cancel scan``, ``retry test``, ``skip test``,
``pause``, ``resume``, ``advance``, ``rest``. After each of them all is started and evaluated that can be, in the order
of the definition.
"""

from collections.abc import Sequence
from typing import Any

from aura_contracts.workflow.values import StepStatus

STATUSES = frozenset(status.value for status in StepStatus)
LIKE_RUNNING = {StepStatus.AWAITING_APPROVAL: StepStatus.RUNNING, StepStatus.HANDLING: StepStatus.RUNNING}
"""The reference knows no more than that a step is not over."""


def let_go(world: Any) -> None:
    """Start and evaluate until nothing can be."""
    while acts := [("evaluate", address) for address in world.may_evaluate()] or [
        ("start", address) for address in world.may_start()
    ]:
        act, address = acts[0]
        getattr(world, act)(address)


def happen(world: Any, words: str) -> None:
    what, _, about = words.partition(" ")
    if what == "advance":
        world.advance(world.next_moment())
    elif what == "cancel" and about:
        world.cancel_step(about)
    else:
        getattr(world, what)(*([about] if about else []))


def play(world: Any, then: Sequence[str]) -> None:
    """Let things happen; at ``rest`` what runs ends, in the order of the definition, until nothing is left."""
    let_go(world)
    for words in then:
        if words == "rest":
            _come_to_rest(world)
        else:
            happen(world, words)
            let_go(world)


def _come_to_rest(world: Any) -> None:
    while (working := world.working() + world.to_cancel()) or world.next_moment() is not None:
        happen(world, f"end {working[0]}" if working else "advance")
        let_go(world)


def require(world: Any, run: dict[str, Any]) -> None:
    """Fail unless the world is as the run says; what it does not speak of may be as it likes."""
    statuses = {address: LIKE_RUNNING.get(status, status) for address, status in world.statuses().items()}
    seen: dict[str, Any] = {"status": world.status}
    for key, value in run.items():
        if key in STATUSES:
            seen[key] = [address for address in value if statuses.get(address, "pending") == key]
    if "ran" in run:
        seen["ran"] = sorted(address for address, _attempt in world.effects)
    expected = {key: sorted(value) if key == "ran" else value for key, value in run.items() if key in seen}
    assert seen == expected, run["title"]
