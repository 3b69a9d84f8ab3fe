"""Agent files: what Claude Code reads, and everything else is refused with file, line, field and remedy."""

import pytest

from aura_contracts.errors import AgentFilesRefused
from aura_engine.agent_files import parse_agent_file, read_agent_files

REVIEWER = """\
---
name: reviewer
description: Use this agent to review: it is strict. Examples: <example>user: "check it"</example>
tools: Read, Grep, Bash(git diff *), mcp__github__search
model: sonnet
color: blue
---

You review changes.

---
Be strict, {{ and quote braces }}.
"""


def test_a_definition_of_claude_code_is_read():
    found = parse_agent_file(REVIEWER, "reviewer.md")
    assert (found.name, found.type, found.model, found.ignored) == ("reviewer", "reviewer", "sonnet", ("color",))
    assert found.description.startswith("Use this agent to review: it is strict.")
    assert found.prompt == "You review changes.\n\n---\nBe strict, {{ and quote braces }}."


def test_tools_become_rules_that_allow_no_more_than_reading():
    rules = parse_agent_file(REVIEWER, "reviewer.md").rules
    assert rules.allow == ("Read", "Grep", "Bash(git diff *)")
    assert {"Write", "Edit", "WebFetch"} <= set(rules.deny)
    assert not {"Read", "Grep", "Bash"} & set(rules.deny)
    everything = parse_agent_file("---\nname: Ada\n---\nHello", "ada.md")
    assert (everything.tools, everything.rules.deny, everything.type) == (None, (), "developer")
    assert "Bash" not in parse_agent_file("---\nname: ada\ntools: Bash\n---\n", "ada.md").rules.allow


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("description: 'it''s: so'", "it's: so"),
        ('description: "a \\"b\\""', 'a "b"'),
        ("description: |\n  one\n  two", "one\ntwo"),
        ("description: >-\n  one\n  two", "one two"),
        ("description: one\n  and more", "one and more"),
        ("description:", ""),
        ("description: a # b: [c", "a # b: [c"),
        ('description: "one: two" # said', "one: two"),
    ],
)
def test_values_are_written_in_any_of_the_usual_ways(written, read):
    assert parse_agent_file(f"---\nname: ada\n{written}\n---\n", "ada.md").description == read


@pytest.mark.parametrize(
    "tools",
    [
        "tools: Read, Grep",
        "tools: Read, Grep # no more",
        "tools: [Read, Grep]",
        "tools: [Read,\n  Grep]",
        "tools:\n  - Read\n  - Grep",
        "tools:\n- Read\n- Grep",
    ],
)
def test_tools_are_a_list(tools):
    found = parse_agent_file(f"---\nname: ada\n{tools}\n---\n", "ada.md")
    assert [rule.tool for rule in found.tools] == ["Read", "Grep"]


@pytest.mark.parametrize("written", ["ada # comment", '"ada" # comment', "'ada'"])
def test_a_comment_is_no_part_of_a_name(written):
    assert parse_agent_file(f"---\nname: {written}\n---\n", "ada.md").name == "ada"


def test_what_an_agent_may_not_use_is_denied():
    found = parse_agent_file("---\nname: ada\ndisallowedTools: Write, Bash(rm *)\n---\n", "ada.md")
    assert (found.rules.allow, found.rules.deny, found.ignored) == ((), ("Write", "Bash(rm *)"), ())
    both = parse_agent_file("---\nname: ada\ntools: Read, Write, Bash\ndisallowedTools: [Write]\n---\n", "ada.md").rules
    assert {"Write", "Edit"} <= set(both.deny)
    assert "Bash" not in both.deny


def test_what_only_gives_an_agent_more_is_left_out():
    text = "---\nname: ada\npermissionMode: bypassPermissions\nskills: [x]\n---\n"
    assert parse_agent_file(text, "ada.md").ignored == ("permissionMode", "skills")


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("---\nname: ada\npermissionMode: plan\n---\n", 3, "permissionMode"),
        ("---\nname: ada\ntools: []\n---\n", 3, "tools"),
        ("---\nname: ada\nhooks:\n  PreToolUse: [x]\n---\n", 3, "hooks"),
        ("---\nname: ada\nmaxTurns: 3\n---\n", 3, "maxTurns"),
        ("---\nname: ada\ndisallowed_tools: Bash\n---\n", 3, "disallowed_tools"),
        ("---\nname: ada\nTools: Read\n---\n", 3, "Tools"),
        ("---\nname: ada\ndisallowedTools: Bash(\n---\n", 3, "disallowedTools"),
        ("---\nname: ada\ndisallowedTools: {Bash: true}\n---\n", 3, "disallowedTools"),
        ("---\nname: ada\ndescription: it: is\n  strict\ntools: [Read\n---\n", 5, "tools"),
        ("---\nname: |\n  a\n  b\n---\n", 2, "name"),
        ("---\nname: ada\u202e\n---\n", 2, "name"),
        ("---\nname: agent:x\n---\n", 2, "name"),
        ("---\nname: [a, b]\n---\n", 2, "name"),
        ("---\nname: 7\n---\n", 2, "name"),
        ("---\n- name: ada\n---\n", 2, "front matter"),
        ("# Read me\n\nHello", 1, "front matter"),
        ("", 1, "front matter"),
        ("---\nname: ada\n", 1, "front matter"),
        ("---\ndescription: x\n---\n", 1, "name"),
        ("---\nname:\n---\n", 2, "name"),
        ("---\nname: ada\nname: eve\n---\n", 3, "name"),
        (f"---\nname: {'x' * 201}\n---\n", 2, "name"),
        ("---\nname: ada\n* nonsense\n---\n", 3, "front matter"),
        ('---\nname: ada\ndescription: "open\n---\n', 3, "description"),
        ("---\nname: ada\ntools: Read, git status\n---\n", 3, "tools"),
        ("---\nname: ada\n---\n\nhello \0", 4, "prompt"),
        ("---\nname: ada\n---\nUse ghp_0123456789abcdefghijklmnopqrstuvwxyzAB\n", 4, "prompt"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_a_remedy(text, line, field):
    with pytest.raises(AgentFilesRefused) as refused:
        parse_agent_file(text, "ada.md")
    (problem,) = refused.value.problems
    assert (problem.path, problem.line, problem.field) == ("ada.md", line, field)
    assert problem.reason
    assert problem.remedy


def test_all_that_is_wrong_in_all_files_is_told_at_once(tmp_path):
    (tmp_path / "a.md").write_text("---\nname: ada\n---\n")
    (tmp_path / "b.md").write_text("---\nname: ada\n---\n")
    (tmp_path / "c.md").write_bytes(b"---\nname: \xff\n---\n")
    (tmp_path / "d.md").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AgentFilesRefused) as refused:
        read_agent_files([str(tmp_path), str(tmp_path / "empty"), str(tmp_path / "missing.md")])
    places = {(problem.path.rpartition("/")[2], problem.field) for problem in refused.value.problems}
    assert places == {
        ("b.md", "name"),
        ("c.md", "file"),
        ("d.md", "front matter"),
        ("empty", "file"),
        ("missing.md", "file"),
    }
    assert all(str(problem) in str(refused.value) for problem in refused.value.problems)
