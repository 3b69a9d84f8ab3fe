"""Errors of what people write: files with policies and workflows, and definitions of workflows in programs."""

from typing import Literal

import attrs

from aura_contracts.errors.refusals import InvalidInput


@attrs.frozen(kw_only=True)
class Fault:
    """A fault in a file; lines and columns count from 1. A warning does not keep the file from being used."""

    file: str
    line: int
    column: int
    code: str
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        mark = "warning: " if self.severity == "warning" else ""
        return f"{self.file}:{self.line}:{self.column}: {mark}{self.message}"


class InvalidFile(InvalidInput, code="invalid_file"):
    """A file has faults, all of which it lists."""

    faults: tuple[Fault, ...]
    reason: str = "the file has faults"

    def message(self) -> str:
        return "\n".join(map(str, self.faults))


@attrs.frozen
class DefinitionFault:
    """A fault in the definition of a workflow. A warning does not keep the definition from being used."""

    path: tuple[str | int, ...]
    """The keys and indices that lead to it, as in a file: ``("steps", 0, "cases", 1, "when")``."""
    code: str
    message: str
    other: tuple[str | int, ...] | None = None
    """The place of what the message mentions last, if it mentions another place."""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        mark = "warning: " if self.severity == "warning" else ""
        end = "" if self.other is None else f", at {dotted(self.other)}"
        return f"{dotted(self.path) or 'workflow'}: {mark}{self.message}{end}"


def dotted(path: tuple[str | int, ...]) -> str:
    """Return a path as people write it.

    >>> dotted(("steps", 0, "cases", 1, "when"))
    'steps[0].cases[1].when'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


class InvalidDefinition(InvalidInput, code="invalid_definition"):
    """The definition of a workflow has faults, all of which it lists."""

    faults: tuple[DefinitionFault, ...]
    reason: str = "the definition has faults"

    def message(self) -> str:
        return "\n".join(map(str, self.faults))
