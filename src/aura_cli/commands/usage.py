"""``aura usage``: the tokens that agents used, and what they cost."""

from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.parser import finish
from aura_cli.arguments.values import moment
from aura_cli.rendering.formatting import counted
from aura_contracts.ports.archive import UsageCost
from aura_contracts.quoting import one_line

_KINDS = ("run", "session", "task", "agent", "model", "day")

_EPILOG = """\
Costs are tokens at the list price of their day. prices.toml in AURA_HOME
overrides the prices of the models it names, past usage included. A model
without a price counts at the cost that its agent reports.
"""

_TITLES = ("input", "output", "cache read", "cache write", "cost", "models")


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--by", metavar="UNIT", choices=_KINDS, default="task", help="what to group by")
    parser.add_argument("--task", metavar="ID", help="only this task")
    parser.add_argument(
        "--since", metavar="POS|TIME", type=moment, help="only after this position, or from this time on"
    )
    finish(parser, run)


async def run(call: Invocation) -> None:
    """List the usage."""
    given, terminal = call.arguments, call.terminal
    async with engine_of(call, read_only=True) as engine:
        lines = await engine.usage.costs(by=given.by, task=given.task, since=given.since)
    terminal.table(lines, (given.by, *_TITLES), _row, _data)
    total, unpriced = sum(line.cost for line in lines), {model for line in lines for model in line.unpriced}
    terminal.say(f"{counted(len(lines), given.by)}, {_dollars(total)}")
    if unpriced:
        terminal.say(
            f"* without a price: {', '.join(map(_named, sorted(unpriced)))}; counted at the reported cost."
            f" Add prices to {call.settings.home / 'prices.toml'}"
        )
    if incomplete := sum(line.incomplete for line in lines):
        terminal.say(f"+ more was used: {counted(incomplete, 'report')} of agents left something out")


def _data(line: UsageCost) -> dict[str, Any]:
    return {
        "id": line.id,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
        "cache_read_tokens": line.cache_read_tokens,
        "cache_write_tokens": line.cache_write_tokens,
        "cost": float(line.cost),
        "reported_cost": float(line.reported),
        "unpriced": line.unpriced,
        "models": line.models,
        "executors": line.executors,
        "task_ids": line.task_ids,
        "first_day": line.first_day,
        "last_day": line.last_day,
        "reports": line.reports,
        "incomplete": line.incomplete,
    }


def _row(line: UsageCost) -> tuple[str, ...]:
    tokens = (line.input_tokens, line.output_tokens, line.cache_read_tokens, line.cache_write_tokens)
    cost = f"{_dollars(line.cost)}{'*' if line.unpriced else ''}{'+' if line.incomplete else ''}"
    return (line.id or "-", *(f"{count:,}" for count in tokens), cost, ", ".join(line.models) or "-")


def _named(model: str) -> str:
    return one_line(model) if model else "an unnamed model"


def _dollars(amount: Decimal | int) -> str:
    return f"${amount:,.4f}"
