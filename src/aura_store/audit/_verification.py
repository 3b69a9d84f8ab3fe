"""Verification: proof that the log is as it was written.

`verify` reads every row as stored and checks it against its seal, its neighbours and the checkpoints, without needing
the decryption key. It names the first bad event. `checkpoint` records the Merkle root over the log so far in the log
and returns it. Kept elsewhere (in a ticket, a mail, another log), the root later proves that nothing before it was
rewritten, even by someone who could recompute every seal.

    report = await verify(log)
    assert report.first_bad is None, report.first_bad
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import dropwhile
from struct import error as StructError  # noqa: N812 - it is a class

import anyio
import anyio.to_thread

from aura_contracts.actors import Actor
from aura_contracts.catalogue import split_label
from aura_contracts.errors import AuraError, InvalidInput, LogDamaged, VersionConflict
from aura_contracts.events import Append, Fact, SealedRow
from aura_contracts.ids import StreamId
from aura_contracts.ledger import LEDGER_ID, Checkpointed
from aura_contracts.ports import Clock, EventLog, SelfChecking
from aura_contracts.ports.archive import AuditFinding, AuditReport, Progress
from aura_store.audit._merkle import MerkleTree
from aura_store.log._seal import GENESIS, seal

PAGE = 4096
"""Rows read and hashed at once."""

DIGESTS_KEPT = 16_384
"""Streams whose last digest is kept in memory while verifying; the others are looked up again. Bounds memory."""


_BEFORE_FIRST = (0, GENESIS)
"""The version and digest before the first event of a stream."""

_NO_ROW_OF_OURS = (TypeError, ValueError, AttributeError, StructError)
"""Errors raised by a row whose columns do not even have the right types."""


async def verify(
    log: EventLog, *, roots: Mapping[int, str] | None = None, on_progress: Progress | None = None
) -> AuditReport:
    """Check the whole log, up to its head at the start of the call.

    `roots` are Merkle roots (hex) by position, as returned by `checkpoint` and kept elsewhere. Events appended during
    the call are ignored. Raises `StoreUnavailable` if the database goes away; damage is reported, not raised.
    """
    recorded, unread = await _recorded_roots(log)
    auditor = _Auditor(log, recorded, roots or {}, on_progress)
    finding: AuditFinding | None = None
    findings: list[AuditFinding] = []
    failures: list[AuraError] = []

    async def check_database() -> None:
        try:
            findings.extend(await _database_findings(log))
        except AuraError as failure:  # raised below on its own rather than in a group
            failures.append(failure)

    async with anyio.create_task_group() as both:
        both.start_soon(check_database)
        try:
            finding = await auditor.walk(await log.head())
        except LogDamaged as damage:  # of the head itself; the walk reports events
            finding = AuditFinding(damage.position, damage.stream_id, damage.reason)
        except AuraError as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
    if finding:
        findings.insert(0, finding)
    first_bad = findings[0] if findings else None
    return AuditReport(auditor.position, auditor.checkpoints, auditor.tree.root().hex(), first_bad, unread)


async def checkpoint(log: EventLog, *, actor: Actor, clock: Clock, command_id: str) -> Checkpointed:
    """Verify the log, record the Merkle root over all of it in its ledger, and return the recorded event.

    Raises `LogDamaged` if the log does not verify, because a checkpoint vouches for everything before it.
    """
    report = await verify(log)
    if report.first_bad is not None:
        bad = report.first_bad
        raise LogDamaged(store=log.name, stream_id=bad.stream_id, position=bad.position, reason=bad.reason)
    event = Checkpointed(upto=report.events, root=report.root)
    time: datetime = clock()
    while True:
        records = await log.facts(LEDGER_ID)
        fact = Fact(event, time, actor, command_id, command_id)
        try:
            await log.append(Append(LEDGER_ID, len(records), (fact,)))
        except VersionConflict:
            continue
        return event


async def _recorded_roots(log: EventLog) -> tuple[dict[int, set[str]], int]:
    """Return the checkpoints in the ledger (position -> roots), and how many cannot be read without the key.

    Every checkpoint ever made must hold: a later one for the same position does not replace an earlier one. A ledger
    event that does not match its seal vouches for nothing; the walk reports it.
    """
    roots: dict[int, set[str]] = {}
    unread = 0
    for row in await _ledger(log):
        try:
            (fact,) = await log.facts(LEDGER_ID, after=row.version - 1, upto=row.version)
        except LogDamaged:
            unread += split_label(row.topic)[0] == Checkpointed.topic
        else:
            if isinstance(fact.event, Checkpointed):
                roots.setdefault(fact.event.upto, set()).add(fact.event.root.lower())
    return roots, unread


async def _ledger(log: EventLog) -> list[SealedRow]:
    """Return the ledger events that match their seals."""
    sound = []
    with suppress(LogDamaged):
        for row in await log.sealed_stream(LEDGER_ID):
            with suppress(*_NO_ROW_OF_OURS):
                if row.digest == _seal_of(row):
                    sound.append(row)
    return sound


def _seal_of(row: SealedRow) -> bytes:
    """Return the digest that a row should have."""
    return seal(row.previous, row.position, row.version, row.stream_id, row.topic, row.state)


async def _database_findings(log: EventLog) -> list[AuditFinding]:
    """Ask the database to check its own files and indexes, if it can."""
    if not isinstance(log, SelfChecking):
        return []
    try:
        trouble = await log.check()
    except LogDamaged as damage:
        return [AuditFinding(damage.position, damage.stream_id, damage.reason)]
    return [AuditFinding(0, "", trouble)] if trouble else []


class _Auditor:
    """Walks the log in order. `_check` has the checks for a row."""

    def __init__(
        self, log: EventLog, recorded: Mapping[int, set[str]], kept: Mapping[int, str], on_progress: Progress | None
    ) -> None:
        self.log = log
        self.position = 0
        self.tree = MerkleTree()
        self.checkpoints = 0
        self._on_progress = on_progress
        self._page = PAGE
        self._stray: AuditFinding | None = None
        self._roots = {position: set(roots) for position, roots in recorded.items()}
        for position, root in kept.items():
            self._roots.setdefault(position, set()).add(root.lower())
        self._digests: OrderedDict[StreamId, tuple[int, bytes]] = OrderedDict()

    async def walk(self, head: int) -> AuditFinding | None:
        """Check all rows up to `head`; return a finding about the first bad one."""
        while self.position < head:
            if finding := await self._next_page(head):
                return finding
            if self._on_progress is not None:
                self._on_progress(self.position, head)
        if beyond := [position for position in self._roots if position > self.position]:
            reason = f"a checkpoint was made at position {min(beyond)}, but the log ends before it"
            return AuditFinding(self.position + 1, "", reason)
        return await self._beyond_head() or self._stray

    async def _next_page(self, head: int) -> AuditFinding | None:
        """Check the next rows up to `head` or the next checkpoint, whichever comes first.

        A page that the database cannot read is split in halves until the unreadable event is found.
        """
        stops = [position for position in self._roots if position > self.position]
        limit = min(self._page, min([head, *stops]) - self.position)
        try:
            rows = await self._rows_after(self.position, limit)
            if rows and rows[0].position != self.position + 1 and self.position > 0:
                rows = await self._rows_again(limit) or rows
        except LogDamaged as damage:
            if limit == 1:
                return AuditFinding(self.position + 1, damage.stream_id, damage.reason)
            self._page = limit // 2
            return None
        if not rows:
            return AuditFinding(self.position + 1, "", "the event and all later ones are missing")
        await self._fetch_digests(rows)
        return await anyio.to_thread.run_sync(self._check, rows)

    async def _rows_after(self, after: int, limit: int) -> Sequence[SealedRow]:
        """Return the next rows, but not those before the start of the log, which are kept to be reported later."""
        rows = await self.log.sealed_page(after, limit=limit)
        if rows and rows[0].position < 1:
            first = rows[0]
            self._stray = AuditFinding(
                first.position, first.stream_id, "there is an event before the beginning of the log"
            )
            rows = await self.log.sealed_page(after, limit=limit + PAGE)
            rows = list(dropwhile(lambda row: row.position < 1, rows))[:limit]
        return rows

    async def _rows_again(self, limit: int) -> Sequence[SealedRow]:
        """Read the next rows again, this time by a scan that runs up to them.

        If a position is damaged in the file, a database that searches for the rows after another position may go
        astray, and skip sound rows before the damaged one.
        """
        start = max(0, self.position - PAGE)
        rows = await self._rows_after(start, self.position - start + limit)
        return rows[self.position - start :]

    async def _beyond_head(self) -> AuditFinding | None:
        """Look for events after the head. An event and the head that covers it are written together."""
        try:
            rows = await self.log.sealed_page(self.position, limit=1)
        except LogDamaged as damage:
            return AuditFinding(self.position + 1, damage.stream_id, damage.reason)
        if rows and rows[0].position > (head := await self.log.head()):
            return AuditFinding(
                self.position + 1, rows[0].stream_id, f"there are events after position {head}, the head"
            )
        return None

    def _check(self, rows: Sequence[SealedRow]) -> AuditFinding | None:
        digests, expected = self._digests, self.position
        for row in rows:
            expected += 1
            try:
                position, stream_id, version, topic, state, previous, digest = row
                before = digests.get(stream_id, _BEFORE_FIRST)
                sound = (
                    position == expected
                    and before == (version - 1, previous)
                    and digest == seal(previous, position, version, stream_id, topic, state)
                )
                if not sound:
                    return self._finding(row, expected, before)
            except _NO_ROW_OF_OURS:
                return AuditFinding(expected, "", "the event's columns have the wrong types")
            digests[stream_id] = (version, digest)
        self.position = expected
        self.tree.extend([row[-1] for row in rows])
        while len(digests) > DIGESTS_KEPT:
            digests.popitem(last=False)
        return self._check_roots()

    def _finding(self, row: SealedRow, expected: int, before: tuple[int, bytes]) -> AuditFinding:
        """Return the finding about `row`; a missing event is named itself, rather than its successor."""
        if row.position != expected:
            return AuditFinding(expected, "", f"the event is missing; the next one is at {row.position}")
        if row.digest != _seal_of(row):
            reason = f"event {row.version} of the stream ({row.topic}) does not match its seal: it was altered or moved"
        elif row.version != before[0] + 1:
            reason = f"event {row.version} of the stream follows event {before[0]}"
        else:
            reason = f"event {row.version} of the stream is not sealed to the event before it"
        return AuditFinding(row.position, row.stream_id, reason)

    def _check_roots(self) -> AuditFinding | None:
        expected = self._roots.get(self.position)
        if expected is None:
            return None
        root = self.tree.root().hex()
        if expected != {root}:
            wrong = ", ".join(sorted(expected - {root}))
            reason = f"the root of the log up to here is {root}, but a checkpoint says {wrong}: the log was rewritten"
            return AuditFinding(self.position, "", reason)
        self.checkpoints += 1
        return None

    async def _fetch_digests(self, rows: Sequence[SealedRow]) -> None:
        """Look up the predecessors that are neither in this page nor in memory.

        A row whose predecessor cannot even be queried is left to `_check`, which first checks the rows before it.
        """
        unknown = {row.stream_id for row in rows}.difference(self._digests)
        for row in rows if unknown else ():
            if row.stream_id in unknown and row.version != 1:
                with suppress(LogDamaged, InvalidInput, *_NO_ROW_OF_OURS):
                    before = await self.log.sealed_stream(row.stream_id, after=row.version - 2, upto=row.version - 1)
                    if before and before[0].position < row.position:
                        self._digests[row.stream_id] = (before[0].version, before[0].digest)
            unknown.discard(row.stream_id)
