"""``aura approval``: what waits is listed and shown; a decision is recorded, and what follows from it is done."""

import json
import os
import re
from pathlib import Path

import pytest

from command_line import call_aura, running_aura
from repositories import content, git, make_repository, worktrees

AGENT = 'echo "$AURA_PROMPT" >> new.txt'


@pytest.fixture
def asked(place) -> dict:
    """An approval that waits, in `place`."""
    answer = call_aura(
        "run", "--no-tui", "--executor", "custom", "--prompt", "Say more", "--base-command", "sh",
        "--param", "-c", "--param", AGENT,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    (approval,) = call_aura("approval", "list", "--json").objects
    return approval


def only_task() -> dict:
    (task,) = call_aura("task", "list", "--json").objects
    return task


def test_what_waits_is_listed(asked, place):
    assert (asked["status"], asked["kind"]) == ("pending", "changes")
    assert asked["reviewers"] == ["alice"]
    table = call_aura("approval", "list")
    assert asked["id"] in table.out
    assert table.err == "1 approval\n"


def test_one_is_shown_with_what_it_would_change(asked, place):
    (shown,) = call_aura("approval", "show", asked["id"], "--diff", "--json").objects
    assert "+Say more" in shown["diff"]
    text = call_aura("approval", "show", asked["id"][:13], "--diff").out
    assert "+Say more" in text
    assert "1 file changed" in text


@pytest.mark.deep
def test_a_yes_merges_and_says_so(asked, place):
    (place / "README").write_text("work of one's own\n")
    answer = call_aura("approval", "approve", asked["id"], "--feedback", "fine")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert "[aura] approved by alice: fine" in lines
    assert any(line.startswith("[aura] merged into main: ") for line in lines)
    assert not any(line.startswith("[stdout]") for line in lines)
    assert content(place, "main", "new.txt") == "Say more"
    assert (place / "README").read_text() == "work of one's own\n"
    assert (only_task()["status"], worktrees(place)) == ("completed", [])
    assert call_aura("approval", "list", "--json").out == ""
    assert [one["status"] for one in call_aura("approval", "list", "--all", "--json").objects] == ["approved"]


@pytest.mark.deep_but_first
@pytest.mark.parametrize(("words", "status"), [((), "rejected"), (("--changes",), "needs_changes")])
def test_a_no_has_the_agent_go_on_with_the_reason(asked, place, words, status):
    answer = call_aura("approval", "reject", asked["id"], "--feedback", "say it louder", *words)
    assert answer.code == 0, answer.err
    assert "[aura] process exited with 0" in answer.out.splitlines()
    before, after = call_aura("approval", "list", "--all", "--json").objects
    assert (before["status"], after["status"]) == (status, "pending")
    (worktree,) = worktrees(place)
    assert "say it louder" in (Path(worktree) / "new.txt").read_text()
    assert call_aura("approval", "approve").code == 0
    assert "say it louder" in content(place, "main", "new.txt")


@pytest.mark.deep
def test_a_decision_may_be_recorded_only(asked, place):
    answer = call_aura("approval", "approve", asked["id"], "--no-wait", "--json")
    assert [one["status"] for one in answer.objects] == ["approved"]
    assert only_task()["status"] == "approved"
    assert "new.txt" not in git(place, "ls-tree", "--name-only", "main")
    assert call_aura("doctor", "--fix", "--quiet").code == 0
    assert only_task()["status"] == "completed"


@pytest.mark.deep
def test_what_was_decided_is_decided(asked, place):
    assert call_aura("approval", "approve", asked["id"]).code == 0
    again = call_aura("approval", "reject", asked["id"], "--feedback", "no", "--json")
    assert (again.code, again.error["code"]) == (1, "already_answered")


@pytest.mark.deep
def test_somebody_else_may_not_decide_unless_asked_to(asked, place, monkeypatch):
    monkeypatch.setenv("AURA_USER", "bob")
    refused = call_aura("approval", "approve", asked["id"], "--json")
    assert (refused.code, refused.error["code"]) == (1, "not_allowed")
    monkeypatch.setenv("AURA_USER", "alice")
    assert call_aura("approval", "delegate", asked["id"], "--to", "bob").code == 0
    monkeypatch.setenv("AURA_USER", "bob")
    assert call_aura("approval", "approve", asked["id"]).code == 0


def test_commands_that_are_proposed_name_the_store(place, tmp_path):
    store = f"sqlite:///{tmp_path}/other.db"
    words = ("--executor", "custom", "--prompt", "Say more", "--base-command", "sh", "--param", "-c", "--param", AGENT)
    first = call_aura("run", "--no-tui", *words, "--store", store)
    assert f"--store {store}" in first.out
    again = call_aura("approval", "reject", "--feedback", "louder", "--store", store)
    assert "aura approval approve" in again.out
    assert f"--store {store}" in again.out


@pytest.mark.deep
def test_a_run_that_waits_goes_on_when_a_human_has_decided_elsewhere(place):
    words = ("--executor", "custom", "--prompt", "Say more", "--base-command", "sh", "--param", "-c", "--param", AGENT)
    settings = {name: os.environ[name] for name in ("AURA_HOME", "AURA_STORE", "AURA_USER")}
    with running_aura("run", "--no-tui", "--wait", *words, "--repo", place, **settings) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "aura approval reject" in line:
                break
        (approval,) = call_aura("approval", "list", "--json").objects
        answer = call_aura("approval", "approve", approval["id"])
        assert "another process continues its task" in answer.out
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert "[aura] merged into main: " in out
    assert content(place, "main", "new.txt") == "Say more"


# --- What is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.deep
def test_a_list_and_a_page_say_what_where_who_and_when(asked, place):
    header, row = call_aura("approval", "list").out.splitlines()
    assert header.split()[:5] == ["id", "status", "kind", "repository", "title"]
    assert "decided" not in header
    for word in ("pending", "changes", place.name, "Say more", "alice", "1 file changed, +1 -0 …"):
        assert word in row
    page = call_aura("approval", "show").out.splitlines()
    assert f"repository {place}" in page
    assert "title     Say more" in page
    assert "waits for alice" in page
    (data,) = call_aura("approval", "list", "--json").objects
    assert (data["title"], data["repositories"]) == ("Say more", [str(place)])
    assert call_aura("approval", "approve", "--feedback", "fine\nby me").code == 0
    header, row = call_aura("approval", "list", "--all").out.splitlines()
    assert "decided (UTC)" in header
    assert re.search(r"  \d{4}-\d\d-\d\d \d\d:\d\d by alice  ", row)
    page = call_aura("approval", "show", asked["id"]).out
    assert " UTC by alice\n" in page
    assert "waits for no one\n" in page
    assert "feedback\n  fine\n  by me\n" in page


def test_a_tool_call_is_shown_whole_and_a_list_marks_what_it_cuts(place):
    command = f"echo {'x' * 500}\nrm -rf build  # END"
    step = {"ask": {"tool": "Bash", "arguments": {"description": "Tidy", "command": command, "more": {"n": [1]}}}}
    answer = call_aura(
        "run", "--no-tui", "--executor", "scripted", "--prompt", "x", "--deny", "*", "--attempts", "1",
        "--option", f"steps={json.dumps([step])}",
    )  # fmt: skip
    assert answer.code == 1
    (asked,) = call_aura("approval", "list", "--all", "--json").objects
    page = call_aura("approval", "show", asked["id"]).out
    assert f"\n  Bash\n    description: Tidy\n    command:\n      echo {'x' * 500}\n      rm -rf build  # END\n" in page
    assert '\n    more: {"n":[1]}\n' in page
    assert " by policy\n" in page
    row = call_aura("approval", "list", "--all").out.splitlines()[1]
    assert row.endswith("…")
    assert "END" not in row


@pytest.mark.deep
def test_questions_of_this_repository_come_first(asked, place, tmp_path, monkeypatch):
    other = make_repository(tmp_path / "other")
    words = ("--executor", "custom", "--prompt", "Say it", "--base-command", "sh", "--param", "-c", "--param", AGENT)
    assert call_aura("run", "--no-tui", *words, "--repo", other).code == 0

    def order() -> list[str]:
        return [one["repositories"][0] for one in call_aura("approval", "list", "--json").objects]

    (worktree,) = worktrees(other)
    (other / "sub").mkdir()
    (tmp_path / "link").symlink_to(other)
    for folder, first in ((place, place), (other, other), (other / "sub", other), (worktree, other), ("/", place)):
        monkeypatch.chdir(folder)
        assert order()[0] == str(first)
    monkeypatch.chdir(tmp_path / "link")
    assert order() == [str(other), str(place)]

    (shown,) = call_aura("approval", "show", "--json").objects
    assert shown["repositories"] == [str(other)], "the only one here"
    monkeypatch.chdir("/")
    assert "2 approvals are pending" in call_aura("approval", "show").err
    assert "2 approvals are pending" in call_aura("approval", "approve").err


# --- Who decides, and several at once ---------------------------------------------------------------------------------


def propose(*words: str) -> dict:
    """Create a task whose split waits for an answer; no agent runs."""
    (task,) = call_aura("task", "create", "Tidy up", "--json", *words).objects
    assigned = call_aura("task", "assign", task["id"], "--executor", "custom", "--base-command", "true", "--outside")
    assert assigned.code == 0, assigned.err
    assert call_aura("task", "decompose", task["id"], "--subtask", "Sweep").code == 0
    return next(one for one in call_aura("approval", "list", "--json").objects if one["task_id"] == task["id"])


def test_levels_and_delegates_are_shown_and_asked_in_turn(place, monkeypatch):
    asked = propose("--reviewer", "bob", "--level", "lead,boss:2", "--no-self-approval")
    assert call_aura("approval", "approve", asked["id"], "--json").error["facts"]["rule"] == "self_approval"
    monkeypatch.setenv("AURA_USER", "bob")
    until = ("--until", "2100-01-01", "--reason", "holiday")
    assert call_aura("approval", "delegate", asked["id"], "--to", "carol", *until).code == 0
    monkeypatch.setenv("AURA_USER", "carol")
    assert "is pending" in call_aura("approval", "approve", asked["id"]).out
    page = call_aura("approval", "show", asked["id"]).out
    assert "level     2 of 2: 1 of bob; then 2 of lead, boss\n" in page
    assert "waits for lead, boss\n" in page
    assert "delegated by bob to carol until 2100-01-01 00:00:00 UTC: holiday\n" in page
    assert re.search(r"\nanswer    approved by carol \(delegation of bob\), \S+ \S+ UTC, from cli \S+", page)
    late = call_aura("approval", "delegate", asked["id"], "--to", "eve", "--until", "7")
    assert "it is not a time" in late.err


def test_an_answer_may_name_the_commit_that_was_looked_at(asked, place):
    ((repository, commit),) = asked["commits"].items()
    other = call_aura("approval", "approve", asked["id"], "--commit", f"{repository}=abc", "--json")
    assert (other.code, other.error["code"]) == (1, "question_changed")
    assert call_aura("approval", "approve", asked["id"], "--commit", f"{repository}={commit}").code == 0
    assert f"having seen {commit}" in call_aura("approval", "show", asked["id"]).out


def test_several_answers_are_listed_and_one_refusal_stops_no_other(asked, place):
    other = propose("--reviewer", "bob", "--no-self-approval")
    both = call_aura("approval", "approve", other["id"], asked["id"], "--json")
    assert both.code == 1
    refused, answered = both.objects
    assert (refused["status"], refused["error"]["code"]) == ("refused", "not_allowed")
    assert answered["status"] == "approved"
    assert only_done(call_aura("task", "list", "--json").objects, asked["task_id"])


def only_done(tasks, task_id) -> bool:
    return [task["id"] for task in tasks if task["status"] == "completed"] == [task_id]


def test_all_that_wait_are_answered_by_kind_and_task(place):
    first, second = propose(), propose()
    nothing = call_aura("approval", "approve", "--all", "--kind", "changes")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "0 answers recorded, 0 refused\n")
    one = call_aura("approval", "reject", "--all", "--task", first["task_id"], "--feedback", "no", "--no-wait")
    assert one.out == f"approval {first['id']} is rejected\n"
    rest = call_aura("approval", "approve", "--all", "--no-wait", "--json").objects
    assert [answer["id"] for answer in rest] == [second["id"]]


@pytest.mark.parametrize("words", [("--kind", "plan"), ("a", "--all"), ("a", "b", "--commit", "app=1")])
def test_what_does_not_go_together_is_refused(place, words):
    assert call_aura("approval", "approve", *words).code != 0


def test_comments_are_shown_with_their_line(asked, place):
    said = call_aura("approval", "comment", asked["id"], "new.txt:1", "say it louder\nplease")
    assert said.out.endswith(" on new.txt:1\n")
    (comment,) = call_aura("approval", "show", "--json").objects[0]["comments"]
    assert (comment["line"], comment["outdated"], comment["anchor"]["content"]) == (1, False, "Say more")
    assert call_aura("approval", "comment", asked["id"], comment["id"], "or not").code == 0
    page = call_aura("approval", "show").out
    assert f"\ncomment   {comment['id']}\n  new.txt:1\n  > Say more\n  alice, " in page
    assert "\n    say it louder\n    please\n" in page
    assert page.endswith("    or not\n")
    for wrong in ("new.txt:9", "new.txt:x", "nothing"):
        assert call_aura("approval", "comment", asked["id"], wrong, "hm").code == 1
