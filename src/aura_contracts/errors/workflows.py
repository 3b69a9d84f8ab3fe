"""Errors of what the author of a workflow writes into it, and of what its steps give back."""

from aura_contracts.errors.base import AuraError
from aura_contracts.errors.refusals import InvalidInput


class ExpressionError(AuraError, code="expression"):
    """An expression or template of a workflow has no value."""

    field: str
    """The field of the step that holds it, such as ``when`` or ``inputs.title``."""
    step: str
    """The address of the step; empty for the workflow as a whole."""
    line: int
    reason: str

    def message(self) -> str:
        return f"{self.field}{f' of step {self.step}' if self.step else ''}, line {self.line}: {self.reason}"


class MissingName(ExpressionError, code="missing_name"):
    """An expression uses a name, or a part of a value, that does not exist."""

    name: str


class MissingOutput(ExpressionError, code="missing_output"):
    """An expression reads the output of a step that has none."""

    source: str
    """The address of the step whose output it reads."""
    status: str
    """The status of that step."""
    remedy: str = "test steps.ID.status first, or use the filter default"


class ConditionNotBoolean(ExpressionError, code="condition_not_boolean"):
    """A condition is neither true nor false."""

    kind: str
    """The kind of its value, as JSON calls it."""
    remedy: str = "compare the value, for example with == or >"


class InvalidItems(ExpressionError, code="invalid_items"):
    """The items of a step are not a list, or too many."""


class ExpressionLimit(ExpressionError, code="expression_limit"):
    """An expression or template takes more work or space than one may."""

    remedy: str = "do the work in a command or in an agent's task, and read its output"


class OutputMismatch(AuraError, code="output_mismatch"):
    """The output of a step does not fit the JSON Schema that its author declared."""

    summary = "the output of step {step} does not fit its schema: {path}: {reason}"
    step: str
    path: str
    """The part of the output, such as ``files[2].name``; ``output`` for all of it."""
    reason: str
    remedy: str = "retry the step, or correct its schema"


class InvalidSchema(InvalidInput, code="invalid_schema"):
    """What should be a JSON Schema is not one, or not a supported one; `field` is the path of the fault."""
