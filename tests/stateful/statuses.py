"""What follows from events, as a judge of whole engines sees it: statuses, and what may still come at the end."""

AFTER = {
    "completed": {"task.reopened", "task.part_added", "task.part_removed"},
    "failed": {
        *("task.edited", "task.part_added", "task.part_removed", "task.queued", "task.completed", "task.assigned"),
        *("task.retried", "task.cancelled", "task.deleted"),
    },
    "cancelled": set(),
    "deleted": set(),
}
"""What may still happen to a task that has ended in each way, besides refusals."""

STATUS_AFTER = {
    "task.queued": "pending",
    "task.assigned": "in_progress",
    "task.unassigned": "pending",
    "task.proposal_submitted": "awaiting_approval",
    "task.decomposition_proposed": "awaiting_approval",
    "task.approved": "approved",
    "task.decomposed": "approved",
    "task.rejected": "rejected",
    "task.revision_started": "in_progress",
    "task.changes_requested": "in_progress",
    "task.blocked": "blocked",
    "task.unblocked": "in_progress",
    "task.completed": "completed",
    "task.failed": "failed",
    "task.cancelled": "cancelled",
    "task.deleted": "deleted",
    "task.retried": "in_progress",
    "task.reopened": "in_progress",
}

QUEUES, UNQUEUES = ("task.queued", "task.unassigned"), ("task.unqueued", "task.assigned")

CLOSED = {
    "approval.approved": "approved",
    "approval.rejected": "rejected",
    "approval.changes_requested": "needs_changes",
    "approval.expired": "expired",
    "approval.withdrawn": "withdrawn",
}

OVER = {"execution.completed": "done", "execution.failed": "failed", "execution.cancelled": "cancelled"}

ACCOUNTS = ("execution.process_exited", "execution.usage_recorded", "execution.message_said", "execution.agent_")
"""What may still be told of a run that has ended."""
