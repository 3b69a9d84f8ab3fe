"""``aura db``: the read models and the size of the store."""

from argparse import ArgumentParser
from contextlib import suppress

from msgspec import structs

from aura_cli._call import Invocation, engine_of, require_made
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.rendering.errors import ReadModelsDiffer
from aura_cli.rendering.formatting import change_text
from aura_cli.rendering.terminal import Terminal
from aura_contracts.ports.archive import StoreReport
from aura_contracts.quoting import one_line


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    add_subcommand(commands, "check", "compare the read models and snapshots with the log", _check)
    add_subcommand(commands, "rebuild", "rebuild the read models and repair snapshots", _rebuild)
    add_subcommand(commands, "info", "show the size of the store and the state of its read models", _info)


async def _check(call: Invocation) -> None:
    require_made(call.settings.store)
    async with engine_of(call, read_only=True) as engine:
        _show(await engine.store.check(), call)


async def _rebuild(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        report = await engine.store.rebuild()
    _show(report, call)
    call.terminal.say(f"the read models were rebuilt up to position {report.position:,}")


def _show(report: StoreReport, call: Invocation) -> None:
    """Print the report, and raise differences even if the reader of stdout has gone away."""
    terminal = call.terminal
    if not report.ok:
        with suppress(BrokenPipeError):
            _list_findings(report, terminal)
            terminal.flush()
        raise ReadModelsDiffer(rows=len(report.differences), snapshots=len(report.bad_snapshots))
    if terminal.json:
        counts = {"rows": report.rows, "snapshots": report.snapshots, "position": report.position}
        terminal.write_json({"id": call.settings.store, "status": "ok", **counts, "events": report.events})
    terminal.say(f"{report.rows:,} rows and {report.snapshots:,} snapshots agree with the log")
    if report.position < report.events:
        terminal.say(f"compared up to position {report.position:,} of {report.events:,}; the next list catches up")


def _list_findings(report: StoreReport, terminal: Terminal) -> None:
    for row in report.differences:
        lines = [f"{row.table} {row.id}: {row.kind}", *(f"  {change_text(c)}" for c in row.changes)]
        data = {"id": row.id, "status": row.kind, "table": row.table, "changes": row.changes}
        terminal.item(data, "\n".join(lines))
    for bad in report.bad_snapshots:
        data = {"id": bad.stream_id, "status": "bad_snapshot", "aggregate": bad.aggregate, "reason": bad.reason}
        terminal.item(data, f"snapshot of {bad.aggregate} {bad.stream_id}: {one_line(bad.reason)}")


async def _info(call: Invocation) -> None:
    if call.is_first():
        if call.terminal.json:
            call.terminal.write_json({"id": call.settings.store, "status": "not_created", "events": 0})
        return
    async with engine_of(call, read_only=True) as engine:
        info = await engine.store.get(on_progress=call.terminal.progress_of("counted"))
    behind = info.read_models < info.events
    lines = [
        f"store        {one_line(info.name)}",
        f"events       {info.events:,}",
        *(f"  {name:<15} {count:>10,}" for name, count in info.aggregates.items()),
        f"compression  {info.compression}",
        f"encryption   {info.encryption}",
        *(f"{name:<12} {size:,} bytes" for name, size in info.bytes.items()),
        f"read models  {f'at position {info.read_models:,}' if behind else 'at the end of the log'}",
    ]
    data = {"id": info.name, "status": "ok", **structs.asdict(info)}
    del data["name"]
    call.terminal.item(data, "\n".join(lines))
