"""``aura board``: boards created, shown, edited and archived, and cards moved."""

import pytest

from command_line import call_aura


@pytest.fixture
def task(place):
    (made,) = call_aura("task", "create", "Fix the login", "--json").objects
    return made["id"]


def columns_of(board="Team"):
    (shown,) = call_aura("board", "show", board, "--json").objects
    return {column["id"]: [card["id"] for card in column["cards"]] for column in shown["columns"]}


def test_a_board_is_created_listed_shown_edited_and_archived(place, task):
    words = [f"--column={name}" for name in ("Ideas=backlog", "In work=running", "Next=ready", "Review=review")]
    words += [f"--column={name}" for name in ("Done=done", "Gone=cancelled", "Stuck=blocked")]
    (board,) = call_aura("board", "create", "Team", *words, "--json").objects
    assert [column["id"] for column in board["columns"]][:3] == ["ideas", "in-work", "next"]
    assert call_aura("board", "list", "--json").objects == [board]
    assert columns_of()["ideas"] == [task]
    moved = call_aura("board", "move", "Team", task, "next")
    assert moved.out == f"task {task} is in Next: Fix the login\n"
    assert columns_of()["next"] == [task]
    edits = ("--add", "Testing=running", "--limit", "Next=1", "--rules", "Testing=clean_git,no_process")
    (edited,) = call_aura("board", "edit", "Team", *edits, "--name", "Crew", "--rename", "Ideas=Soon", "--json").objects
    assert [column["name"] for column in edited["columns"]] == [
        *("Soon", "In work", "Next", "Review", "Done", "Gone", "Stuck", "Testing")
    ]
    assert edited["columns"][-1]["rules"] == ["clean_git", "no_process"]
    shown = call_aura("board", "show", "Crew").out
    assert f"Next (ready): 1 card of at most 1\n  {task}  pending  Fix the login\n" in shown
    assert "Testing (running): 0 cards; clean_git, no_process\n" in shown
    lifted = ("--limit", "Next=none", "--rules", "Testing=none", "--remove", "In work")
    (edited,) = call_aura("board", "edit", "Crew", *lifted, "--json").objects
    assert [(one["wip_limit"], one["rules"]) for one in edited["columns"]] == [(None, [])] * 7
    assert call_aura("board", "archive", "Crew").out.startswith("board Crew is archived: ")
    assert call_aura("board", "list").err == "0 boards\n"
    assert len(call_aura("board", "list", "--all", "--json").objects) == 1


def test_cards_are_placed_ranked_and_removed(place, task):
    assert call_aura("project", "add", "shop").code == 0
    assert call_aura("board", "create", "Team", "--project", "shop").code == 0
    assert columns_of()["backlog"] == []
    (own,) = call_aura("task", "create", "Own", "--project", "shop", "--json").objects
    assert columns_of()["backlog"] == [own["id"]]
    assert call_aura("board", "place", "Team", task, "--rank", "0").code == 0
    assert columns_of()["backlog"] == [task, own["id"]]
    assert call_aura("board", "move", "Team", task, "backlog", "--rank", "1").code == 0
    assert columns_of()["backlog"] == [own["id"], task]
    assert call_aura("board", "remove", "Team", own["id"]).code == 0
    assert columns_of()["backlog"] == [task]


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("create", "New", "--column", "Ideas=backlog"), "rule", "no column would be left for tasks that are ready"),
        (("create", "New", "--project", "gone"), "invalid_input", "there is no project 'gone'"),
        (("show", "Nowhere"), "not_found", "Nowhere"),
        (("move", "Team", "TASK", "done"), "rule", "for tasks that are done"),
        (("move", "Team", "TASK", "running"), "rule", "it needs an agent to work on it"),
        (("move", "Team", "TASK", "nowhere"), "invalid_input", "has no column 'nowhere'"),
        (("edit", "Team", "--remove", "Ready"), "rule", "no column would be left"),
        (("edit", "Team", "--remove", "Backlog"), "rule", "holds 1 card"),
        (("edit", "Team", "--order", "ready,backlog"), "rule", "the order names"),
        (("edit", "Team", "--add", "ready=ready"), "rule", "belongs to another column"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_changes(place, task, words, code, says):
    assert call_aura("board", "create", "Team").code == 0
    before = call_aura("board", "list", "--json").objects
    answer = call_aura("board", *(task if word == "TASK" else word for word in words), "--json")
    assert answer.code == 1
    assert code in answer.error["code"]
    assert says in answer.error["message"]
    assert call_aura("board", "list", "--json").objects == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create", "New", "--column", "Ideas=nowhere"), "'nowhere' is not one of backlog, ready"),
        (("edit", "Team", "--limit", "Ready=0"), "'0' is not a whole number of at least 1"),
        (("edit", "Team", "--rules", "Ready=clean"), "'clean' is not one of clean_git"),
        (("edit", "Team", "--rename", "Ready"), "not of the form NAME=VALUE"),
    ],
)
def test_what_cannot_be_read_is_wrong_usage(place, words, says):
    answer = call_aura("board", *words)
    assert answer.code == 2
    assert says in answer.err
