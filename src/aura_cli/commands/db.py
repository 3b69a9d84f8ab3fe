"""``aura db``: the read models and what is in the store."""

from argparse import ArgumentParser, Namespace
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aura_cli._arguments import add_subcommand, add_subcommands

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli._terminal import Terminal
    from aura_contracts.ports import EventLog
    from aura_store.read_models import CheckReport


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    add_subcommand(commands, "check", "compare the read models and the snapshots with the log; changes nothing", _check)
    add_subcommand(commands, "rebuild", "fold the read models anew from the log, and mend snapshots", _rebuild)
    add_subcommand(commands, "info", "say what is in the store, how large it is, how far the read models are", _info)


# --- check ------------------------------------------------------------------------------------------------------------


def _check(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    report, head = anyio.run(_compared, settings)
    _show_check(report, head, settings, terminal)
    return 0


async def _compared(settings: "Settings") -> "tuple[CheckReport, int]":
    from aura_store import open_log
    from aura_store.read_models import check_read_models, open_read_models

    async with open_log(settings.store, **settings.reading) as log, open_read_models(log) as models:
        return await check_read_models(models), await log.head()


def _show_check(report: "CheckReport", head: int, settings: "Settings", terminal: "Terminal") -> None:
    """Print what was found and raise it; no closed pipe may hide it."""
    from aura_cli._errors import ReadModelsDiffer

    if not report.ok:
        with suppress(BrokenPipeError):
            _list_findings(report, terminal)
            terminal.flush()
        raise ReadModelsDiffer(rows=len(report.differences), snapshots=len(report.bad_snapshots))
    if terminal.json:
        counts = {"rows": report.rows, "snapshots": report.snapshots, "position": report.position, "events": head}
        terminal.write_json({"id": settings.store, "status": "ok", **counts})
    terminal.say(f"{report.rows:,} rows and {report.snapshots:,} snapshots say what the log says")


def _list_findings(report: "CheckReport", terminal: "Terminal") -> None:
    from aura_cli._terminal import printable
    from aura_cli._words import change_text

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

    from aura_cli._store import require_made

    require_made(settings.store)
    position, report = anyio.run(_rebuilt, settings)
    _show_check(report, position, settings, terminal)
    terminal.say(f"the read models were rebuilt up to position {position:,}")
    return 0


async def _rebuilt(settings: "Settings") -> "tuple[int, CheckReport]":
    """Rebuild, then check: what is still wrong then is a bug, or a snapshot."""
    from aura_store import open_log
    from aura_store.read_models import check_read_models, open_read_models, repair_snapshot

    async with open_log(settings.store, **settings.codec) as log, open_read_models(log) as models:
        position = await models.rebuild()
        report = await check_read_models(models)
        if report.bad_snapshots:
            for bad in report.bad_snapshots:
                await repair_snapshot(log, bad)
            report = await check_read_models(models)
        return position, report


# --- info -------------------------------------------------------------------------------------------------------------


def _info(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    data = anyio.run(_described, settings, terminal)
    lines = [
        f"store        {data['id']}",
        f"events       {data['events']:,}",
        *(f"  {name:<15} {count:>10,}" for name, count in data["aggregates"].items()),
        f"compression  {data['compression']}",
        f"encryption   {data['encryption']}",
        *(f"{name:<12} {size:,} bytes" for name, size in data["bytes"].items()),
        f"read models  at position {data['read_models']:,}",
    ]
    terminal.item(data, "\n".join(lines))
    return 0


async def _described(settings: "Settings", terminal: "Terminal") -> dict[str, Any]:
    from aura_store import open_log
    from aura_store.read_models import open_read_models

    async with open_log(settings.store, **settings.reading) as log, open_read_models(log) as models:
        return {
            "id": log.name,
            "status": "ok",
            "events": await log.head(),
            "aggregates": await _count(log, terminal),
            "compression": settings.compression or "none",
            "encryption": "none" if settings.encryption_key is None else "aes-gcm",
            "bytes": _sizes(settings.store),
            "read_models": await models.position(),
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


_FILES = {"file": "", "write-ahead": "-wal", "read models": ".models"}


def _sizes(store: str) -> dict[str, int]:
    """Return the sizes of the files of an SQLite store; other stores have none here."""
    from aura_contracts.store_url import StoreUrl

    path = StoreUrl.parse(store).path
    if path is None:
        return {}
    files = {name: path.with_name(path.name + end) for name, end in _FILES.items()}
    return {name: file.stat().st_size for name, file in files.items() if file.exists()}
