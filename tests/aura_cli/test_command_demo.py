"""``aura demo``: the story is told as it happened, and the proof is one."""

from msgspec.structs import replace

from aura_cli import scenario
from aura_contracts.task import Task
from command_line import call_aura, run_aura


def test_the_demo_leaves_nothing_and_needs_nothing(tmp_path):
    answer = run_aura("demo", cwd=tmp_path, AURA_HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path))
    assert answer.code == 0
    assert list(tmp_path.iterdir()) == []
    lines = answer.out.splitlines()
    assert 40 <= len(lines) <= 60
    assert max(map(len, lines)) <= 120
    assert "refused [not_allowed]" in answer.out
    assert "silence is no" in answer.out
    assert "10 states kept while deciding = 10 states folded from the log" in answer.out


def test_the_demo_does_not_write_to_the_store_of_the_environment(tmp_path):
    assert run_aura("demo", AURA_STORE=f"sqlite:///{tmp_path}/mine.db").code == 0
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_kept_where_a_store_is_given(tmp_path):
    store = f"sqlite:///{tmp_path}/aura.db"
    for time in (1, 2):
        assert call_aura("demo", "--store", store).code == 0
        assert len(call_aura("events", "--json", "--store", store).objects) == 53 * time
    assert call_aura("audit", "verify", "--store", store).code == 0


def test_what_is_told_is_what_was_recorded(store, tmp_path):
    steps = call_aura("demo", "--json", "--store", f"sqlite:///{tmp_path}/new.db").objects
    told = [step for step in steps if step["kind"] == "step"]
    assert [step["refused"] for step in told if step["refused"]] == ["not_allowed"]
    final = {change["id"]: change["after"] for step in told for change in step["changes"]}
    rows = call_aura("replay", "--json", "--store", f"sqlite:///{tmp_path}/new.db").objects
    assert final == {row["id"]: row["status"] for row in rows if row["aggregate"] != "ledger"}
    assert [step["id"] for step in steps if step["kind"] == "proof"] == ["recorded", "replay", "seals"]


def test_steps_are_atomic(store):
    """All that a step concerns is under one command in the log."""
    events = call_aura("events", "--json", "--store", store).objects
    rejected = next(each for each in events if each["type"] == "task.rejected")
    together = {each["type"] for each in events if each["causation_id"] == rejected["causation_id"]}
    assert {"approval.rejected", "task.revision_started", "agent.resumed"} < together


def test_a_log_that_replays_to_other_states_is_an_error(monkeypatch, tmp_path):
    played = scenario.play

    async def forget_a_status(story: scenario.Story) -> None:
        await played(story)
        ident, task = next((i, s) for i, s in story.kept.items() if isinstance(s, Task))
        story.kept[ident] = replace(task, title="Another title")

    monkeypatch.setattr(scenario, "play", forget_a_status)
    answer = call_aura("demo", "--json", "--store", f"sqlite:///{tmp_path}/aura.db")
    assert answer.code == 1
    assert '"code":"replay_differs"' in answer.err
    assert "title: Another title → Let people search the recipes" in answer.err


def test_a_store_that_forgets_is_refused():
    answer = call_aura("demo", "--json", "--store", "memory:")
    assert (answer.code, answer.error["code"]) == (1, "store_misconfigured")
