"""``aura usage``: the tokens that agents used, and what they cost."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_store.usage import UsageCost

_KINDS = ("run", "session", "task", "agent", "model", "day")

_EPILOG = """\
Costs are tokens at the list price of their day. prices.toml in AURA_HOME
overrides the prices of the models it names, past usage included. A model
without a price counts with the cost that its agent reports.
"""

_TITLES = ("input", "output", "cache read", "cache write", "cost", "models")


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    from aura_cli.arguments.times import moment

    parser.epilog = _EPILOG
    parser.add_argument("--by", metavar="UNIT", choices=_KINDS, default="task", help="what to add up by")
    parser.add_argument("--task", metavar="ID", help="only this task")
    parser.add_argument(
        "--since", metavar="POS|TIME", type=moment, help="only after this position, or from this time on"
    )
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """List the usage."""
    import anyio

    from aura_cli.rendering.formatting import counted

    lines = anyio.run(_found, arguments, settings, terminal)
    terminal.table([(_data(line), _row(line)) for line in lines], (arguments.by, *_TITLES))
    total, unpriced = sum(line.cost for line in lines), {model for line in lines for model in line.unpriced}
    terminal.say(f"{counted(len(lines), arguments.by)}, {_dollars(total)}")
    if unpriced:
        terminal.say(
            f"* without a price: {', '.join(map(_named, sorted(unpriced)))}; counted at the reported cost."
            f" Add prices to {settings.home / 'prices.toml'}"
        )
    return 0


async def _found(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> "Sequence[UsageCost]":
    """Fold the log; prices are read before it, so that a mistake in them is told at once."""
    from aura_cli._lookup import find_id
    from aura_cli._reading import reading
    from aura_store.prices import read_prices
    from aura_store.usage import By, cost_of, usage_of

    own = settings.home / "prices.toml"
    prices = read_prices(*([own] if own.is_file() else []))
    async with reading(settings, terminal) as log:
        task = None if arguments.task is None else await find_id(log, arguments.task, "task")
        return cost_of(await usage_of(log, task=task, since=arguments.since), prices, by=By(arguments.by))


def _data(line: "UsageCost") -> dict[str, Any]:
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
    }


def _row(line: "UsageCost") -> tuple[str, ...]:
    tokens = (line.input_tokens, line.output_tokens, line.cache_read_tokens, line.cache_write_tokens)
    cost = f"{_dollars(line.cost)}{'*' if line.unpriced else ''}"
    return (line.id or "-", *(f"{count:,}" for count in tokens), cost, ", ".join(line.models) or "-")


def _named(model: str) -> str:
    from aura_cli.rendering.terminal import printable

    return printable(model) if model else "an unnamed model"


def _dollars(amount: "Decimal | int") -> str:
    return f"${amount:,.4f}"
