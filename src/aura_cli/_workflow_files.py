"""Workflow files: checks them, and writes those that people begin with."""

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from aura_cli._call import Invocation, engine_of
from aura_cli.rendering.formatting import counted
from aura_contracts.errors import InvalidInput
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aura_contracts.errors import Fault


async def validate(call: Invocation) -> int:
    """Print the faults of a file; return the exit code."""
    async with engine_of(call, read_only=True, store="memory:") as engine:
        faults = await engine.workflows.validate(call.arguments.file)
    tell_faults(call, faults)
    errors = [fault for fault in faults if fault.severity == "error"]
    if not errors:
        warnings = f", {counted(len(faults), 'warning')}" if faults else ""
        call.terminal.say(f"{call.arguments.file} is valid{warnings}")
    return 1 if errors else 0


def tell_faults(call: Invocation, faults: "Sequence[Fault]") -> None:
    """Print faults, one per line."""
    for fault in faults:
        call.terminal.item(attrs.asdict(fault), one_line(str(fault)))


async def write_starter(call: Invocation) -> None:
    """Write a file to begin with, or list the names of these files."""
    from aura_engine import starter_names, starter_text

    name, output = call.arguments.template, call.arguments.output
    if name is None:
        for one in starter_names():
            call.terminal.item({"id": one}, one)
        return
    text = starter_text(name)
    if output == "-":
        call.terminal.item({"id": name, "text": text}, text.rstrip("\n"))
        return
    path = Path(output or f"{name}.yaml")
    try:
        with path.open("x", encoding="utf-8") as file:  # noqa: ASYNC230 - nothing else runs
            file.write(text)
    except OSError as error:
        reason = f"{str(path)!r} cannot be written: {error.strerror or error}"
        remedy = "name another file with --output; files that exist are kept"
        raise InvalidInput(field="--output", reason=reason, remedy=remedy) from error
    call.terminal.item({"id": name, "file": str(path)}, one_line(f"{path} is written"))
