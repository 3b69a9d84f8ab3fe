"""Task refusal: the error for a task command that a rule of the facade forbids."""

from aura_contracts.errors import RuleViolated
from aura_contracts.ids import TaskId


def refusal(task_id: TaskId, command: str, reason: str, remedy: str) -> RuleViolated:
    """Return the error."""
    return RuleViolated(
        aggregate="task", aggregate_id=task_id, command=command, rule=command, reason=reason, remedy=remedy
    )
