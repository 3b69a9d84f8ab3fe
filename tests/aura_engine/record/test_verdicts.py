"""Verdicts: which count together, whose they are, and what is expected of an agent that little is known of."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.approval import ApprovalKind, Evidence, RecordSoFar
from aura_contracts.ports.milestones import Milestone, VerdictCount
from aura_engine.record.acceptance import Posterior, pooled
from aura_engine.record.agent_record import AgentRecord
from aura_engine.record.tally import Tally
from aura_engine.record.verdicts import AssessedAgent, Verdicts

pytestmark = pytest.mark.anyio


def counted(
    count, verdict="approved", *, agent="ada", agent_type="tester", kind="changes", model="m", confidence=None, rounds=0
):
    return VerdictCount(
        agent_id=agent,
        executor="x",
        model=model,
        agent_type=agent_type,
        kind=kind,
        verdict=Milestone(verdict),
        confidence=confidence,
        rounds=rounds,
        count=count,
    )


def worker(agent, agent_type="tester", executor="x", model=""):
    return AssessedAgent(agent, agent_type, executor, model)


ADA = Evidence(agent_id="ada", executor="x", model="m", task_type="tester")


def test_a_cell_is_an_agent_with_a_model_for_a_type_of_task_and_a_kind():
    verdicts = Verdicts.of(
        [
            counted(20),
            counted(1, "needs_changes"),
            counted(7, model="other"),
            counted(7, agent_type="developer"),
            counted(7, agent="bob"),
            counted(7, kind="plan"),
        ]
    )
    assert verdicts.so_far(ADA, ApprovalKind.CHANGES) == RecordSoFar(21, pytest.approx(0.801878, abs=1e-6))
    assert verdicts.so_far(ADA, ApprovalKind.PLAN) == RecordSoFar(7, None)
    assert verdicts.so_far(ADA, ApprovalKind.TOOL_CALL) == RecordSoFar(0, None)
    assert verdicts.so_far(ADA, ApprovalKind.QUESTION) is None
    assert verdicts.so_far(Evidence(), ApprovalKind.CHANGES) is None


def test_expectation_goes_from_all_to_the_type_to_the_agent_to_its_work_of_the_type():
    nothing = Verdicts()
    assert nothing.expected(worker("new")) == Posterior()
    others = Verdicts.of([counted(90), counted(10, "rejected")])
    new = others.expected(worker("new"))
    assert new.mean > 0.8
    assert new.a + new.b == pytest.approx(10)
    elsewhere = others.expected(worker("new", "developer")).mean
    assert 0.5 < elsewhere <= new.mean
    others.add([counted(100, "rejected", agent="new")])
    assert others.expected(worker("new")).mean < 0.1
    assert others.expected(worker("new", "developer")).mean < 0.2, (
        "what it did for another type counts for ten verdicts"
    )
    others.add([counted(500, kind="plan", agent="new"), counted(500, kind="tool_call", agent="new")])
    assert others.expected(worker("new")).mean < 0.1, "only changes count"


def test_work_with_another_model_or_executor_is_only_a_prior():
    """A profile names a model shortly, or not at all; programs report its full name."""
    verdicts = Verdicts.of([counted(50, model="claude-opus-4-5-20251101")])
    proven = verdicts.expected(worker("ada"))
    assert proven.a + proven.b == pytest.approx(52)
    assert verdicts.expected(worker("ada", model="opus")) == proven
    assert verdicts.expected(worker("ada", model="claude-opus-4-5-20251101")) == proven
    for other in (worker("ada", model="haiku"), worker("ada", executor="y"), worker("ada", "developer")):
        changed = verdicts.expected(other)
        assert changed.a + changed.b == pytest.approx(10), other
        assert changed.lower < proven.lower
    unnamed = Verdicts.of([counted(50, model=None)])
    assert unnamed.expected(worker("ada", model="opus")) == proven


SAME_MODEL = [
    ("opus", "claude-opus-4-1"),
    ("Opus", "claude-opus-4-5-20251101"),
    ("sonnet", "claude-3-5-sonnet-20241022"),
    ("sonnet", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
    ("opus", "claude-opus-4@20250514"),
    ("opus", "claude-opus-4-6[1m]"),
    ("claude-opus-4-5", "claude-opus-4-5-20251101"),
    ("gpt-5", "gpt-5"),
    ("gpt-5", "openai/gpt-5-2025-08-07"),
    ("gpt-4o", "GPT-4o-2024-08-06"),
    ("mistral-large", "mistral-large-latest"),
    ("a+b", "a+b-2"),
    ("", "anything"),
]
OTHER_MODEL = [
    ("gpt-5", "gpt-5-mini"),
    ("gpt-5", "gpt-5-mini-2025-08-07"),
    ("gpt-5", "gpt-5.1"),
    ("gpt-5", "gpt-50"),
    ("claude-opus-4", "claude-opus-4-1"),
    ("gpt-4o", "gpt-4o-mini"),
    ("llama", "codellama-7"),
    ("gpt-5-mini", "gpt-5"),
    ("opus", "claude-opus-4-1-thinking"),
    ("gpt.5", "gpt-5"),
]


@pytest.mark.parametrize(
    ("named", "reported", "same"), [(*one, True) for one in SAME_MODEL] + [(*one, False) for one in OTHER_MODEL]
)
def test_a_name_means_a_model_whatever_its_version_but_no_model_beside_it(named, reported, same):
    verdicts = Verdicts.of([counted(50, model=reported)])
    expected = verdicts.expected(worker("ada", model=named))
    assert expected.a + expected.b == pytest.approx(52 if same else 10)


amounts = st.integers(1, 50)
verdict_counts = st.builds(
    counted,
    amounts,
    st.sampled_from(["approved", "rejected", "needs_changes"]),
    agent=st.sampled_from(["ada", "bob", None]),
    agent_type=st.sampled_from(["tester", "developer", None]),
    kind=st.sampled_from(["changes", "plan", "tool_call", "question"]),
    model=st.sampled_from(["m", "another", None]),
    confidence=st.none() | st.floats(0, 1),
    rounds=st.integers(0, 2),
)


@given(st.lists(verdict_counts, max_size=12), st.randoms())
def test_the_order_and_the_portions_of_counts_change_nothing(counts, drawn):
    together, apart = Verdicts.of(counts), Verdicts()
    drawn.shuffle(counts)
    for one in counts:
        apart.add([one])
    for agent in ("ada", "bob"):
        assert AgentRecord.of(agent, together, {}) == AgentRecord.of(agent, apart, {})
        assert together.expected(worker(agent)) == apart.expected(worker(agent))


@given(st.lists(verdict_counts, max_size=12))
def test_each_verdict_is_in_one_group_of_the_expectation(counts):
    verdicts = Verdicts.of(counts)
    seen = []
    for one in counts:
        if one.kind == "changes":
            own, same = one.agent_id == "ada", one.agent_type == "tester"
            groups = (own, same and (not own or one.model in ("m", None)))
            seen.append((groups, one.count, one.count * (one.verdict is Milestone.APPROVED)))
    groups = [
        (sum(yes for found, _, yes in seen if found == group), sum(count for found, count, _ in seen if found == group))
        for group in ((False, False), (False, True), (True, False), (True, True))
    ]
    assert verdicts.expected(worker("ada", model="m")) == pooled(groups)


def test_an_agent_record_has_its_evidence_and_what_came_back():
    verdicts = Verdicts.of(
        [
            counted(3, confidence=0.9),
            counted(2, rounds=1),
            counted(1, "rejected", confidence=0.8),
            counted(4, "needs_changes"),
            counted(9, kind="tool_call", confidence=0.1),
            counted(9, kind="question"),
            counted(9, agent="bob"),
        ]
    )
    record = AgentRecord.of("ada", verdicts, {Milestone.COMPLETED: 3, Milestone.REVERTED: 1})
    assert (record.acceptance.approved, record.acceptance.decided) == (5, 10)
    assert [(cell.kind, cell.acceptance.decided) for cell in record.cells] == [("changes", 10), ("tool_call", 9)]
    (cell, _) = record.cells
    assert (cell.at_once, cell.rejected, cell.needs_changes) == (3, 1, 4)
    assert (record.completed, record.reverted, record.reopened, record.failed) == (3, 1, 0, 0)
    assert (record.calibration.answers, record.calibration.brier) == (4, None)
    assert AgentRecord.from_dict(record.as_dict()) == record


async def test_tasks_that_tally_at_once_count_nothing_twice():
    class Reads:
        """Answers in portions, after letting others run."""

        def __init__(self):
            self.asked = 0

        async def verdicts(self, *, since=0):
            self.asked += 1
            await anyio.lowlevel.checkpoint()
            return ((counted(1),), 10) if since < 10 else ((), since)

    reads = Reads()
    tally = Tally(reads)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(tally.current)
    assert (await tally.current()).so_far(ADA, ApprovalKind.CHANGES).count == 1
    assert reads.asked > 5
