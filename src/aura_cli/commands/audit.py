"""``aura audit``: proof that the log has not been tampered with."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.events import SealedRow
    from aura_contracts.ports import EventLog
    from aura_store.audit import AuditReport

_EXPORT = """\
One JSON object per line and event, with the row as it is stored (state in
base64, digests in hex) and the fact that it records. To check it without AURA,
compute for each row

  SHA-256(previous + position + version + len(stream_id) + len(type_label)
          + stream_id + type_label + state)

with big-endian integers of 8, 8, 2 and 2 bytes, and compare it with digest;
previous is the digest of the row before it in the same stream, 32 zero bytes
for the first.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    verify = add_subcommand(
        commands,
        "verify",
        "check the seal of every event; name the first that was tampered with",
        _verify,
    )
    verify.add_argument(
        "--root",
        metavar="POS=HEX",
        type=_root,
        action="append",
        default=[],
        help="checkpoint that you kept elsewhere",
    )
    add_subcommand(commands, "checkpoint", "verify, then record and print a root over the whole log", _checkpoint)
    export = add_subcommand(commands, "export", "print the sealed rows and their facts for an auditor", _export)
    export.epilog = _EXPORT
    export.add_argument("--since", metavar="POS", type=count, default=0, help="only events after this position")
    export.add_argument("--upto", metavar="POS", type=count, help="only events up to this position")


def _root(text: str) -> tuple[int, str]:
    position, _, root = text.partition("=")
    if count(position) < 1 or len(root) != 64 or root.lower().strip("0123456789abcdef"):
        raise ArgumentTypeError(f"{text!r} is not a position and 64 hexadecimal digits, such as 57=0a1b...")
    return int(position), root.lower()


# --- verify -----------------------------------------------------------------------------------------------------------


def _verify(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    from aura_cli._store import report_absent

    if report_absent(settings, terminal):
        return 0
    store, report = anyio.run(_verified, arguments, settings, terminal)
    _show(store, report, terminal)
    return 0


async def _verified(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> "tuple[str, AuditReport]":
    from aura_store import open_log
    from aura_store.audit import verify

    async with open_log(settings.store, auditing=True, **settings.reading) as log:
        report = await verify(
            log,
            roots=dict(arguments.root),
            on_progress=lambda done, total: terminal.progress("verified", done, total),
        )
        return log.name, report


def _show(store: str, report: "AuditReport", terminal: "Terminal") -> None:
    """Print the report; raise what was found, which no closed pipe may hide."""
    from contextlib import suppress

    import attrs

    from aura_contracts.errors import LogDamaged

    bad = report.first_bad
    data: dict[str, Any] = {"id": store, "status": "sound" if bad is None else "damaged"}
    data |= attrs.asdict(report)
    if bad is None:
        checkpoints = f"{report.checkpoints} checkpoint{'s' * (report.checkpoints != 1)}"
        sound = terminal.style("sound", "green", "bold")
        terminal.item(data, f"{sound}: {report.events:,} events, {checkpoints}, root {report.root}")
        if report.unread:
            terminal.say(f"{report.unread} checkpoints in the log were not checked; they need AURA_ENCRYPTION_KEY")
        return
    if terminal.json:
        with suppress(BrokenPipeError):
            terminal.write_json(data)
            terminal.flush()
    raise LogDamaged(store=store, stream_id=bad.stream_id, position=bad.position, reason=bad.reason)


# --- checkpoint -------------------------------------------------------------------------------------------------------


def _checkpoint(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_record_checkpoint, settings, terminal)
    return 0


async def _record_checkpoint(settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._settings import acting_user
    from aura_cli._store import require_made
    from aura_engine.machine import new_ids, now
    from aura_store import open_log
    from aura_store.audit import checkpoint

    require_made(settings.store)
    async with open_log(settings.store, **settings.codec) as log:
        made = await checkpoint(log, actor=acting_user(), clock=now, command_id=new_ids()())
    kept = f"{made.upto}={made.root}"
    terminal.item({"id": kept, "position": made.upto, "root": made.root}, kept)
    terminal.say(f"keep this line elsewhere: `aura audit verify --root {kept}` proves the log up to here")


# --- export -----------------------------------------------------------------------------------------------------------


def _export(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    import anyio

    anyio.run(_write_rows, arguments, settings, terminal)
    return 0


async def _write_rows(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._reading import reading

    async with reading(settings, terminal) as log:
        after, head = arguments.since, await log.head()
        last = head if arguments.upto is None else min(arguments.upto, head)
        while after < last and (rows := await log.sealed_page(after, limit=min(1000, last - after))):
            facts = await _facts(log, after, rows)
            for row in rows:
                if row.position <= last:
                    terminal.write_json(_row_data(row, facts.get(row.position)))
            after = rows[-1].position


async def _facts(log: "EventLog", after: int, rows: "Sequence[SealedRow]") -> dict[int, Any]:
    """Return what the rows say, by position; an event that does not decode says nothing, and its row is exported."""
    from aura_contracts.errors import LogDamaged

    try:
        return {record.position: record for record in await log.page(after, limit=len(rows))}
    except LogDamaged:
        if len(rows) == 1:
            return {}
    half = len(rows) // 2
    return await _facts(log, after, rows[:half]) | await _facts(log, rows[half - 1].position, rows[half:])


def _row_data(row: "SealedRow", record: Any) -> dict[str, Any]:
    from base64 import b64encode

    from aura_cli.rendering.formatting import event_id
    from aura_contracts.events import event_fields

    fact = record and {
        "type": record.event.topic,
        "time": record.time,
        "actor": record.actor,
        "correlation_id": record.correlation_id,
        "causation_id": record.causation_id,
        "fields": event_fields(record.event),
    }
    return {
        "id": event_id(row.stream_id, row.version),
        "position": row.position,
        "stream_id": row.stream_id,
        "version": row.version,
        "type_label": row.topic,
        "state": b64encode(row.state).decode(),
        "previous": row.previous.hex(),
        "digest": row.digest.hex(),
        "fact": fact,
    }
