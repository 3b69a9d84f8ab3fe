"""Policy files: strict, with every fault at its place, all of them in one go."""

import pytest

from aura_contracts.approval import PolicyVerdict
from aura_contracts.errors import InvalidFile
from aura_engine.policy.policy_file import read_policy

WRONG = """\
rules:
  - aprove: x
    when:
      kind: chnges
      fils: 3
      files: {at_least: 5, at_most: 2}
      paths: {all: [/docs/*, a//b, "{a,b}"], none: []}
      hours: {from: 9:30, to: 25:00, zone: Mars/Olympus}
      confidence: {at_least: "0.9"}
      tools: ["git status"]
  - approve: a
    reject: b
    when: always
  - never: c
    when: {}
  - ask: d
    when: {kind: tool_call, files: {at_most: 2}}
    then: {quorum: 3, deadline: soon}
  - reject: e
    when: {kind: question}
    then: {reviewers: x}
  - ask: e
    when: {paths: {any: a, none: a}}
    then: {audit: 0.1}
"""

FAULTS = """\
2:5: there is no key 'aprove' here; did you mean 'approve'?
4:13: 'chnges' is not one of its values; did you mean 'changes'?
5:7: there is no key 'fils' here; did you mean 'files'?
6:7: no number is at least 5 and at most 2
7:21: '/docs/*' matches nothing: paths are relative to the repository, as in docs/*
7:30: 'a//b' matches nothing: changed files are not named so; write a/b
7:36: '{a,b}' matches nothing: braces are ordinary characters; write each pattern out
7:52: the list is empty
8:21: write a time of day as in 09:30
8:31: write a time of day as in 09:30
8:44: there is no time zone 'Mars/Olympus'; write one as in Europe/Madrid, or UTC
9:30: this is not a number
10:15: 'git status' would match nothing: names of tools have no spaces; write the tool's name with the command in \
brackets: Bash(git status)
11:5: a rule has one verdict, and this one has reject and approve
15:5: a rule has conditions; write `when: always` for one that matches every question
18:33: write a number and a unit, as in 30m, 8h or 2d
19:5: yes and no do not answer these questions: question; use ask
19:5: say with `because` what the agent should do instead
21:12: a rule that says reject asks no one
23:28: all that fits a is excluded under none
"""


def read(text):
    return read_policy(text.encode(), "p.yaml", warn=True)


def codes(text):
    return [(fault.severity, fault.code) for fault in read(text).faults]


def rule(text, *more):
    lines = [f"  - {line}" if not line.startswith(" ") else f"   {line}" for line in (text, *more)]
    return "\n".join(["rules:", *lines, ""])


def test_all_faults_are_told_at_once_with_line_and_column():
    found = read(WRONG)
    assert [str(fault).removeprefix("p.yaml:") for fault in found.faults] == FAULTS.splitlines()
    with pytest.raises(InvalidFile) as raised:
        found.require("p.yaml")
    assert len(raised.value.faults) == len(found.faults)
    assert str(raised.value).startswith("p.yaml:2:5: there is no key 'aprove' here")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("rules: []", "wrong_type"),
        ("rules: 3", "wrong_type"),
        ("- a", "wrong_type"),
        ("rule: []", "unknown_key"),
        ("rules:\n  - ask: a\n    ask: b\n    when: always", "duplicate_key"),
        ("rules:\n  - ask: a", "missing_key"),
        ("rules:\n  - when: always", "verdict"),
        ("rules:\n  - {ask: a, when: always}\n  - {never: a, when: always}", "duplicate_name"),
        ("rules:\n  - {ask: a, when: {kind: tool_call, paths: {any: x}}}", "contradiction"),
        ("rules:\n  - {approve: a, when: always, then: {quorum: 1}}", "contradiction"),
        ("rules:\n  - {ask: a, when: always, then: {quorum: 2}}", "contradiction"),
        ("rules:\n  - {ask: a, when: always, then: {reviewers: [x], quorum: 2}}", "contradiction"),
        ("rules:\n  - {ask: a, when: always, then: {levels: [{reviewers: [x], quorum: 2}]}}", "contradiction"),
        ("rules:\n  - {ask: a, when: always, then: {reviewers: x, levels: [{reviewers: x}]}}", "contradiction"),
        ("rules:\n  - {ask: a, when: always, then: {levels: [{reviewer: x}]}}", "unknown_key"),
        ("rules:\n  - {ask: a, when: always, then: {escalate_after: 1h}}", "contradiction"),
        ("rules:\n  - {ask: a, when: always, then: {deadline: 1h, remind_after: 2h}}", "contradiction"),
        ("rules:\n  - {never: a, when: always, then: {on_expiry: continue}}", "contradiction"),
        ("rules:\n  - {ask: a, when: always, then: {audit: 0.5}}", "contradiction"),
        ("rules:\n  - {ask: a, when: {hours: {from: '09:00', to: '09:00', zone: UTC}}}", "contradiction"),
        ("rules:\n  - {ask: a, when: {files: true}}", "wrong_type"),
        ("rules:\n  - {ask: a, when: {agent: [1]}}", "wrong_type"),
        ("rules:\n  - {ask: a, when: {paths: {all: src/api/x, none: src/*}}}", "contradiction"),
        ("rules:\n  - {ask: a, when: {paths: {any: src/*, none: '*'}}}", "contradiction"),
        ("rules:\n  - {ask: a, when: {labels: {any: [ui, db], none: '*'}}}", "contradiction"),
        ("rules:\n  - {ask: a, when: {labels: [ui]}}", "wrong_type"),
        ("rules:\n  - {ask: a, when: {labels: {}}}", "empty"),
        ("rules:\n  - {ask: a, when: {files: {at_most: 0}, paths: {any: a}}}", "contradiction"),
        ("rules:\n  - {ask: a, when: {files: {at_most: 0}, added: {at_least: 1}}}", "contradiction"),
        ("rules:\n  - {ask: a, when: {files: {at_most: 2}, renames: {at_least: 3}}}", "contradiction"),
        ("rules:\n  - {ask: a, when: {paths: {all: 'src/[a-z].py'}}}", "glob"),
        ("rules:\n  - {ask: a, when: {paths: {all: 'src/[abc]*.py'}}}", "glob"),
        ("rules:\n  - {ask: a, when: {paths: {all: '[abc.py'}}}", "glob"),
        ("rules:\n  - {ask: a, when: {paths: {all: src/./a}}}", "glob"),
        ("name: ghp_0123456789abcdefABCDEF0123456789abcd\nrules:\n  - {ask: a, when: always}", "secret"),
        ("rules:\n  - {ask: a, when: {project: ghp_0123456789abcdefABCDEF0123456789abcd}}", "secret"),
    ],
)
def test_what_a_file_may_not_hold(text, code):
    assert code in {fault.code for fault in read(text).faults if fault.severity == "error"}


