"""Step ids: the ids of what steps start. They are derived (UUIDv5), so to start something twice is to start it once."""

from uuid import UUID, uuid5

from aura_contracts.ids import ApprovalId, TaskId, WorkflowId


def _derived(workflow_id: WorkflowId, address: str, attempt: int, kind: str) -> str:
    return str(uuid5(UUID(workflow_id), f"{kind}:{attempt}:{address}"))


def task_of(workflow_id: WorkflowId, address: str, attempt: int) -> TaskId:
    """Return the id of the task of an attempt, counted from 1, of an agent_task or a command."""
    return TaskId(_derived(workflow_id, address, attempt, "task"))


def approval_of(workflow_id: WorkflowId, address: str, attempt: int) -> ApprovalId:
    """Return the id of the approval of an attempt of a human_approval."""
    return ApprovalId(_derived(workflow_id, address, attempt, "approval"))


def child_of(workflow_id: WorkflowId, address: str, attempt: int) -> WorkflowId:
    """Return the id of the sub-workflow of an attempt of a workflow step."""
    return WorkflowId(_derived(workflow_id, address, attempt, "workflow"))
