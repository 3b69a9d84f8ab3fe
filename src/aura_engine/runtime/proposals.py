"""Proposals: what a human is asked to approve, as text: the words of the agent, or a summary of its changes."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime

from aura_contracts.entries import AnyEntry, Message
from aura_contracts.execution import MessageSaid, ProcessStarted
from aura_contracts.ids import ExecutionId, output_stream
from aura_contracts.output import OutputRecorded, OutputSource
from aura_contracts.ports import EventLog
from aura_contracts.ports.workspaces import FileSummary, WorkDiff
from aura_contracts.quoting import quoted
from aura_contracts.workspace import Unrecorded
from aura_engine.runtime.output_recorder import pieces
from aura_engine.runtime.session_replay import beginning_of
from aura_engine.unit_of_work import CommandBus

NO_WORDS = "(the agent said nothing)"

WORDS_LIMIT = 64 * 1024
"""Maximum characters of a proposal; longer text keeps its end."""


async def words_of(bus: CommandBus, execution_id: ExecutionId) -> str:
    """Return the agent's messages since its last start, else its output on stdout, else a text that says so."""
    return await said_by(bus, execution_id) or NO_WORDS


async def said_by(bus: CommandBus, execution_id: ExecutionId) -> str:
    """Return the agent's messages since its last start, else its output on stdout; of a long text the end."""
    facts = await bus.log.facts(execution_id)
    started = next(
        (
            index
            for index in range(len(facts) - 1, -1, -1)
            if isinstance(event := facts[index].event, ProcessStarted) and event.token.coding
        ),
        0,
    )
    text = "\n\n".join(fact.event.entry.text for fact in facts[started:] if isinstance(fact.event, MessageSaid))
    if not text.strip() and facts:
        text = await _written(bus.log, execution_id, facts[started].time)
    return text.replace("\0", "").strip()[-WORDS_LIMIT:]


async def last_message(bus: CommandBus, execution_id: ExecutionId, unrecorded: Sequence[AnyEntry] = ()) -> str:
    """Return the agent's last message of this stage, which may not be recorded yet; empty without one."""
    last = next((entry.text for entry in reversed(unrecorded) if isinstance(entry, Message)), None)
    if last is not None:
        return last
    begun = await beginning_of(bus, execution_id)  # what it says may be recorded before its start is
    return next((event.entry.text for event in reversed(begun.since) if isinstance(event, MessageSaid)), "")


async def _written(log: EventLog, execution_id: ExecutionId, since: datetime) -> str:
    """Return the end of the output on stdout since then."""
    end = b""
    async with aclosing(pieces(log, output_stream(execution_id))) as read:
        async for facts in read:
            end += b"".join(
                chunk.raw
                for fact in facts
                if isinstance(fact.event, OutputRecorded) and fact.time >= since
                for chunk in fact.event.chunks
                if chunk.source is OutputSource.STDOUT
            )
            end = end[-4 * WORDS_LIMIT :]  # UTF-8 takes up to four bytes for a character
    return end.decode(errors="backslashreplace")


def summary_of(diff: WorkDiff, unrecorded: Sequence[Unrecorded] = ()) -> str:
    """Return a summary of a diff, one line per file, like ``git diff --stat`` without the bars, with git's quoting.

    What the worktrees hold besides follows, because approving the changes does not take it.
    """
    several = len({file.repository for file in diff.files}) > 1
    lines = [_line(file, several=several) for file in diff.files]
    added, removed = sum(f.added or 0 for f in diff.files), sum(f.removed or 0 for f in diff.files)
    count = f"{len(lines)} file{'s' if len(lines) != 1 else ''} changed, +{added} -{removed}"
    return "\n".join([count, *lines, *_beside(unrecorded)])


_SHOWN = 50
"""The most lines about what is not part of the work."""


def _beside(unrecorded: Sequence[Unrecorded]) -> list[str]:
    if not unrecorded:
        return []
    several = len({one.repository for one in unrecorded}) > 1
    lines = [f"-  {quoted(one.repository)}: {one}" if several else f"-  {one}" for one in unrecorded[:_SHOWN]]
    more = [f"-  and {len(unrecorded) - _SHOWN} more"] if len(unrecorded) > _SHOWN else []
    return ["", "Not part of the work, and not merged:", *lines, *more]


_LETTERS = {"added": "A", "modified": "M", "deleted": "D", "renamed": "R", "type_changed": "T"}


def _line(file: FileSummary, *, several: bool) -> str:
    where = f"{quoted(file.repository)}: " if several else ""
    name = f"{quoted(file.old_path)} -> {quoted(file.path)}" if file.old_path else quoted(file.path)
    lines = "binary" if file.added is None else f"+{file.added} -{file.removed}"
    return f"{_LETTERS.get(file.kind, '?')}  {where}{name}  {lines}"