@pytest.mark.parametrize(
    "condition",
    [
        "paths: {all: src/*, none: src/api/*}",
        "paths: {all: 'app/[id]/[...path].tsx'}",
        "paths: {any: 'app/[user-id]/*'}",
        "files: {at_most: 1}, added: {at_least: 5}, renames: {at_least: 1}",
        "files: {at_most: 0}, paths: {none: a}",
        "labels: {all: [ui, 'db-*'], none: db-prod}",
    ],
)
def test_what_may_match_is_no_fault(condition):
    assert read(f"rules:\n  - {{ask: a, when: {{{condition}}}}}").faults == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules:\n  - {ask: a, when: {files: {at_most: -1}}}", "the number is less than 0"),
        ("rules:\n  - {ask: a, when: {confidence: {at_least: 2}}}", "the number is more than 1.0"),
        ("rules:\n  - {approve: a, when: always, then: {audit: 0}}", "the number is not more than 0.0"),
        (f"rules:\n  - {{ask: {'x' * 201}, when: always}}", "the text has more than 200 characters"),
        ("rules:" + "\n  - {ask: a, when: always}" * 501, "there are 501, and at most 500 are possible"),
    ],
)
def test_limits_are_told_in_our_own_words(text, message):
    assert message in {fault.message for fault in read(text).faults}


@pytest.mark.deep
def test_rules_are_compared_only_for_who_looks_at_the_file_and_not_without_end():
    """A valid file of a third of the limit: comparing all of it would take a minute."""
    globs = [", ".join(f"d{rule}x{place}/*" for place in range(60)) for rule in range(500)]
    rules = [f"  - {{ask: r{place}, when: {{paths: {{any: [{several}]}}}}}}" for place, several in enumerate(globs)]
    content = "\n".join(["rules:", *rules]).encode()
    assert read_policy(content, "p.yaml").faults == ()
    (warning,) = read_policy(content, "p.yaml", warn=True).faults
    assert (warning.code, warning.severity) == ("not_compared", "warning")


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ("  - {approve: a, when: {labels: {all: ui}}}\n  - {ask: b, when: {labels: {any: u*}}}", "shadowed"),
        (
            "  - {ask: a, when: {record: {count: {at_most: 8}}}}\n  - {ask: b, when: {record: {count: {at_most: 9}}}}",
            "shadowed",
        ),
        ("  - {ask: a, when: {kind: workflow_step}}", "never_matches"),
        ("  - {approve: a, when: {paths: {all: d/x/*}}}\n  - {never: b, when: {paths: {any: d/*}}}", "shadowed"),
        ("  - {approve: a, when: {files: {at_most: 3}}}\n  - {ask: b, when: {kind: [changes, plan]}}", "shadowed"),
        (
            "  - {approve: a, when: {files: {at_most: 3}}}\n  - {approve: b, when: {files: {at_most: 5}}}",
            "shadowed",
        ),
        ("  - {ask: a, when: {files: {at_most: 3}}}\n  - {ask: b, when: {files: {at_most: 3}}}", "shadowed"),
    ],
)
def test_rules_without_effect_are_warned_of(rules, code):
    assert codes(f"rules:\n{rules}") == [("warning", code)]


@pytest.mark.parametrize(
    "rules",
    [
        "  - {approve: a, when: {paths: {all: src/*}}}\n  - {never: b, when: {paths: {any: src/db/*}}}",
        "  - {approve: a, when: {files: {at_most: 5}}}\n  - {never: b, when: {files: {at_most: 3}}}",
        "  - {ask: a, when: {files: {at_most: 3}}, then: {deadline: 1h}}\n  - {ask: b, when: {kind: changes}}",
        "  - {approve: a, when: {kind: changes}}\n  - {approve: b, when: {kind: plan}}",
        "  - {approve: a, when: {files: {at_most: 3}}, then: {audit: 0.5}}\n  - {approve: b, when: {kind: changes}}",
    ],
)
def test_rules_that_change_something_are_not_warned_of(rules):
    assert codes(f"rules:\n{rules}") == []


def test_a_policy_is_named_and_identified_by_its_text():
    first, second = (read(f"name: shop\nrules:\n  - {{ask: a, when: always}}{end}").policy for end in ("", "\n"))
    assert first.ref.name == second.ref.name == "shop"
    assert first.ref.digest != second.ref.digest
    assert first.rules[0].verdict is PolicyVerdict.ASK
