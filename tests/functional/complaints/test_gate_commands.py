"""Complaints 12, 14 and 23: what the command line tells about answers, and what follows from them."""

import os
import sqlite3
from contextlib import closing

import pytest

from command_line import call_aura, move_to, running_aura

SHIP = """\
name: ship
steps:
  - {id: ask, type: human_approval, question: "Ship it?"}
  - {id: ship, type: command, run: echo shipped >> ../witness, dependencies: [ask]}
"""

CALL = """\
name: call
steps:
  - {id: sub, type: workflow, workflow: ship}
  - {id: after, type: command, run: echo after >> ../witness, dependencies: [sub]}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    place = move_to(tmp_path, monkeypatch)
    (place / "ship.yaml").write_text(SHIP.replace("../witness", str(tmp_path / "witness")))
    (place / "call.yaml").write_text(CALL.replace("../witness", str(tmp_path / "witness")))
    return place


@pytest.fixture
def witness(tmp_path):
    """Return what the commands of steps have written."""
    return lambda: (tmp_path / "witness").read_text().split() if (tmp_path / "witness").exists() else []


def settings():
    return {name: os.environ[name] for name in ("AURA_HOME", "AURA_STORE", "AURA_USER")}


def parked(file):
    """Start a workflow, have a process drive it to its question, and kill that; return the ids of both."""
    (workflow,) = call_aura("workflow", "start", file, "--json").objects
    with running_aura("workflow", "advance", workflow["id"], "--wait", **settings()) as process:
        assert process.stderr is not None
        asked = next(line for line in process.stderr if "waits for a human" in line)
    return workflow["id"], asked.split()[1]


def test_12_an_answer_continues_what_no_process_drives(place, witness):
    """smithersai/smithers#242: approved, but nothing resumed the detached run, and "why" reported no blockers.

    In AURA `aura approval approve` carries the workflow on itself, up to the outermost one, where no process does; with
    `--no-wait` it says who has to, and so does `aura workflow why`.
    """
    call_aura("workflow", "create", "ship.yaml")
    _, question = parked("call.yaml")
    answered = call_aura("approval", "approve", question)
    assert answered.code == 0
    assert "step after is completed" in answered.err
    assert witness() == ["shipped", "after"]
    workflow, question = parked("ship.yaml")
    assert "carries it out" in call_aura("approval", "approve", question, "--no-wait").err
    why = call_aura("workflow", "why", workflow)
    assert f"waits for an engine: approval {question} is approved" in why.out
    assert f"`aura workflow advance {workflow} --wait`" in why.err
    assert witness() == ["shipped", "after"]
    assert call_aura("workflow", "advance", workflow, "--wait").code == 0
    assert witness() == ["shipped", "after", "shipped"]


@pytest.mark.deep
def test_12_several_answers_at_once_continue_their_workflows(place, witness):
    """smithersai/smithers#242, for `aura approval approve --all`: each of the workflows runs on, to the outermost."""
    call_aura("workflow", "create", "ship.yaml")
    outer, _ = parked("call.yaml")
    other, _ = parked("ship.yaml")
    assert call_aura("approval", "approve", "--all").code == 0
    assert sorted(witness()) == ["after", "shipped", "shipped"]
    for workflow in (outer, other):
        assert call_aura("workflow", "show", workflow, "--json").objects[0]["status"] == "completed"


def test_14_an_answer_that_cannot_be_read_is_no_refusal(place, witness, tmp_path):
    """awslabs/cli-agent-orchestrator PR #751 (fixes #696): "store unreadable" was reported as "not approved".

    In AURA commands name the damage, and the workflow goes on waiting: neither approved nor rejected.
    """
    workflow, question = parked("ship.yaml")
    call_aura("approval", "approve", question, "--no-wait")

    with closing(sqlite3.connect(tmp_path / "aura.db")) as database, database:
        rows = "originator_id = ? AND originator_version = ?"
        (kept,) = database.execute(f"SELECT state FROM stored_events WHERE {rows}", (question, 2)).fetchone()
        database.execute(f"UPDATE stored_events SET state = x'00' WHERE {rows}", (question, 2))
    for words in (("approval", "show", question), ("workflow", "advance", workflow, "--wait")):
        told = call_aura(*words, "--json")
        assert (told.code, told.error["code"], question in told.err) == (1, "undecodable_event", True), told
    (shown,) = call_aura("workflow", "show", workflow, "--json").objects
    assert (shown["status"], shown["steps"]["ask"]["status"]) == ("active", "awaiting_approval")
    with closing(sqlite3.connect(tmp_path / "aura.db")) as database, database:
        database.execute(f"UPDATE stored_events SET state = ? WHERE {rows}", (kept, question, 2))
    assert call_aura("workflow", "advance", workflow, "--wait").code == 0
    assert witness() == ["shipped"]


@pytest.mark.deep
def test_23_resume_resumes_or_says_what_will(place, witness):
    """argoproj/argo-workflows#12863: resume answered 200, and nothing resumed.

    In AURA `aura workflow resume --wait` carries it out, without it the command says who has to unless a service runs,
    and there is an error if nothing was paused.
    """
    (workflow,) = call_aura("workflow", "start", "ship.yaml", "--json").objects
    refused = call_aura("workflow", "resume", workflow["id"], "--json")
    assert (refused.code, refused.error["code"]) == (1, "wrong_state")
    assert call_aura("workflow", "pause", workflow["id"]).code == 0
    resumed = call_aura("workflow", "resume", workflow["id"])
    assert (resumed.code, "no service looks after this store" in resumed.err) == (0, True)
    assert call_aura("workflow", "pause", workflow["id"]).code == 0
    with running_aura("serve", "--json", **settings()) as service:
        assert service.stdout is not None
        assert '"serving"' in service.stdout.readline()
        resumed = call_aura("workflow", "resume", workflow["id"])
        assert (resumed.code, resumed.err) == (0, "")
        with running_aura("workflow", "advance", workflow["id"], "--wait", **settings()) as process:
            assert process.stderr is not None
            asked = next(line for line in process.stderr if "waits for a human" in line)
            assert call_aura("approval", "approve", asked.split()[1]).code == 0
            out, _ = process.communicate(timeout=60)
            assert (process.returncode, out) == (0, f"workflow {workflow['id']} is completed: ship\n")
    assert witness() == ["shipped"]
