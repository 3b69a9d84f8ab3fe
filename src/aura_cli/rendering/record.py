"""Record: how an agent's work was received, as lines for people. Pure."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aura_cli.rendering.formatting import counted
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from aura_engine import Acceptance, AgentRecord, Calibration, CellRecord


def record_lines(record: "AgentRecord") -> Iterator[str]:
    """Yield how an agent's work was received, with the numbers that say so."""
    yield "record, by the answers of humans"
    yield f"  proposals   {_accepted(record.acceptance)}"
    for cell in record.cells:
        yield one_line(f"  {_cell(cell)}")
    ended = f"{record.completed} completed, {record.failed} failed, {record.cancelled} cancelled"
    came_back = f"{record.reopened} reopened, {record.repaired} repaired, {record.reverted} reverted"
    yield f"  tasks       {ended}; afterwards {came_back}"
    yield from _confidence(record.calibration)


def _cell(cell: "CellRecord") -> str:
    about = ", ".join(filter(None, (cell.kind, cell.agent_type, cell.executor, cell.model)))
    answers = f"{cell.at_once} at once, {cell.needs_changes} sent back, {cell.rejected} rejected"
    return f"  {about}: {_accepted(cell.acceptance)}; {answers}"


def _accepted(acceptance: "Acceptance") -> str:
    if not acceptance.decided:
        return "no answer yet"
    bounds = f"90 % interval {percent(acceptance.lower)} to {percent(acceptance.upper)}"
    return f"{acceptance.approved} of {acceptance.decided} approved, {percent(acceptance.mean)}, {bounds}"


def _confidence(calibration: "Calibration") -> Iterator[str]:
    if calibration.brier is None:
        yield f"  confidence  not enough answers: {calibration.answers} of {calibration.needed}"
        return
    parts = ("reliability", "resolution", "uncertainty")
    named = ", ".join(f"{name} {getattr(calibration, name):.3f}" for name in parts)
    yield f"  confidence  Brier score {calibration.brier:.3f} of {calibration.answers:,} answers ({named})"
    for one in calibration.bins:
        stated = f"{percent(one.begin)} to {percent(one.end)}: {counted(one.answers, 'answer')}"
        bounds = f"{percent(one.lower)} to {percent(one.upper)}"
        yield f"    {stated}, stated {percent(one.confidence)}, approved {percent(one.approved)} ({bounds})"


def percent(share: float) -> str:
    """Return a share in percent, without decimals."""
    return f"{100 * share:.0f} %"
