"""Verdicts: their order, what is unknown, and what no order of rules changes."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from aura_contracts.approval import (
    ApprovalKind,
    ChangeSize,
    CommandRun,
    Evidence,
    Level,
    OnExpiry,
    PolicyRef,
    PolicyVerdict,
    Question,
    RecordSoFar,
    ToolCall,
)
from aura_contracts.ids import ApprovalId
from aura_contracts.permission import PermissionRules, Ruling
from aura_contracts.ports.milestones import Milestone, VerdictCount
from aura_contracts.ports.workspaces import FileSummary
from aura_engine.decisions._question import asking_problem
from aura_engine.permissions.precedence import decide_call
from aura_engine.policy.conditions import PolicySubject
from aura_engine.policy.consultation import consult
from aura_engine.policy.evidence import PATHS_LIMIT, change_of, commands_run
from aura_engine.policy.policy_file import read_policy
from aura_engine.policy.rulebook import REJECTIONS, Policy, PolicyRule, Rulebook, is_sampled
from aura_engine.policy.terms import Terms
from aura_engine.record import Verdicts

ID = ApprovalId("0192f0c1-2d3e-7abc-8def-0123456789ab")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday
TUESDAY = NOON + timedelta(1)
NEVER, REJECT, ASK, APPROVE = PolicyVerdict


def book(*rules):
    text = "\n".join(["rules:", *(f"  - {{{rule}}}" for rule in rules)])
    return Rulebook((read_policy(text.encode(), "p.yaml").require("p.yaml"),))


def changes(*paths, at=NOON, confidence=None, reviewers=("alice",), **evidence):
    files = [FileSummary(repository="app", path=path, kind="modified", added=2, removed=1) for path in paths]
    known = {"creator": "alice", "change": change_of(files), **evidence}
    return PolicySubject(
        kind=ApprovalKind.CHANGES, at=at, reviewers=reviewers, evidence=Evidence(**known), confidence=confidence
    )


def call(command, tool="Bash"):
    return PolicySubject(
        kind=ApprovalKind.TOOL_CALL,
        at=NOON,
        reviewers=("alice",),
        evidence=Evidence(),
        tool_call=ToolCall(tool, "f", {"command": command}),
    )


def verdict(subject, *rules):
    found = book(*rules)
    decided = found.decide(subject, ID).verdict
    assert found.verdict(subject, ID)[0] is decided
    return decided


@pytest.mark.parametrize(
    ("condition", "fits", "fits_not"),
    [
        ("kind: changes", changes("a"), call("ls")),
        ("labels: {all: [ui, db-*]}", changes("a", labels=("ui", "db-1")), changes("a", labels=("ui", "api"))),
        ("labels: {all: ui}", changes("a", labels=("ui",)), changes("a", labels=())),
        ("labels: {any: db-*}", changes("a", labels=("ui", "db-1")), changes("a", labels=("ui",))),
        ("labels: {none: db-*}", changes("a", labels=()), changes("a", labels=("ui", "db-1"))),
        ("agent: 'dev-*'", changes("a", agent="dev-1"), changes("a", agent="ops")),
        ("executor: [claude, codex]", changes("a", executor="codex"), changes("a", executor="custom")),
        ("model: 'opus*'", changes("a", model="opus-5"), changes("a", model="haiku")),
        ("task_type: tester", changes("a", task_type="tester"), changes("a")),
        ("priority: low", changes("a", priority="low"), changes("a", priority="high")),
        ("project: shop", changes("a", project="shop"), changes("a")),
        ("files: {at_most: 2}", changes("a", "b"), changes("a", "b", "c")),
        ("added: {at_least: 4}", changes("a", "b"), changes("a")),
        ("deleted: {at_most: 0}", changes(), changes("a")),
        ("paths: {all: ['docs/*', '*.md']}", changes("docs/a/b", "x.md"), changes("docs/a", "src/x")),
        ("paths: {any: 'src/*'}", changes("docs/a", "src/x"), changes("docs/a")),
        ("paths: {none: ['src/*']}", changes("docs/a"), changes("docs/a", "src/x")),
        ("paths: {all: ['*']}", changes("a"), changes()),
        ("confidence: {at_least: 0.8}", changes("a", confidence=0.8), changes("a", confidence=0.79)),
        ("self_review: true", changes("a"), changes("a", reviewers=("bob",))),
        ("self_review: false", changes("a", reviewers=("bob",)), changes("a")),
        (
            "tests_passed: 'pytest *'",
            changes("a", commands=(CommandRun("pytest -q", 0), CommandRun("ls", 1))),
            changes("a", commands=(CommandRun("pytest -q", 1),)),
        ),
        (
            "hours: {from: '09:00', to: '17:00', zone: UTC, days: mon}",
            changes("a"),
            changes("a", at=NOON + timedelta(1)),
        ),
        (
            "hours: {from: '22:00', to: '06:00', zone: Europe/Madrid, days: sun}",
            changes("a", at=NOON.replace(hour=4)),  # five in the morning, of the night that began on Sunday
            changes("a", at=NOON.replace(hour=23)),
        ),
        ("commands: 'git log *'", call("git log -1"), call("git push")),
        ("tools: 'Bash(git log *)'", call("git log -1"), call("ls")),
    ],
)
def test_conditions(condition, fits, fits_not):
    rule = f"approve: a, when: {{{condition}}}"
    assert verdict(fits, rule) is APPROVE
    assert verdict(fits_not, rule) is ASK
    assert verdict(fits_not, rule, "approve: all, when: always") is APPROVE, "it does not match; it is not unknown"


@pytest.mark.parametrize(
    ("condition", "unknown"),
    [
        ("confidence: {at_least: 0.8}", changes("a")),
        ("executor: claude", changes("a")),
        ("model: opus", changes("a")),
        ("files: {at_most: 2}", changes("a", change=None)),
        ("paths: {all: '*'}", changes("a", change=ChangeSize(files=5000))),
        ("tests_passed: 'pytest *'", changes("a")),
        ("tests_passed: 'pytest *'", changes("a", commands=(CommandRun("pytest -q", 0, stale=True),))),
        ("tests_passed: 'pytest *'", changes("a", commands=(CommandRun("pytest -q || true", 0),))),
        ("record: {lower_bound: {at_least: 0.8}}", changes("a")),
        ("self_review: false", changes("a", creator=None)),
    ],
)
def test_what_is_unknown_has_a_human_asked_whatever_else_approves(condition, unknown):
    assert verdict(unknown, f"approve: a, when: {{{condition}}}", "approve: all, when: always") is ASK
    assert verdict(unknown, f"reject: a, when: {{{condition}}}, because: x", "approve: all, when: always") is ASK
    assert verdict(unknown, f"never: a, when: {{{condition}}}", "approve: all, when: always") is NEVER


SURE = "approve: a, when: {record: {lower_bound: {at_least: 0.8}, count: {at_least: 20}}}"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (RecordSoFar(20, 0.85), APPROVE),
        (RecordSoFar(20, 0.79), ASK),
        (RecordSoFar(19, 0.85), ASK),
        (RecordSoFar(25, None), ASK),
        (None, ASK),
    ],
)
def test_the_record_of_an_agent_decides_by_its_lower_bound_and_count(record, expected):
    assert verdict(changes("a", record=record), SURE) is expected


def test_what_little_is_known_of_a_record_is_unknown_and_not_bad():
    rule = "never: a, when: {record: {lower_bound: {at_most: 0.5}}}"
    assert verdict(changes("a", record=RecordSoFar(3, None)), rule, "approve: all, when: always") is NEVER
    few = "ask: a, when: {record: {count: {at_most: 5}}}"
    assert verdict(changes("a", record=RecordSoFar(6, None)), few, "approve: all, when: always") is APPROVE


def test_the_verdicts_of_humans_are_recorded_with_a_question_and_a_decision():
    same = {"agent_id": "ada", "executor": "x", "model": "m", "agent_type": "tester", "kind": "changes"}
    good = VerdictCount(**same, verdict=Milestone.APPROVED, confidence=None, rounds=0, count=30)
    known = {"agent_id": "ada", "executor": "x", "model": "m", "task_type": "tester"}
    evidence = Evidence(**known, change=ChangeSize(files=1))
    question = Question(kind=ApprovalKind.CHANGES, reviewers=("alice",), evidence=evidence)
    rules = evolve(book(SURE), verdicts=Verdicts.of([good]))
    asked, decision = consult(rules, ID, question, NOON)
    assert decision.verdict is APPROVE
    assert decision.values["record"] == {"count": 30, "lower_bound": pytest.approx(0.9079, abs=1e-4)}
    assert asked.evidence.record == RecordSoFar(30, pytest.approx(0.9079, abs=1e-4))
    other = replace(question, evidence=replace(evidence, model="another"))
    asked, decision = consult(rules, ID, other, NOON)
    assert (asked.evidence.record, decision.verdict) == (RecordSoFar(0), ASK)


def test_a_condition_about_what_another_kind_of_question_has_does_not_hold():
    assert verdict(
        call("ls"), "approve: a, when: {confidence: {at_least: 0.8}}", "approve: b, when: {tools: Bash}"
    ) is (APPROVE)


def test_approving_rules_are_narrow_and_others_wide():
    assert verdict(call("git log; rm x"), "approve: a, when: {commands: 'git log *'}") is ASK
    assert verdict(call("git log; rm x"), "never: a, when: {commands: 'rm *'}", "approve: all, when: always") is NEVER
    assert verdict(
        call("git $X"), "reject: a, because: x, when: {commands: 'git push *'}", "approve: b, when: always"
    ) is (ASK)
    assert verdict(call("ls", tool="Read"), "approve: a, when: {commands: '*'}") is ASK


def test_questions_that_yes_does_not_answer_are_asked():
    for kind in (ApprovalKind.QUESTION, ApprovalKind.MERGE_CONFLICT):
        subject = PolicySubject(kind=kind, at=NOON, reviewers=(), evidence=Evidence())
        assert verdict(subject, "approve: a, when: always", "reject: b, when: always, because: x") is ASK


def test_a_rule_rejects_a_task_so_often_and_then_a_human_looks():
    rule = "reject: a, when: {kind: changes}, because: x"
    assert verdict(changes("a", rejections=REJECTIONS - 1), rule) is REJECT
    assert verdict(changes("a", rejections=REJECTIONS), rule) is ASK


@pytest.mark.parametrize(
    ("subject", "rules", "held_back"),
    [
        (changes("a", rejections=REJECTIONS), ["reject: a, when: {kind: changes}, because: x"], True),
        (changes("a", change=ChangeSize(files=5000)), ["reject: a, when: {paths: {any: a}}, because: x"], True),
        (call("git $X"), ["reject: a, when: {commands: 'git push *'}, because: x"], True),
        (changes("a"), ["never: a, when: {kind: changes}"], True),
        (changes("a"), ["ask: a, when: {kind: changes}"], False),
        (changes("b"), ["reject: a, when: {paths: {any: a}}, because: x"], False),
    ],
)
def test_no_answer_given_in_advance_counts_where_a_rule_that_refuses_has_a_human_asked(subject, rules, held_back):
    decision = book(*rules).decide(subject, ID)
    assert decision.holds_back is held_back
    allowed = decide_call(PermissionRules(allow=("*",)), ToolCall("Bash", "f"), None, policies=decision)
    assert allowed.verdict is (Ruling.ASKED if held_back else Ruling.ALLOWED)


def test_terms_of_several_rules_are_all_kept():
    found = book(
        "ask: a, when: always, then: {reviewers: [bob, carol], quorum: 2, deadline: 8h, on_expiry: continue}",
        "ask: b, when: always, then: {reviewers: [dave], deadline: 2h, escalate_to: [eve], escalate_after: 1h}",
        "ask: c, when: {kind: plan}, then: {deadline: 1m}",
    )
    evidence = changes("a").evidence
    question = Question(kind=ApprovalKind.CHANGES, reviewers=("alice",), execution_id=ID, evidence=evidence)
    subject = PolicySubject.of(question, NOON)
    asked, _ = found.ask(question, subject, ID)
    assert (asked.reviewers, asked.quorum, asked.escalate_to) == (("bob", "carol", "dave"), 2, ("eve",))
    assert (asked.deadline, asked.on_expiry, asked.escalate_after) == (
        NOON + timedelta(hours=2),
        OnExpiry.CONTINUE,
        3600.0,
    )
    conflict = replace(question, kind=ApprovalKind.MERGE_CONFLICT)
    assert found.ask(conflict, PolicySubject.of(conflict, NOON), ID)[0].deadline is None, "nothing would end it"
    strict = Rulebook((*found.policies, *book("never: n, when: always").policies))
    assert strict.ask(question, subject, ID)[0].on_expiry is OnExpiry.DENY, "silence is not a human's approval"


def test_terms_leave_a_question_answerable_and_never_by_fewer():
    askings = list(product([("alice",), ("alice", "bob")], [(), ("carol",)], [(), ("dave",)], [1, 2]))
    terms_given = list(
        product(
            [(), ("carol",), ("dave",), ("carol", "dave"), ("erin",)],
            [(), ("erin",)],
            [None, 1, 3],
            [(), (("dave",),), (("alice", "erin"),), (("carol",), ("bob", "alice", "frank"))],
        )
    )
    for (people, later, barred, quorum), (named, to, more, after) in product(askings, terms_given):
        levels = (Level(reviewers=later),) if later else ()
        if asking_problem(people, quorum, levels) is not None:
            continue
        question = Question(kind=ApprovalKind.CHANGES, reviewers=people, quorum=quorum, levels=levels, barred=barred)
        added = tuple(Level(reviewers=names, quorum=len(names)) for names in after)
        terms = Terms(reviewers=named, quorum=more, escalate_to=to, levels=added)
        rule = PolicyRule(name="r", verdict=NEVER, conditions=(), terms=terms)
        asked, _ = Rulebook((Policy(PolicyRef("p"), (rule,)),)).ask(question, PolicySubject.of(question, NOON), ID)
        escalate_to = [name for name in asked.escalate_to if name not in barred]
        assert asking_problem(asked.reviewers, asked.quorum, asked.levels, escalate_to=escalate_to) is None
        assert asked.quorum >= quorum
        assert not {*asked.reviewers} & {*barred}
        everyone = [*asked.reviewers, *(name for level in asked.levels for name in level.reviewers)]
        assert not {*everyone} & {*barred}
        assert {*named, *later, *(name for names in after for name in names)} - {*barred} <= {*everyone}
        assert all(any({*later} <= {*level.reviewers} for level in asked.levels) for _ in levels)


def test_the_levels_of_all_rules_that_ask_are_asked_after_those_of_the_task():
    found = book(
        "ask: a, when: always,"
        " then: {reviewers: ann, levels: [{reviewers: [lead, bob], quorum: 2}, {reviewers: boss}]}",
        "ask: b, when: always, then: {levels: [{reviewers: carol}]}",
    )
    question = Question(kind=ApprovalKind.CHANGES, reviewers=("alice",), levels=(Level(reviewers=("bob", "dave")),))
    asked, _ = found.ask(question, PolicySubject.of(question, NOON), ID)
    assert asked.reviewers == ("ann",)
    assert asked.levels == (
        Level(reviewers=("bob", "dave", "carol", "lead"), quorum=2),
        Level(reviewers=("boss",)),
    )


def test_a_sample_of_what_is_approved_is_asked_always_the_same():
    ids = [ApprovalId(f"0192f0c1-2d3e-7abc-8def-{number:012}") for number in range(2000)]
    sampled = [one for one in ids if is_sampled(one, 0.1)]
    assert 120 < len(sampled) < 280
    assert all(is_sampled(one, 0.2) for one in sampled), "a larger share has the smaller one in it"
    found = book("approve: a, when: always, then: {audit: 0.1}")
    asked = {one for one in ids if found.decide(changes("a"), one).audited}
    assert asked == set(sampled)


def test_a_decision_records_every_rule_that_matched_and_every_value_looked_at():
    decision = book(
        "approve: a, when: {files: {at_most: 3}}",
        "ask: b, when: {confidence: {at_most: 0.5}}",
        "never: c, when: {paths: {any: 'db/*'}}",
    ).decide(changes("x", "y"), ID)
    assert [(one.rule, one.verdict, one.sure, one.line) for one in decision.matched] == [
        ("b", ASK, False, 3),
        ("a", APPROVE, True, 2),
    ]
    assert decision.values == {"files": 2, "confidence": None, "paths": ["x", "y"]}
    assert "unknown" in decision.reason


def test_too_many_paths_are_not_recorded_and_old_names_are():
    files = [FileSummary(repository="app", path=f"{n}", kind="modified") for n in range(PATHS_LIMIT + 1)]
    assert change_of(files).paths is None
    renamed = FileSummary(repository="app", path="docs/x", kind="renamed", old_path="src/x", added=None)
    size = change_of([renamed])
    assert (size.paths, size.renames, size.binary) == (("docs/x", "src/x"), 1, 1)


def test_commands_that_ran_are_recorded_with_their_last_end():
    from aura_contracts.entries import FileChanged, ToolCalled, ToolFinished
    from aura_contracts.execution import CallMade, CallStarted, FileChangeReported

    def ran(number, command, **how):
        entry = ToolCalled(call_id=str(number), tool="Bash", arguments={"command": command})
        return [CallStarted(entry=entry), CallMade(entry=ToolFinished(call_id=str(number), **how))]

    events = [*ran(1, "pytest", success=False), *ran(2, "ls"), *ran(3, "pytest", exit_code=0)]
    assert commands_run(events) == (CommandRun("ls", 0), CommandRun("pytest", 0))
    changed = FileChangeReported(entry=FileChanged(path="a"))
    assert commands_run([*events, changed, *ran(4, "make")]) == (
        CommandRun("ls", 0, stale=True),
        CommandRun("pytest", 0, stale=True),
        CommandRun("make", 0),
    )


# --- Properties -------------------------------------------------------------------------------------------------------

_CONDITIONS = (
    "always",
    "{kind: changes}",
    "{kind: [plan, tool_call]}",
    "{files: {at_most: 1}}",
    "{paths: {any: 'src/*'}}",
    "{confidence: {at_least: 0.5}}",
    "{executor: claude}",
    "{commands: 'git *'}",
)
_SUBJECTS = (
    changes("src/a"),
    changes("docs/a", "docs/b", executor="claude", confidence=0.9),
    changes("src/a", change=None, executor="codex"),
    call("git log"),
    call("git $X; rm y"),
    PolicySubject(kind=ApprovalKind.QUESTION, at=NOON, reviewers=(), evidence=Evidence()),
)


@st.composite
def rules(draw, verdicts=tuple(PolicyVerdict)):
    chosen, condition = draw(st.sampled_from(verdicts)), draw(st.sampled_from(_CONDITIONS))
    return chosen, condition, draw(st.sampled_from(["", "then: {audit: 0.5}"]) if chosen is APPROVE else st.just(""))


def made(chosen):
    texts = []
    for number, (said, condition, then) in enumerate(chosen):
        because = "because: x" if said is REJECT else ""
        texts.append(", ".join(filter(None, [f"{said}: r{number}", f"when: {condition}", then, because])))
    return book(*texts).policies[0].rules


@given(st.lists(rules(), min_size=1, max_size=6), st.sampled_from(_SUBJECTS), st.randoms())
def test_the_order_of_rules_never_changes_the_decision(chosen, subject, random):
    found: list[PolicyRule] = list(made(chosen))
    ref = book("ask: x, when: always").policies[0].ref
    before = Rulebook((Policy(ref, tuple(found)),)).decide(subject, ID)
    random.shuffle(found)
    half = random.randrange(len(found) + 1)
    assert Rulebook((Policy(ref, tuple(found)),)).decide(subject, ID) == before
    parted = [Policy(ref, tuple(found[:half])), Policy(ref, tuple(found[half:]))]
    assert Rulebook(tuple(parted)).decide(subject, ID).matched == before.matched


@given(st.lists(rules(), min_size=1, max_size=5), rules((APPROVE,)), st.sampled_from(_SUBJECTS))
def test_an_approving_rule_never_overrides_what_matched_already(chosen, added, subject):
    before = Rulebook((Policy(book("ask: x, when: always").policies[0].ref, made(chosen)),)).decide(subject, ID)
    assume(any(one.verdict is not APPROVE for one in before.matched))
    with_more = Policy(before.policies[0], made([*chosen, added]))
    after = Rulebook((with_more,)).decide(subject, ID)
    assert after.verdict is before.verdict
    assert after.verdict is not APPROVE


class _Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class _NoText:
    def __str__(self):
        raise _Unspeakable


def _raising(_):
    raise _Unspeakable


TOKEN = "ghp_0123456789abcdefABCDEF0123456789abcd"


@pytest.mark.parametrize(
    ("policy", "expected", "said"),
    [
        (_raising, NEVER, "_Unspeakable, whose text cannot be read"),
        (lambda _: ("ask", _NoText()), NEVER, "_Unspeakable, whose text cannot be read"),
        (lambda _: (1, 2, 3), NEVER, "too many values"),
        (lambda _: ("ask", None), ASK, "rule '<lambda>' of <lambda>"),
        (lambda _: ("ask", 42), ASK, "42"),
        (lambda _: ("reject", "a\0b\ud800\n\x1b[2J c"), REJECT, "a\\x00b\\ud800\n\\x1b[2J c"),
        (lambda _: ("ask", f"use {TOKEN}"), ASK, "use [redacted]"),
        (lambda _: ("ask", "x" * 3_000_000), ASK, "x…"),
    ],
    ids=["exception", "words", "three", "none", "number", "characters", "secret", "long"],
)
def test_whatever_a_callable_says_can_be_recorded(policy, expected, said):
    decision = Rulebook((Policy(PolicyRef("<lambda>"), call=policy),)).decide(changes("a"), ID)
    assert decision.verdict is expected
    assert said in decision.reason
    assert len(decision.reason) <= 8_192


def test_the_secret_of_an_exception_is_not_recorded():
    def policy(_):
        raise ValueError(TOKEN)

    decision = Rulebook((Policy(PolicyRef("p"), call=policy),)).decide(changes("a"), ID)
    assert (TOKEN in decision.reason, "[redacted]" in decision.reason) == (False, True)


def test_unknown_labels_have_a_human_asked():
    assert verdict(changes("a"), "approve: a, when: {labels: {none: db}}") is ASK
