"""Policies: a back-test of 100,000 recorded questions with a policy of ten rules, from the store and in memory.

The reference decodes the same questions from JSON with `msgspec`, the least that any program would do with them. In
memory is the pure function alone; from the store, ``engine.policies.test`` also lists every question by pages.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec

from aura_contracts.actors import human, system
from aura_contracts.approval import (
    Approval,
    ApprovalDecision,
    ApprovalGranted,
    ApprovalKind,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalStatus,
    ChangeSize,
    Evidence,
    Question,
    ToolCall,
)
from aura_contracts.events import Append, Fact
from aura_engine import open_engine
from aura_engine.policy.back_test import changed_verdicts
from aura_engine.policy.policy_file import read_policy
from aura_engine.policy.rulebook import Rulebook
from aura_store import open_log
from benchmarks._report import Row, alternate, main
from benchmarks._samples import NOW, new_id

QUESTIONS = 100_000
CEILING = 2.0
"""Seconds for the pure function."""

POLICY = b"""
rules:
  - approve: documentation
    when: {kind: changes, paths: {all: [docs/*, "*.md"]}, added: {at_most: 200}}
    then: {audit: 0.05}
  - approve: small
    when: {kind: changes, files: {at_most: 3}, added: {at_most: 20}, confidence: {at_least: 0.9}}
  - approve: look
    when: {commands: ["git status", "git log *", "ls *"]}
  - approve: tests
    when: {kind: changes, paths: {all: tests/*}, binary: {at_most: 0}}
  - ask: large
    when: {files: {at_least: 30}}
    then: {reviewers: [ann, bob], quorum: 2}
  - ask: night
    when: {hours: {from: "22:00", to: "06:00", zone: Europe/Madrid}}
  - ask: unsure
    when: {confidence: {at_most: 0.3}}
  - reject: lock
    when: {paths: {any: "*.lock"}, files: {at_most: 1}}
    because: Lock files change only with their manifest.
  - never: migrations
    when: {paths: {any: migrations/*}}
  - never: push
    when: {tools: [WebFetch]}
"""


def measure() -> Iterator[Row]:
    asked = list(_questions())
    encoded = [msgspec.json.encode(approval) for approval in asked]
    decoder = msgspec.json.Decoder(Approval)
    book = Rulebook((read_policy(POLICY, "p.yaml").require("p.yaml"),))
    tested, decoded = alternate(
        lambda: _seconds(lambda: changed_verdicts(book, asked)),
        lambda: _seconds(lambda: [decoder.decode(one) for one in encoded]),
        rounds=3,
    )
    yield Row(f"{QUESTIONS:,} questions, in memory", tested, "s", "decoding them", tested / CEILING, 1.0, ceiling=True)
    yield Row("each", tested / QUESTIONS * 1e6, "µs", "decoding one", tested / decoded, None)
    with tempfile.TemporaryDirectory() as folder:
        took = anyio.run(_from_store, Path(folder), asked)
    yield Row(f"{QUESTIONS:,} questions, from the store", took, "s", "the same, in memory", took / tested, None)


def _questions() -> Iterator[Approval]:
    choice = random.Random(7)
    for number in range(QUESTIONS):
        call = number % 4 == 0
        folder = choice.choice(["docs", "src", "tests", "migrations", "src/app"])
        paths = tuple(f"{folder}/file{n}.{choice.choice(['md', 'py', 'lock'])}" for n in range(choice.randint(1, 12)))
        change = ChangeSize(files=len(paths), added=choice.randint(0, 400), deleted=3, paths=paths)
        command = choice.choice(["git status", "git log -3", "make test", "ls src && git push"])
        decision = choice.choice([ApprovalDecision.APPROVED, ApprovalDecision.REJECTED])
        yield Approval(
            id=new_id(),
            kind=ApprovalKind.TOOL_CALL if call else ApprovalKind.CHANGES,
            status=ApprovalStatus(decision),
            reviewers=("alice",),
            task_id=new_id(),
            proposed_solution="" if call else "3 files changed, +20 -3",
            confidence=None if call else choice.random(),
            tool_call=ToolCall("Bash", "f", {"command": command}) if call else None,
            requested_by=system("engine"),
            requested_at=NOW,
            decision=decision,
            reviewed_by=human("alice"),
            evidence=Evidence(executor="claude", creator="alice", change=None if call else change),
        )


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def _from_store(folder: Path, asked: list[Approval]) -> float:
    url = f"sqlite:///{folder / 'aura.db'}"
    async with open_log(url) as log:
        for start in range(0, len(asked), 500):
            await log.append(*map(_append, asked[start : start + 500]))
    file = folder / "p.yaml"
    file.write_bytes(POLICY)
    async with open_engine(url, home=folder, user="alice", read_only=True) as engine:
        await engine.approvals.list()  # catches up
        began = time.perf_counter()
        await engine.policies.test(file)
        return time.perf_counter() - began


def _append(approval: Approval) -> Append:
    fields = {name: getattr(approval, name) for name in Question.__struct_fields__}
    asked = ApprovalRequested(approval_id=approval.id, requested_by=approval.requested_by, question=Question(**fields))
    granted = approval.decision is ApprovalDecision.APPROVED
    answer = ApprovalGranted() if granted else ApprovalRejected(feedback="no")
    facts = [Fact(asked, NOW, system("engine"), "c", "c"), Fact(answer, NOW, human("alice"), "c", "c")]
    return Append(approval.id, 0, tuple(facts))


if __name__ == "__main__":
    main(__doc__.split("\n", 1)[0], measure)
