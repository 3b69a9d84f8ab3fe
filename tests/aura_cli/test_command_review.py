"""``aura review``: the inbox as one walk, on a real terminal."""

import json

import pytest

from command_line import call_aura
from repositories import content, make_repository, worktrees
from terminal_session import Session, aura_session

KEYS = "[y/n/d/c/e/l/next/q/?]"


def asked(repository, prompt: str, lines: int = 1) -> dict:
    """Have an agent change something, and leave the question open."""
    text = "".join(f"{prompt} {number}\n" for number in range(lines))
    rounds = [[{"write": {"path": "new.txt", "text": text}}], [{"write": {"path": "new.txt", "text": "louder\n"}}]]
    words = ("--executor", "scripted", "--prompt", prompt, "--option", f"rounds={json.dumps(rounds)}")
    assert call_aura("run", "--no-tui", *words, "--repo", str(repository)).code == 0
    return call_aura("approval", "list", "--json").objects[-1]


def answer(terminal: Session, text: str) -> int:
    """Type an answer once the keys are shown; return how much was on the screen by then."""
    place = len(terminal.seen)
    terminal.type(text)
    return place


def statuses() -> list[str]:
    return [one["status"] for one in call_aura("approval", "list", "--all", "--json").objects]


@pytest.mark.deep
def test_the_walk_shows_pages_takes_comments_and_goes_on_with_what_comes_up(place, tmp_path):
    other = make_repository(tmp_path / "other")
    asked(other, "Say it")
    asked(place, "Say more", lines=80)
    with aura_session(place, "review", rows=24) as terminal:
        terminal.until("lines more: Enter shows them")
        assert "2 questions left" in terminal.seen
        assert f"repository {place}" in terminal.seen, "this repository first"
        assert f"repository {other}" not in terminal.seen
        assert "\033[32m+Say more 1\033[0m" in terminal.seen
        assert "+Say more 79" not in terminal.seen
        seen = answer(terminal, "q\n")
        terminal.until(KEYS, seen)
        seen = answer(terminal, "c\n")
        terminal.until("FILE:LINE", seen)
        seen = answer(terminal, "new.txt:3 why three?\n")
        terminal.until("commented on new.txt:3", seen)
        terminal.until(KEYS, seen)
        seen = answer(terminal, "n\n")
        terminal.until("why not?", seen)
        seen = answer(terminal, "say it louder\n")
        terminal.until(f"repository {other}", seen)
        terminal.until(KEYS, seen)
        seen = answer(terminal, "next\n")
        terminal.until("1 question left", seen)
        terminal.until(KEYS, seen)
        seen = answer(terminal, "y\n")
        terminal.until("carrying them out", seen)
        terminal.until("+louder", seen)
        terminal.until(KEYS, terminal.seen.index("+louder"))
        seen = answer(terminal, "l\n")
        assert terminal.ends() == 0
    assert sorted(statuses()) == ["approved", "pending", "rejected"]
    assert content(other, "main", "new.txt") == "Say it 0"
    (comment,) = call_aura("approval", "show", "--json").objects[0]["comments"]
    assert (comment["text"], comment["outdated"]) == ("why three?", True)


@pytest.mark.deep
def test_typed_ahead_is_no_answer_and_what_was_decided_elsewhere_is_passed_over(place):
    first, second = asked(place, "One"), asked(place, "Two")
    with aura_session(place, "review", "--no-wait") as terminal:
        terminal.type("y\ny\n")
        terminal.until(KEYS)
        assert call_aura("approval", "reject", second["id"], "--feedback", "no", "--no-wait").code == 0
        assert call_aura("approval", "reject", first["id"], "--feedback", "no", "--no-wait").code == 0
        seen = answer(terminal, "y\n")
        terminal.until("already_answered", seen)
        assert terminal.ends() == 0
        assert "is rejected by now" in terminal.seen
    assert statuses() == ["rejected", "rejected"]
    assert len(worktrees(place)) == 2


@pytest.mark.deep
def test_a_question_names_the_other_task_that_changes_the_same_file(place, tmp_path):
    other = make_repository(tmp_path / "other")
    first, second = asked(place, "One"), asked(place, "Two")
    asked(other, "Elsewhere")
    with aura_session(place, "review", "--no-wait") as terminal:
        terminal.until(KEYS)
        answer(terminal, "q\n")
        assert terminal.ends() == 0
        shown = "".join(terminal.seen.split())  # the terminal breaks lines
        page = f"overlap   task {first['task_id']} (One), which is awaiting_approval, changes new.txt, too"
        other_page = f"overlap   task {second['task_id']} (Two), which is awaiting_approval, changes new.txt, too"
        assert "".join(page.split()) in shown or "".join(other_page.split()) in shown
    (data,) = call_aura("approval", "show", second["id"], "--json").objects
    overlap = {"task_id": first["task_id"], "title": "One", "status": "awaiting_approval", "files": 1}
    assert data["overlaps"] == [{**overlap, "paths": ["new.txt"]}]
    assert f"task {first['task_id']} (One)" in call_aura("approval", "show", second["id"]).out


@pytest.mark.deep_but_first
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_without_a_terminal_it_says_what_to_use(place, words):
    asked(place, "One")
    refused = call_aura("review", *words)
    assert refused.code == 1
    assert "aura approval list" in refused.err


@pytest.mark.deep
def test_an_empty_inbox_says_so(place):
    asked(place, "One")
    assert call_aura("approval", "approve").code == 0
    with aura_session(place, "review") as terminal:
        assert terminal.ends() == 0
        assert "nothing waits for you" in terminal.seen
