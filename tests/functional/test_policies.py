"""Policies decide: on real runs, what they approve, reject, and leave to a human, and what nobody can override."""

from datetime import timedelta

import pytest

from aura_contracts.approval import ApprovalKind, ApprovalStatus, PoliciesApplied, PolicyVerdict
from aura_contracts.errors import InvalidFile, InvalidInput
from aura_contracts.task import TaskStatus
from aura_engine.clockwork import wall_clock
from aura_engine.host import Host, now
from conditions import until
from engines import ONCE, all_questions, events_of, next_question, open_questions, scripted, settled, write
from repositories import make_repository

pytestmark = pytest.mark.anyio

DOCUMENTATION = """
rules:
  - approve: documentation
    when:
      kind: changes
      paths: {all: ["docs/*", "*.md"]}
      added: {at_most: 10}
"""


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def policy(repository):
    """Write the policy of the repository, in the checkout of its user."""

    def set_policy(text):
        folder = repository / ".aura"
        folder.mkdir(exist_ok=True)
        (folder / "policies.yaml").write_text(text)

    return set_policy


async def ran(engine, repository, *rounds, **options):
    run = await engine.run("Go", repositories=[str(repository)], **scripted(*rounds), **options)
    return await settled(engine, run.id)


def ask(command, *then):
    return {"ask": {"tool": "Bash", "arguments": {"command": command}, "then": list(then)}}


@pytest.mark.deep
async def test_changes_that_a_policy_approves_are_merged_without_a_human(opened, repository, policy):
    policy(DOCUMENTATION)
    async with opened() as engine:
        task = await ran(engine, repository, [write("docs/new.md", "x\n")])
        assert task.status is TaskStatus.COMPLETED
        (approval,) = await all_questions(engine, task.id)
        assert (approval.status, approval.reviewed_by) == (ApprovalStatus.APPROVED, "system:policy")
        decision = approval.policy
        assert decision.verdict is PolicyVerdict.APPROVE
        assert [(match.policy, match.rule, match.line) for match in decision.matched] == [("app", "documentation", 3)]
        assert decision.values == {"kind": "changes", "paths": ["docs/new.md"], "added": 1}
        assert len(decision.policies[0].digest) == 64
        assert [type(event) for event in await events_of(engine, approval.id)][1] is PoliciesApplied
        task = await ran(engine, repository, [write("code.py", "x\n")])
        assert task.status is TaskStatus.AWAITING_APPROVAL, "nothing matched"


@pytest.mark.deep
async def test_never_asks_a_human_even_where_everything_is_approved_in_advance(opened, repository, policy):
    policy("rules:\n  - never: migrations\n    when: {paths: {any: migrations/*}}\n    then: {reviewers: [bob]}\n")
    async with opened() as engine:
        task = await ran(engine, repository, [write("migrations/1.sql", "x\n")], approval="auto")
        assert task.status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, task.id)
        assert (question.policy.verdict, question.reviewers) == (PolicyVerdict.NEVER, ("bob",))
        await engine.approvals.approve(question.id, by="bob")
        assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED
        task = await ran(engine, repository, [write("other.sql", "x\n")], approval="auto")
        assert task.status is TaskStatus.COMPLETED


async def test_changes_are_held_back_where_it_is_unknown_whether_a_rule_rejects_them(opened, repository, policy):
    policy("rules:\n  - reject: model\n    when: {kind: changes, model: opus}\n    because: Use another model.\n")
    async with opened() as engine:
        task = await ran(engine, repository, [write("a.md", "x\n")], approval="auto")
        assert task.status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, task.id)
        assert (question.policy.verdict, question.needs_human) == (PolicyVerdict.ASK, True)


@pytest.mark.deep
async def test_a_policy_rejects_with_its_words_until_a_human_has_to_look(opened, repository, policy):
    policy(
        "rules:\n  - reject: lock\n    when: {paths: {any: '*.lock'}}\n"
        "    because: Lock files change only with their manifest.\n"
    )
    rounds = [[write("a.lock", f"{number}\n")] for number in range(4)]
    async with opened() as engine:
        task = await ran(engine, repository, *rounds)
        assert task.status is TaskStatus.AWAITING_APPROVAL
        asked = await all_questions(engine, task.id)
        assert [one.status for one in asked] == [*[ApprovalStatus.REJECTED] * 3, ApprovalStatus.PENDING]
        assert asked[0].feedback == "Lock files change only with their manifest."
        assert "3 times" in asked[-1].policy.reason


