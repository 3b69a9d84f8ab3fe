"""Errors of workflows: of what they are started from, and of waiting for them."""

from typing import TYPE_CHECKING

from aura_contracts.errors.base import AuraError, Recovery
from aura_contracts.errors.refusals import InvalidInput

if TYPE_CHECKING:
    from aura_contracts.failures import Failure


class UnknownDefinition(InvalidInput, code="unknown_definition"):
    """A workflow refers to a definition, or a revision of one, that is not stored or was retired."""

    name: str
    remedy: str = "store it, restore it, or name another one"


class CyclicDefinitions(InvalidInput, code="cyclic_definitions"):
    """A workflow would start itself, by itself or through others; `path` leads from it back to it."""

    path: tuple[str, ...]
    reason: str = "it would start itself"
    remedy: str = "use a loop step to repeat steps"

    def message(self) -> str:
        return f"{self.field}: {self.reason}: {' > '.join(self.path)}"


class WorkflowRunFailed(AuraError, code="workflow_run_failed"):
    """A workflow failed; `failure` has the details. Unless that was final, a retried or skipped step continues it."""

    workflow_id: str
    reason: str
    """A `FailureReason`."""
    problem: str = ""
    failed_steps: tuple[str, ...] = ()
    """The addresses of the steps that have failed."""

    @property
    def failure(self) -> "Failure":
        """The failure as the workflow records it."""
        from aura_contracts.failures import Failure, FailureReason  # noqa: PLC0415 - msgspec, which not all need

        return Failure(FailureReason(self.reason), self.problem)

    def message(self) -> str:
        problem = f": {self.problem}" if self.problem else ""
        steps = f" (in {', '.join(self.failed_steps)})" if self.failed_steps else ""
        return f"workflow {self.workflow_id} failed: {self.reason}{problem}{steps}"


class WorkflowRunCancelled(AuraError, code="workflow_run_cancelled"):
    """A workflow was cancelled."""

    summary = "workflow {workflow_id} is cancelled"
    workflow_id: str


class WorkflowNotDriven(AuraError, code="workflow_not_driven"):
    """A workflow has not ended, but no engine drives it: its engine died, or only recorded it.

    Nothing is lost. An engine that takes it on continues where the last one stopped.
    """

    summary = "workflow {workflow_id} is {status}, and no engine drives it"
    recovery = Recovery.LATER
    workflow_id: str
    status: str
    remedy: str = "advance it, or open an engine that drives all"
