"""``aura db``: the read models, and what the store holds."""

from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import add_subcommand, add_subcommands

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.ports import EventLog
    from aura_store.projections import BadSnapshot, CheckReport, ReadModels


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    add_subcommand(commands, "check", "compare the read models and snapshots with the log", _check)
    add_subcommand(commands, "rebuild", "rebuild the read models and repair snapshots", _rebuild)
    add_subcommand(commands, "info", "show the size of the store and the state of its read models", _info)


# --- check ------------------------------------------------------------------------------------------------------------


def _check(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    from aura_cli._store import report_absent

    if report_absent(settings, terminal):
        return 0
    report, head = anyio.run(_compared, settings)
    _show_check(report, head, settings, terminal)
    return 0


async def _compared(settings: "Settings") -> "tuple[CheckReport, int]":
    from aura_store import open_log

    async with open_log(settings.store, **settings.reading) as log, _built(log) as models:
        return await models.check(), await log.head()


@asynccontextmanager
async def _built(log: "EventLog") -> "AsyncIterator[ReadModels]":
    """Open the read models as they are. Raises `StoreMisconfigured`, which says how to build them."""
    import attrs

    from aura_contracts.errors import StoreMisconfigured
    from aura_store.projections import open_read_models

    async with AsyncExitStack() as stack:
        try:
            models = await stack.enter_async_context(open_read_models(log, read_only=True))
        except StoreMisconfigured as missing:
            raise attrs.evolve(missing, remedy="run `aura db rebuild`") from missing
        yield models


def _show_check(report: "CheckReport", head: int, settings: "Settings", terminal: "Terminal") -> None:
    """Print what was found and raise it; no closed pipe may hide it."""
    from aura_cli._errors import ReadModelsDiffer

    if not report.ok:
        with suppress(BrokenPipeError):
            _list_findings(report, terminal)
            terminal.flush()
        raise ReadModelsDiffer(rows=len(report.differences), snapshots=len(report.bad_snapshots))
    if terminal.json:
        counts = {"rows": report.rows, "snapshots": report.snapshots, "positions": report.positions, "events": head}
        terminal.write_json({"id": settings.store, "status": "ok", **counts})
    terminal.say(f"{report.rows:,} rows and {report.snapshots:,} snapshots agree with the log")
    reached = min(report.positions.values(), default=0)
    if reached < head:
        terminal.say(f"compared up to position {reached:,} of {head:,}; `aura db rebuild` catches up")


def _list_findings(report: "CheckReport", terminal: "Terminal") -> None:
    from aura_cli.rendering.formatting import change_text
    from aura_cli.rendering.terminal import printable

    for row in report.differences:
        lines = [f"{row.table} {row.id}: {row.kind}", *(f"  {printable(change_text(c))}" for c in row.changes)]
        data = {"id": row.id, "status": row.kind, "table": row.table, "changes": row.changes}
        terminal.item(data, "\n".join(lines))
    for bad in report.bad_snapshots:
        data = {"id": bad.stream_id, "status": "bad_snapshot", "aggregate": bad.aggregate, "reason": bad.reason}
        terminal.item(data, f"snapshot of {bad.aggregate} {bad.stream_id}: {printable(bad.reason)}")


# --- rebuild ----------------------------------------------------------------------------------------------------------


def _rebuild(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    from aura_cli._store import report_absent, require_made

    if report_absent(settings, terminal):
        return 0
    require_made(settings.store)
    position, report = anyio.run(_rebuilt, settings)
    _show_check(report, position, settings, terminal)
    terminal.say(f"the read models were rebuilt up to position {position:,}")
    return 0


async def _rebuilt(settings: "Settings") -> "tuple[int, CheckReport]":
    """Rebuild, then check: what is still wrong then is a defect, or a snapshot."""
    from aura_store import open_log
    from aura_store.projections import open_read_models

    async with open_log(settings.store, **settings.codec) as log, open_read_models(log) as models:
        position = await models.rebuild()
        report = await models.check()
        if report.bad_snapshots:
            for bad in report.bad_snapshots:
                await _mend(log, bad)
            report = await models.check()
        return position, report


async def _mend(log: "EventLog", bad: "BadSnapshot") -> None:
    """Put a snapshot that the stream folds to in the place of one that it does not."""
    import msgspec

    from aura_contracts.aggregates import AGGREGATES
    from aura_contracts.events import Snapshot
    from aura_store.repository import snapshot_schema

    aggregate = next(each for each in AGGREGATES if each.name == bad.aggregate)
    facts = await log.facts(bad.stream_id)
    if len(facts) >= bad.version:
        data = msgspec.json.encode(aggregate.fold(facts))
        await log.save_snapshot(Snapshot(bad.stream_id, len(facts), snapshot_schema(aggregate), data))


# --- info -------------------------------------------------------------------------------------------------------------


def _info(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    from aura_cli._store import report_absent

    if report_absent(settings, terminal):
        return 0
    data = anyio.run(_described, settings, terminal)
    lines = [
        f"store        {data['id']}",
        f"events       {data['events']:,}",
        *(f"  {name:<15} {count:>10,}" for name, count in data["aggregates"].items()),
        f"compression  {data['compression']}",
        f"encryption   {data['encryption']}",
        *(f"{name:<12} {size:,} bytes" for name, size in data["bytes"].items()),
        f"read models  {_positions_text(data['read_models'], data['events'])}",
    ]
    terminal.item(data, "\n".join(lines))
    return 0


def _positions_text(positions: Mapping[str, int] | None, head: int) -> str:
    if positions is None:
        return "not built (`aura db rebuild` builds them)"
    behind = ", ".join(f"{name} is at {position:,}" for name, position in positions.items() if position < head)
    return behind or "at the end of the log"


async def _described(settings: "Settings", terminal: "Terminal") -> dict[str, Any]:
    from aura_contracts.errors import StoreMisconfigured
    from aura_store import open_log

    async with open_log(settings.store, **settings.reading) as log:
        try:
            async with _built(log) as models:
                positions: Mapping[str, int] | None = await models.positions()
        except StoreMisconfigured:
            positions = None
        return {
            "id": log.name,
            "status": "ok",
            "events": await log.head(),
            "aggregates": await _count(log, terminal),
            "compression": settings.compression or "none",
            "encryption": "none" if settings.encryption_key is None else "aes-gcm",
            "bytes": _sizes(settings.store),
            "read_models": positions,
        }


async def _count(log: "EventLog", terminal: "Terminal") -> dict[str, int]:
    """Return how many aggregates of each kind there are; nothing is decoded for it."""
    from collections import Counter

    from aura_cli._lookup import AGGREGATE_OF
    from aura_contracts.catalogue import split_label

    counts: Counter[str] = Counter()
    after, head = 0, await log.head()
    while rows := await log.sealed_page(after):
        for row in rows:
            if row.version == 1:
                aggregate = AGGREGATE_OF.get(split_label(row.topic)[0])
                counts["other" if aggregate is None else aggregate.name] += 1
        after = rows[-1].position
        terminal.progress("counted", after, max(head, after))
    return dict(counts.most_common())


def _sizes(store: str) -> dict[str, int]:
    """Return the sizes of the files of an SQLite store; other stores have none here."""
    from aura_cli._store import sqlite_path

    path = sqlite_path(store)
    if path is None:
        return {}
    files = {"file": path, "write-ahead": path.with_name(f"{path.name}-wal")}
    return {name: file.stat().st_size for name, file in files.items() if file.exists()}
