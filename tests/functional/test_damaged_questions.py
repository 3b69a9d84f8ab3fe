"""A question with a damaged event affects itself only, wherever the damage is, and is never shown as answered."""

import sqlite3
from contextlib import closing

import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.approval import ApprovalKind, ApprovalStatus, Question, RequestApproval
from aura_contracts.errors import LogDamaged

pytestmark = pytest.mark.anyio


async def ask(engine):
    """Ask alice; return the id of the question."""
    core = engine._core
    approval_id = core.bus.new_id()
    about = {"task_id": (await engine.tasks.create("Something")).id, "proposed_solution": "May I?"}
    question = Question(kind=ApprovalKind.QUESTION, reviewers=("alice",), **about)
    await core.bus.handle(ENGINE, approval_id, RequestApproval(approval_id=approval_id, question=question))
    return approval_id


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("version", [1, 2])
async def test_the_others_are_listed_found_linked_and_answered(opened, tmp_path, folded, version):
    async with opened() as engine:
        first, damaged, last = [await ask(engine) for _ in range(3)]
        for one in (first, damaged, last):
            await engine.approvals.link(one, base_url="https://aura.example.org", by="alice")
        if folded:
            await engine.approvals.list()
    with closing(sqlite3.connect(tmp_path / "aura.db")) as database, database:
        damage = "UPDATE stored_events SET state = x'00' WHERE originator_id = ? AND originator_version = ?"
        assert database.execute(damage, (damaged, version)).rowcount
    async with opened() as engine:
        listed = {one.id for one in (await engine.approvals.list(pending=True)).rows}
        assert {first, last} <= listed
        links = await engine.links.list()
        assert {first, last} <= {one.approval_id for one in links}
        for one in (first, last):
            assert (await engine.approvals.get(one[-12:])).id == one
            assert len(await engine.links.list(one)) == 1
        for text in (damaged, damaged[-12:]):
            with pytest.raises(LogDamaged) as caught:
                await engine.approvals.get(text)
            assert caught.value.stream_id == damaged
        with pytest.raises(LogDamaged):
            await engine.approvals.approve(damaged, by="alice")
        assert (await engine.approvals.approve(last, by="alice")).status is ApprovalStatus.APPROVED
        if not folded:
            store = next(one for one in await engine.doctor.list() if one.kind == "store")
            assert store.status == "wrong"
            assert damaged in store.text
