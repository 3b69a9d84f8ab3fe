"""``aura workflow``: definitions checked and stored, workflows started, shown and steered."""

import os

import pytest

from command_line import call_aura, run_aura, running_aura

SHIP = """\
name: ship
description: Builds and ships.
inputs:
  version: {type: string}
  loud: {type: boolean, default: false}
steps:
  - id: build
    type: command
    run: echo built {{ inputs.version }} {{ inputs.loud }}
  - id: approve
    type: human_approval
    question: Ship {{ inputs.version }}?
    dependencies: [build]
  - id: ship
    type: command
    run: echo shipped
    dependencies: [approve]
"""

HEAR = """\
name: hear
steps:
  - id: hear
    type: wait
    signal: ready
"""

FAIL = """\
name: fail
steps:
  - id: fail
    type: command
    run: exit 3
  - id: after
    type: command
    run: "true"
    dependencies: [fail]
"""


@pytest.fixture
def files(place):
    for name, text in (("ship", SHIP), ("hear", HEAR), ("fail", FAIL)):
        (place / f"{name}.yaml").write_text(text)
    return place


def test_a_file_is_validated(files):
    valid = call_aura("workflow", "validate", "ship.yaml")
    assert (valid.code, valid.out, valid.err) == (0, "", "ship.yaml is valid\n")
    (files / "bad.yaml").write_text(SHIP.replace("dependencies: [build]", "dependencies: [biuld]"))
    told = call_aura("workflow", "validate", "bad.yaml")
    assert (told.code, told.out) == (
        1,
        "bad.yaml:13:20: there is no step 'biuld' in this block; did you mean 'build'?\n",
    )
    (fault,) = call_aura("workflow", "validate", "bad.yaml", "--json").objects
    assert (fault["file"], fault["line"], fault["column"], fault["code"]) == ("bad.yaml", 13, 20, "unknown_step")
    assert call_aura("workflow", "validate", "none.yaml").code == 1
    for command in ("create", "start"):
        refused = call_aura("workflow", command, "bad.yaml")
        assert (refused.code, refused.out) == (1, told.out)


def test_a_definition_is_stored_listed_shown_and_retired(files):
    (made,) = call_aura("workflow", "create", "ship.yaml", "--json").objects
    assert (made["name"], made["revision"], made["status"]) == ("ship", 1, "active")
    assert f"definition ship has revision 1: {made['id']}" in call_aura("workflow", "create", "ship.yaml").out
    (files / "ship.yaml").write_text(SHIP.replace("Builds and ships.", "Ships."))
    assert "has revision 2" in call_aura("workflow", "create", "ship.yaml", "--based-on", "1").out
    stale = call_aura("workflow", "create", "hear.yaml", "--based-on", "1")
    assert (stale.code, "the newest one is 0" in stale.err) == (1, True)
    (listed,) = call_aura("workflow", "list", "--definitions", "--json").objects
    assert (listed["id"], listed["revision"]) == (made["id"], 2)
    assert "ship  2         3" in call_aura("workflow", "list", "--definitions").out
    shown = call_aura("workflow", "show", "ship", "--definition", "--revision", "1")
    assert "description: Builds and ships." in shown.out
    (files / "again.yaml").write_text(shown.out)
    assert call_aura("workflow", "validate", "again.yaml").code == 0
    assert "there is no revision 3" in call_aura("workflow", "show", "ship", "--definition", "--revision", "3").err
    assert call_aura("workflow", "retire", "ship", "--reason", "new").out == "definition ship is retired\n"
    assert call_aura("workflow", "list", "--definitions").err == "0 definitions\n"
    assert "was retired" in call_aura("workflow", "start", "ship", "--var", "version=1").err
    assert call_aura("workflow", "restore", "ship").out == "definition ship is active\n"


def test_a_workflow_is_started_by_key_answered_and_carried_out(files):
    words = ("workflow", "start", "ship.yaml", "--var", "version=1.0", "--key", "r1")
    (started,) = call_aura(*words, "--json").objects
    assert (started["status"], started["inputs"]) == ("active", {"version": "1.0", "loud": False})
    assert call_aura(*words, "--json").objects[0]["id"] == started["id"]
    again = call_aura(*words)
    assert "`aura serve` carries it out, or `aura workflow advance" in again.err
    reused = call_aura("workflow", "start", "ship.yaml", "--var", "version=2", "--key", "r1", "--json")
    assert (reused.code, reused.error["code"]) == (1, "key_reused")
    missing = call_aura("workflow", "start", "ship.yaml")
    assert (missing.code, "version" in missing.err) == (1, True)
    settings = {name: os.environ[name] for name in ("AURA_HOME", "AURA_STORE", "AURA_USER")}
    with running_aura("workflow", "advance", started["id"], "--wait", **settings) as process:
        assert process.stderr is not None
        asked = next(line for line in process.stderr if "aura approval approve" in line)
        assert "waits for a human: Ship 1.0?" in asked
        assert call_aura("approval", "approve", asked.split()[1]).code == 0
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, f"workflow {started['id']} is completed: ship\n")
    shown = call_aura("workflow", "show", started["id"][:13])
    assert "3 of 3 steps are over" in shown.out
    assert call_aura("workflow", "list", "--status", "completed", "--json").objects[0]["id"] == started["id"]
    history = call_aura("workflow", "history", started["id"], "--json").objects
    assert (history[0]["type"], history[-1]["type"]) == ("workflow.started", "workflow.completed")
    assert "workflow.completed" not in call_aura("workflow", "history", started["id"]).out
    (fork,) = call_aura("workflow", "fork", started["id"], "--step", "ship", "--wait", "--json").objects
    assert (fork["status"], fork["forked_from"]["step_id"]) == ("completed", "ship")