@pytest.mark.deep
async def test_an_agent_does_not_write_its_own_policy(opened, repository, policy):
    policy(DOCUMENTATION.replace('"docs/*", ', '".aura/*", "docs/*", '))
    async with opened() as engine:
        own = write(".aura/policies.yaml", "rules:\n  - approve: all\n    when: always\n")
        for approval in ("changes", "auto"):
            task = await ran(engine, repository, [own], approval=approval)
            assert task.status is TaskStatus.AWAITING_APPROVAL
            (question,) = await open_questions(engine, task.id)
            assert ".aura/policies.yaml" in question.policy.reason
            assert question.needs_human


async def test_work_in_the_checkout_begins_with_the_policies_that_are_there(opened, repository, policy):
    policy(DOCUMENTATION)
    async with opened(record_only=True) as engine:
        in_place = await engine.tasks.create("Go", repositories=[str(repository / ".aura")], in_place=True)
        (kept,) = (await engine.workspaces.get(in_place.id)).policies
        assert (kept.file, kept.text) == (str(repository / ".aura" / "policies.yaml"), DOCUMENTATION)
        apart = await engine.tasks.create("Go", repositories=[str(repository)])
        assert (await engine.workspaces.get(apart.id)).policies == ()


async def test_tool_calls_are_answered_by_policies_and_never_beats_every_answer_given_before(
    opened, repository, policy
):
    policy(
        "rules:\n"
        "  - approve: look\n    when: {commands: ['git status', 'git log *']}\n"
        "  - never: push\n    when: {commands: 'git push *'}\n"
        "  - reject: force\n    when: {tools: 'Bash(rm *)'}\n    because: Nothing is removed here.\n"
    )
    steps = [ask("git status"), ask("rm -r x", write("removed", "x")), ask("git push"), write("a.md", "x\n")]
    async with opened() as engine:
        run = await engine.run(
            "Go", repositories=[str(repository)], allow=["Bash(git *)"], approval="auto", **scripted(steps)
        )
        question = await next_question(engine, run.id)
        assert question.tool_call.arguments == {"command": "git push"}
        assert question.needs_human
        await engine.approvals.approve(question.id, remember="task")
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        answers = {one.tool_call.arguments["command"]: one for one in await all_questions(engine, run.id)}
        assert [answers[command].status.value for command in ("git status", "rm -r x", "git push")] == [
            "approved",
            "rejected",
            "approved",
        ]
        assert answers["rm -r x"].feedback == "Nothing is removed here."
        assert answers["git push"].reviewed_by == "human:alice"
        assert not (repository / "removed").exists()


async def test_an_agent_that_asks_nothing_is_refused_where_a_policy_demands_a_human_for_its_calls(
    opened, repository, policy, tmp_path
):
    folder = repository / "sub"
    folder.mkdir()
    other = make_repository(tmp_path / "other", {"README": "hello\n"})
    silent = {"executor": "custom", "options": {"base_command": "false"}, "approval": "auto", "retry": ONCE}
    async with opened() as engine:
        begun = await engine.run("Go", repositories=[str(repository)], **silent)
        assert (await settled(engine, begun.id)).status is TaskStatus.FAILED
        policy("rules:\n  - never: push\n    when: {commands: 'git push *', executor: [custom]}\n")
        for places in ([repository], [folder], [other, repository]):
            with pytest.raises(InvalidInput, match="'push'"):
                await engine.run("Go", repositories=[str(place) for place in places], **silent)
        assert len((await engine.tasks.list()).rows) == 1
        agent = await engine.agents.add("silent", executor="custom", options=silent["options"])
        task = await engine.tasks.create("Go", repositories=[str(folder)])
        for chosen in ({"executor": "custom"}, {"agent": agent.id}, {}):
            with pytest.raises(InvalidInput, match="'push'"):
                await engine.tasks.assign(task.id, **chosen)
        with pytest.raises(InvalidInput, match="'push'"):
            await engine.tasks.retry(begun.id)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("approval", ["auto", "changes"])
