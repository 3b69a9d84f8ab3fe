"""``aura demo``: the story is told as it happened, and the proof is one."""

import os
import shutil

import pytest
from msgspec.structs import replace

from aura_cli.demonstration import play
from command_line import call_aura, run_aura


@pytest.mark.deep
def test_the_demo_leaves_nothing_and_needs_nothing(tmp_path):
    own = {"AURA_HOME": str(tmp_path / "home"), "AURA_STORE": f"sqlite:///{tmp_path}/mine.db"}
    answer = run_aura("demo", cwd=tmp_path, TMPDIR=str(tmp_path), **own)
    assert answer.code == 0, answer.err
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("aura-")] == []
    assert "rejected by alice: Greet the world when no name is given" in answer.out
    assert 'greet.sh on main: echo "Hello, ${1:-world}"' in answer.out
    assert "10 states that were decided on = 10 states folded from the log" in answer.out
    assert answer.out.count("process exited with 0") == 3
    assert '{"aura"' not in answer.out, "the agent's own protocol is not told"


def test_without_git_the_demo_says_what_to_install(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("bash", "sh", "sed", "mv"):
        (programs / name).symlink_to(shutil.which(name))
    answer = run_aura("demo", PATH=str(programs))
    assert answer.code != 0
    assert "PATH: git was not found" in answer.err
    assert "install git 2.34 or newer" in answer.err


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A store on which the demo was played, and what it said."""
    store = f"sqlite:///{tmp_path_factory.mktemp('played')}/aura.db"
    answer = call_aura("demo", "--store", store, "--json")
    assert (answer.code, answer.err) == (0, "")
    return store, answer


@pytest.mark.deep
def test_the_log_is_kept_where_a_store_is_given(played):
    store, answer = played
    assert all(line["id"] for line in answer.objects)
    told = [line for line in answer.objects if line["kind"] == "event"]
    events = call_aura("events", "--json", "--store", store).objects
    untold = [event["type"] for event in events if event not in told]
    assert untold == ["agent.registered", "ledger.checkpointed"], "all that is about the task is told"
    assert call_aura("audit", "verify", "--store", store).code == 0
    assert call_aura("demo", "--store", store).code == 0, "and it can be played again on the same store"


def test_the_demo_kills_aura_and_resumes_with_the_same_agent(played):
    _, answer = played
    kinds = [one["kind"] for one in answer.objects]
    place = kinds.index("killed")
    with pytest.raises(ProcessLookupError):
        os.kill(int(answer.objects[place]["id"]), 0)
    assert [one["title"] for one in answer.objects[place:] if one["kind"] == "chapter"] == [
        "The same command again: resumed, with the same agent",
        "The log is the truth",
    ]
    before, after = (
        [one["type"] for one in part if one["kind"] == "event"]
        for part in (answer.objects[:place], answer.objects[place:])
    )
    assert before[-1] == "output.recorded", "killed while the agent worked"
    assert "execution.process_started" not in after, "the agent was not started again"
    assert after.count("execution.process_exited") == after.count("task.completed") == 1
    (shown,) = [one for one in answer.objects[place:] if one["kind"] == "file"]
    assert shown["text"] == play.THIRD.strip()


@pytest.mark.deep
def test_a_log_that_replays_to_other_states_is_an_error(monkeypatch, tmp_path):
    states_of = play._states

    async def forget_the_title(engine, run):
        states = await states_of(engine, run)
        return states | {run.id: replace(states[run.id], title="Another title")}

    monkeypatch.setattr(play, "_states", forget_the_title)
    answer = call_aura("demo", "--json", "--store", f"sqlite:///{tmp_path}/aura.db")
    assert answer.code == 1
    assert '"code":"replay_differs"' in answer.err
    assert f"title: Another title → {play.PROMPT}" in answer.err


def test_a_store_that_forgets_is_refused():
    answer = call_aura("demo", "--json", "--store", "memory:")
    assert (answer.code, answer.error["code"]) == (1, "store_misconfigured")
