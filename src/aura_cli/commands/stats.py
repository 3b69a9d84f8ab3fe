"""``aura stats``: how work went, in numbers: a table, data, or a picture."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.parser import finish
from aura_cli.arguments.values import age_or_time
from aura_cli.rendering.formatting import counted, time_text
from aura_cli.rendering.record import percent

if TYPE_CHECKING:
    from aura_engine import Metrics

_EPILOG = """\
Acceptance and time to approval are those of proposals, by the answers of
humans. A share of nothing is shown as -. The picture needs the extra plot:
pip install "aura-core[plot]"
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    when = "30d, 12h, a date or a time"
    parser.add_argument("--since", metavar="WHEN", type=age_or_time, help=f"from then on: {when} (default: 30d)")
    parser.add_argument("--until", metavar="WHEN", type=age_or_time, help="before then (default: now)")
    parser.add_argument("--plot", metavar="FILE", help="also draw them into this file: .svg or .png")
    finish(parser, run)


async def run(call: Invocation) -> None:
    """Show the metrics."""
    given, terminal = call.arguments, call.terminal
    if given.plot is not None:
        from aura_cli.rendering.plot import require_drawable

        require_drawable(given.plot)
    async with engine_of(call, read_only=True) as engine:
        metrics = await engine.stats.get(since=given.since, until=given.until)
    terminal.item(metrics.as_dict(), "\n".join(_lines(metrics)))
    if given.plot is not None:
        from aura_cli.rendering.plot import draw

        draw(metrics, given.plot)
        terminal.say(f"{given.plot} written")


def _lines(metrics: "Metrics") -> Iterator[str]:
    ended = f"{metrics.completed:,} of {metrics.completed + metrics.failed + metrics.cancelled:,} that ended"
    rows = [
        ("tasks created per day", f"{metrics.created_per_day:,.2f}", counted(metrics.created, "task")),
        ("average time to approval", _time(metrics.time_to_approval), counted(metrics.approved, "approved proposal")),
        ("agent utilization", _share(metrics.utilization), counted(len(metrics.agents), "agent")),
        ("approval acceptance rate", _share(metrics.acceptance_rate), f"{metrics.approved:,} of {metrics.decided:,}"),
        ("task completion rate", _share(metrics.completion_rate), ended),
        ("error rate", _share(metrics.error_rate), f"{metrics.runs_failed:,} of {counted(metrics.runs, 'run')}"),
    ]
    rows += (
        (f"  {one.agent_type}", _share(one.error_rate), f"{one.failed:,} of {counted(one.runs, 'run')}")
        for one in metrics.agent_types
    )
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    yield f"from {time_text(metrics.since)} to {time_text(metrics.until)}"
    for name, value, evidence in rows:
        yield f"{name.ljust(widths[0])}  {value.rjust(widths[1])}  {evidence}"


def _share(share: float | None) -> str:
    return "-" if share is None else percent(share)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
