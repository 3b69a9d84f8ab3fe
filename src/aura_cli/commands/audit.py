"""``aura audit``: proof that the log has not been tampered with."""

from argparse import ArgumentParser, ArgumentTypeError
from base64 import b64encode
from contextlib import aclosing, suppress
from typing import Any

import msgspec

from aura_cli._call import Invocation, engine_of, require_made
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.arguments.values import count
from aura_cli.rendering.formatting import counted, event_id
from aura_contracts.errors import LogDamaged
from aura_contracts.events import event_fields
from aura_contracts.ports.archive import AuditReport, SealedEvent

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
        help="checkpoint that you have kept elsewhere",
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


async def _verify(call: Invocation) -> None:
    require_made(call.settings.store)
    async with engine_of(call, read_only=True, auditing=True) as engine:
        roots = dict(call.arguments.root)
        report = await engine.audit.verify(roots=roots, on_progress=call.terminal.progress_of("verified"))
        _show(engine.store.name, report, call)


def _show(store: str, report: AuditReport, call: Invocation) -> None:
    """Print the report, and raise the damage found even if the reader of stdout has gone away."""
    terminal, bad = call.terminal, report.first_bad
    status = "sound" if bad is None else "damaged"
    data: dict[str, Any] = {"id": store, "status": status, **msgspec.to_builtins(report)}
    if bad is None:
        sound = terminal.style("sound", "green", "bold")
        checkpoints = counted(report.checkpoints, "checkpoint")
        terminal.item(data, f"{sound}: {report.events:,} events, {checkpoints}, root {report.root}")
        if report.unread:
            terminal.say(f"{report.unread} checkpoints in the log were not checked; they need AURA_ENCRYPTION_KEY")
        return
    if terminal.json:
        with suppress(BrokenPipeError):
            terminal.write_json(data)
            terminal.flush()
    raise LogDamaged(store=store, stream_id=bad.stream_id, position=bad.position, reason=bad.reason)


async def _checkpoint(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        made = await engine.audit.checkpoint()
    kept = f"{made.upto}={made.root}"
    call.terminal.item({"id": kept, "position": made.upto, "root": made.root}, kept)
    call.terminal.say(f"keep this line elsewhere: `aura audit verify --root {kept}` proves the log up to here")


async def _export(call: Invocation) -> None:
    require_made(call.settings.store)
    async with engine_of(call, read_only=True, auditing=True) as engine:
        exporting = engine.audit.export(since=call.arguments.since, upto=call.arguments.upto)
        async with aclosing(exporting) as events:
            async for event in events:
                call.terminal.write_json(_row_data(event))


def _row_data(event: SealedEvent) -> dict[str, Any]:
    row, record = event.row, event.record
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