async def test_a_policy_about_calls_that_comes_while_a_silent_agent_works_has_a_human_look_at_its_work(
    opened, repository, policy, tmp_path, approval
):
    go = tmp_path / "go"
    options = {"base_command": "sh", "params": ["-c", f"echo x > a.md; until [ -e {go} ]; do sleep 0.01; done"]}
    async with opened() as engine:
        policy("rules:\n  - approve: all\n    when: {kind: changes}\n")
        silent = {"executor": "custom", "options": options, "approval": approval}
        run = await engine.run("Go", repositories=[str(repository)], **silent)
        policy(
            "rules:\n  - approve: all\n    when: {kind: changes}\n  - never: push\n    when: {commands: 'git push *'}\n"
        )
        go.touch()
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        (asked,) = await open_questions(engine, run.id)
        assert asked.needs_human
        assert "asks for no permission" in asked.policy.reason
        assert "'push'" in asked.policy.reason
        await engine.approvals.approve(asked.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_callables_of_the_embedding_program_give_the_same_verdicts(opened, repository):
    def small(question):
        if question.kind is ApprovalKind.CHANGES and question.evidence.change.files == 1:
            return "approve", "one file"
        return None

    def broken(question):
        return "perhaps" if question.evidence.change.added > 1 else None

    async with opened(policies=[small, broken]) as engine:
        task = await ran(engine, repository, [write("a.md", "x\n")])
        assert task.status is TaskStatus.COMPLETED
        task = await ran(engine, repository, [write("b.md", "x\ny\n")])
        (question,) = await open_questions(engine, task.id)
        assert question.policy.verdict is PolicyVerdict.NEVER
        assert "policy broken failed" in question.policy.reason


@pytest.mark.deep
async def test_a_file_with_faults_stops_a_run_before_it_begins_and_later_has_a_human_asked(
    opened, repository, policy, tmp_path
):
    policy("rules:\n  - aprove: x\n    when: always\n")
    async with opened() as engine:
        with pytest.raises(InvalidFile, match=r"policies.yaml:2:5: .*did you mean 'approve'"):
            await ran(engine, repository, [write("a.md", "x\n")])
        policy(DOCUMENTATION)
        go = tmp_path / "go"
        wait = {"wait_for": {"path": str(go)}}
        run = await engine.run("Go", repositories=[str(repository)], **scripted([wait, write("a.md", "x\n")]))
        policy("rules: 3\n")
        go.touch()
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, run.id)
        assert question.needs_human
        assert "has faults" in question.policy.reason
    (tmp_path / "home" / "policies.yaml").write_text("rules: 3\n")
    with pytest.raises(InvalidFile):
        async with opened():
            pass


async def test_a_deadline_passes_while_the_machine_sleeps_or_when_its_clock_is_set(
    opened, repository, policy, monkeypatch
):
    monkeypatch.setattr(wall_clock, "CLOCK_CHECK", 0.02)
    monkeypatch.setattr(wall_clock, "HOLD", 0.02)
    policy("rules:\n  - ask: soon\n    when: {kind: changes}\n    then: {deadline: 2h}\n")
    slept = timedelta()
    async with opened(host=Host(clock=lambda: now() + slept)) as engine:
        task = await ran(engine, repository, [write("a.md", "x\n")])
        slept = timedelta(hours=3)

        async def is_over():
            return (await engine.tasks.get(task.id)).status is TaskStatus.FAILED

        await until(is_over)
        (question,) = await all_questions(engine, task.id)
    assert question.status is ApprovalStatus.EXPIRED


@pytest.mark.deep
async def test_terms_of_the_rules_that_ask_reach_the_question(opened, repository, policy):
    policy(
        "rules:\n"
        "  - ask: pair\n    when: {kind: changes}\n"
        "    then: {reviewers: [ann, bob], quorum: 2, deadline: 8h, on_expiry: deny, remind_after: 1h}\n"
        "  - ask: soon\n    when: {self_review: true}\n    then: {deadline: 2h}\n"
    )
    async with opened() as engine:
        task = await ran(engine, repository, [write("a.md", "x\n")])
        (question,) = await open_questions(engine, task.id)
        assert (question.reviewers, question.quorum, question.remind_after) == (("ann", "bob"), 2, 3600.0)
        assert (question.deadline - question.requested_at).total_seconds() == pytest.approx(7200, abs=5)
