"""Errors of files that people write: policies and workflows."""

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
