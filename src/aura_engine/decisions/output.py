"""Decisions about output: only AURA records it, chunk by chunk, without repeats or gaps."""

from aura_contracts.errors import DomainRule
from aura_contracts.output import OUTPUT, Chunk, CloseOutput, Output, OutputClosed, OutputRecorded, RecordOutput
from aura_contracts.quoting import is_unicode
from aura_engine.decisions._decider import Context, Decider, Events, NotAllowed, RuleBroken, becomes, is_system


def _require_own(state: Output | None, command: RecordOutput | CloseOutput, context: Context) -> None:
    if not is_system(context):
        raise NotAllowed("only_worker", "AURA records what the processes wrote", "leave it to AURA")
    if state is not None and state.execution_id != command.execution_id:
        reason = f"this is the output of execution {state.execution_id}, not of {command.execution_id}"
        raise RuleBroken("other_execution", reason)


def _is_storable(chunk: Chunk) -> bool:
    """Whether the chunk has an aware time, and holds either bytes or text that every database can store."""
    if chunk.time.utcoffset() is None:
        return False
    if chunk.text is None or chunk.data is not None:
        return chunk.text is None and chunk.data is not None
    return "\0" not in chunk.text and is_unicode(chunk.text)


def _record(state: Output | None, command: RecordOutput, context: Context) -> Events:
    expected = 1 if state is None else state.next
    if command.first > expected:
        reason = f"chunks {expected} to {command.first - 1} are missing"
        raise RuleBroken(DomainRule.SEQUENCE_GAP, reason, f"send the output again from chunk {expected} on")
    if command.first < expected:
        reason = f"the batch starts at chunk {command.first}, but {expected} is next"
        raise RuleBroken("sequence_overlap", reason, f"send the output from chunk {expected} on")
    if not command.chunks:
        raise RuleBroken("empty", "there is no output in the batch")
    for number, chunk in enumerate(command.chunks, command.first):
        if not _is_storable(chunk):
            reason = f"chunk {number} needs an aware time and either bytes, or text without NUL and lone surrogates"
            raise RuleBroken("chunk", reason, "make chunks with Chunk.of")
    return [OutputRecorded(execution_id=command.execution_id, first=command.first, chunks=command.chunks)]


OUTPUT_DECIDER = Decider(
    OUTPUT,
    {
        RecordOutput: (_require_own, _record),
        CloseOutput: (_require_own, becomes(OutputClosed)),
    },
)
