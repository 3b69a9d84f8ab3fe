"""The builder makes what a file states, and refuses what a file may not state."""

import pytest

from aura_contracts.errors import InvalidDefinition
from aura_contracts.workflow.values import StepRetry
from aura_engine.orchestration.builder import (
    agent_task,
    case,
    command,
    conditional,
    define_workflow,
    end,
    for_each,
    human_approval,
    loop,
    parallel,
    sub_workflow,
    wait,
)
from aura_engine.orchestration.definition_file import read_definition

NEIGHBOURS = "dependencies name steps next to one another"

FILE = """\
name: build
inputs: {feature: {type: string}}
options: {repositories: [.]}
compensate_on: [cancelled]
steps:
  - id: plan
    type: agent_task
    task_template: Plan {{ inputs.feature }}
    agent_type: architect
    output: {type: object}
    retry: {attempts: 2}
  - {id: ask, type: human_approval, question: So?, dependencies: [plan], reviewers: [ann], deadline: 1h}
  - id: choose
    type: conditional
    dependencies: [plan, ask]
    join: all_done
    cases:
      - when: steps.ask.status == 'completed'
        steps: [{id: go, type: workflow, workflow: ship, inputs: {a: [1]}}]
    otherwise: [{id: stop, type: end, status: failed, reason: no}]
  - id: several
    type: parallel
    completion: first
    completion_n: 2
    steps:
      - {id: pause, type: wait, duration: 5}
      - {id: until, type: wait, until: "{{ inputs.feature }}"}
      - {id: signal, type: wait, signal: go, on_failure: continue, priority: high, locks: [x]}
  - id: each
    type: for_each
    items: "[1, 2]"
    concurrency: 1
    steps: [{id: run, type: command, run: make, recovery: rerun, timeout: 60}]
  - id: rework
    type: loop
    until: steps.review.output.ok
    limit: 3
    when: inputs.feature
    steps: [{id: review, type: command, run: check, compensation: {id: undo, type: command, run: undo}}]
    handler: [{id: sorry, type: agent_task, task_template: Say sorry}]
"""


def test_the_same_workflow_in_python_and_in_a_file():
    built = define_workflow(
        "build",
        inputs={"feature": {"type": "string"}},
        options={"repositories": (".",)},
        compensate_on=["cancelled"],
        steps=[
            agent_task(
                "plan",
                "Plan {{ inputs.feature }}",
                agent_type="architect",
                output={"type": "object"},
                retry=StepRetry(attempts=2),
            ),
            human_approval("ask", "So?", dependencies=["plan"], reviewers=["ann"], deadline=3600),
            conditional(
                "choose",
                [case("steps.ask.status == 'completed'", [sub_workflow("go", "ship", inputs={"a": (1,)})])],
                otherwise=[end("stop", status="failed", reason="no")],
                dependencies=["plan", "ask"],
                join="all_done",
            ),
            parallel(
                "several",
                [
                    wait("pause", duration=5),
                    wait("until", until="{{ inputs.feature }}"),
                    wait("signal", signal="go", on_failure="continue", priority="high", locks=["x"]),
                ],
                completion="first",
                completion_n=2,
            ),
            for_each("each", "[1, 2]", [command("run", "make", recovery="rerun", timeout=60)], concurrency=1),
            loop(
                "rework",
                [command("review", "check", compensation=command("undo", "undo"))],
                until="steps.review.output.ok",
                limit=3,
                when="inputs.feature",
                handler=[agent_task("sorry", "Say sorry")],
            ),
        ],
    )
    assert read_definition(FILE.encode(), "w.yaml").require("w.yaml") == built


def test_all_faults_are_raised_at_once_with_their_paths():
    with pytest.raises(InvalidDefinition) as raised:
        define_workflow(
            "build",
            steps=[
                parallel("a", [wait("a"), command("b", "", timeout=-1)], join="n_of"),
                agent_task("c", "x", dependencies=["b"], options={"since": object()}),
            ],
        )
    assert [*map(str, raised.value.faults)] == [
        "steps[0].steps[0].id: there is a step with the id 'a' already, at steps[0].id",
        f"steps[1].dependencies[0]: step 'b' is not in the same block; {NEIGHBOURS}, at steps[0].steps[1]",
        "steps[0].join: join is about dependencies, and the step has none; `completion` says when it completes",
        "steps[0].steps[0]: a wait has one of duration, until and signal",
        "steps[0].steps[1].timeout: a time is more than 0 to 31622400 seconds (366 days), not -1",
        "steps[0].steps[1].run: the text is empty",
        "steps[1].options.since: object is not plain data: texts, numbers, lists and tables of them",
    ]


@pytest.mark.parametrize(
    ("step", "path"),
    [
        (lambda: command("a", "curl -u me:hunter22x https://h"), "steps[0].run"),
        (lambda: agent_task("a", "x", options={"api_key": "abcdefgh"}), "steps[0].options"),
        (lambda: agent_task("a", "x\0"), "steps[0].task_template"),
        (lambda: agent_task("a", "x", options={"n": float("nan")}), "steps[0].options.n"),
        (lambda: agent_task("a", "x" * 70_000), "steps[0].task_template"),
        (lambda: agent_task("a", "x", locks=[""]), "steps[0].locks"),
        (lambda: human_approval("a", "b", choices=["x", "x"]), "steps[0].choices[1]"),
    ],
)
def test_what_no_event_may_hold_is_refused(step, path):
    with pytest.raises(InvalidDefinition) as raised:
        define_workflow("x", steps=[step()])
    assert str(raised.value).startswith(f"{path}: ")
