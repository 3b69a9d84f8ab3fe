"""``aura workflow why`` and ``aura workflow critical-path``."""

from command_line import call_aura

HEAR = """\
name: hear
steps:
  - id: hear
    type: wait
    signal: ready
  - id: ship
    type: command
    run: "true"
    dependencies: [hear]
"""


def test_it_says_why_a_workflow_waits_and_where_its_time_went(place):
    (place / "hear.yaml").write_text(HEAR)
    identity = call_aura("workflow", "start", "hear.yaml", "--json").objects[0]["id"]

    for step in ((), ("ship",)):
        (chain,) = call_aura("workflow", "why", identity, *step, "--json").objects
        assert (chain["links"][-1]["kind"], chain["links"][-1]["id"]) == ("signal", "ready")
    told = call_aura("workflow", "why", identity, "ship").out
    assert "waits for step ship (pending), which waits for step hear (running), which waits for signal ready" in told
    unknown = call_aura("workflow", "why", identity, "shop")
    assert unknown.code != 0
    assert "workflow hear has no step 'shop'" in unknown.err

    running = call_aura("workflow", "critical-path", identity)
    assert [line.split()[0] for line in running.out.splitlines()] == ["hear"]
    assert running.out.rstrip().endswith("it runs")
    call_aura("workflow", "signal", identity, "ready")
    call_aura("workflow", "advance", identity, "--wait")
    assert call_aura("workflow", "why", identity).out == ""
    steps = call_aura("workflow", "critical-path", identity, "--json").objects
    assert [one["step_id"] for one in steps] == ["hear", "ship"]