def test_a_failed_one_exits_with_one_and_goes_on_after_a_skip(files):
    failed = call_aura("workflow", "start", "fail.yaml", "--wait", "--json")
    assert (failed.code, failed.error["code"]) == (1, "workflow_run_failed")
    (workflow,) = failed.objects
    assert (workflow["status"], workflow["steps"]["fail"]["status"]) == ("failed", "failed")
    retried = call_aura("workflow", "retry", workflow["id"], "fail", "--wait")
    assert (retried.code, "step fail failed" in retried.err) == (1, True)
    skipped = call_aura("workflow", "skip", workflow["id"], "fail", "--reason", "known", "--wait")
    assert skipped.code == 0
    assert skipped.out == f"workflow {workflow['id']} is completed: fail\n"


def test_a_workflow_is_paused_resumed_signalled_and_cancelled(files):
    (workflow,) = call_aura("workflow", "start", "hear.yaml", "--json").objects
    identity = workflow["id"]
    assert call_aura("workflow", "pause", identity, "--reason", "lunch").out == f"workflow {identity} is paused: hear\n"
    assert "lunch" in call_aura("workflow", "show", identity).out
    twice = call_aura("workflow", "pause", identity, "--json")
    assert (twice.code, twice.error["code"]) == (1, "wrong_state")
    assert call_aura("workflow", "resume", identity).code == 0
    signalled = call_aura("workflow", "signal", identity, "ready", "--data", '{"n": 1}', "--key", "k", "--json")
    (heard,) = signalled.objects
    assert (heard["status"], heard["steps"]["hear"]["result"]) == ("completed", {"n": 1})
    assert call_aura("workflow", "advance", identity, "--wait", "--json").objects == [heard]
    (other,) = call_aura("workflow", "start", "hear.yaml", "--json").objects
    assert call_aura("workflow", "cancel", other["id"], "--reason", "no").out.startswith(
        f"workflow {other['id']} is cancel"
    )
    assert call_aura("workflow", "list", "--name", "hear", "--limit", "1", "--json").objects[0]["id"] == other["id"]


def test_bad_input_is_refused_with_its_place_and_changes_nothing(files):
    end = "  - {id: a, type: end}\n"
    (files / "large.yaml").write_text(f"name: bad\nsteps:\n{end}#{'x' * 10_000_000}")
    (files / "many.yaml").write_text("name: bad\nsteps:\n" + "".join(end.replace("a", f"s{n}", 1) for n in range(9999)))
    (files / "bomb.yaml").write_text("a: &a [x]\nb: &b [*a, *a]\nname: bad\nsteps:\n" + end)
    for name in ("large", "many", "bomb"):
        for command in ("validate", "create", "start"):
            refused = call_aura("workflow", command, f"{name}.yaml")
            assert (refused.code, refused.out.split(":")[0]) == (1, f"{name}.yaml")
    (files / "over.yaml").write_text("name: over\ninputs:\n  n: {type: integer}\nsteps:\n" + end)
    (first,) = call_aura("workflow", "start", "over.yaml", "--var", "n=1", "--wait", "--json").objects
    late = call_aura("workflow", "signal", first["id"], "go", "--json")
    assert (late.code, late.error["code"]) == (1, "wrong_state")
    assert "inputs.n: x is not of type integer" in call_aura("workflow", "start", "over.yaml", "--var", "n=x").err
    assert [row["id"] for row in call_aura("workflow", "list", "--json").objects] == [first["id"]]


def test_a_file_to_begin_with_is_written_once(files):
    names = call_aura("workflow", "init").out.split()
    assert names == ["build-feature", "fix-bug", "refactor-code"]
    for name in names:
        assert call_aura("workflow", "init", name).out == f"{name}.yaml is written\n"
        assert call_aura("workflow", "validate", f"{name}.yaml").code == 0
        assert call_aura("workflow", "init", name, "--output", "-").out == (files / f"{name}.yaml").read_text()
    (files / "fix-bug.yaml").write_text("mine")
    again = call_aura("workflow", "init", "fix-bug")
    assert (again.code, "File exists" in again.err) == (1, True)
    assert (files / "fix-bug.yaml").read_text() == "mine"
    assert "use one of build-feature" in call_aura("workflow", "init", "nothing").err


def test_a_workflow_is_drawn(files):
    assert "approve  human approval" in call_aura("workflow", "graph", "ship.yaml").out
    assert call_aura("workflow", "graph", "ship.yaml", "--format", "mermaid").out.startswith("flowchart TD\n")
    assert (
        call_aura("workflow", "graph", "ship.yaml", "--format", "svg", "--output", "a.svg").out == "a.svg is written\n"
    )
    assert (files / "a.svg").read_text().startswith("<svg")
    (workflow,) = call_aura("workflow", "start", "fail.yaml", "--wait", "--json").objects
    for word in (workflow["id"], workflow["id"][:13]):
        assert "failed" in call_aura("workflow", "graph", word).out
    (graph,) = call_aura("workflow", "graph", workflow["id"], "--json").objects
    assert (graph["name"], graph["status"], len(graph["nodes"])) == ("fail", "failed", 2)
    assert call_aura("workflow", "create", "ship.yaml").code == 0
    assert "approve" in call_aura("workflow", "graph", "ship").out
    assert call_aura("workflow", "graph", "nothing").code == 1


def test_the_installed_command_answers_without_a_store(files):
    listed = run_aura("workflow", "list", cwd=files, AURA_HOME=str(files / "nothing"))
    assert (listed.code, "0 workflows" in listed.err) == (0, True)
