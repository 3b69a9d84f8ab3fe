"""Lint: what never works is an error, what works only sometimes a warning, each at its line and column."""

import pytest

from aura_engine.orchestration.builder import define_workflow, sub_workflow
from aura_engine.orchestration.definition_file import read_definition
from aura_engine.orchestration.lint import lint


def told(text):
    read = read_definition(text.encode(), "w.yaml")
    return [str(fault).removeprefix("w.yaml:") for fault in read.faults]


def steps(*lines, inputs="{}", outputs="{}"):
    return (
        "\n".join([f"name: x\ninputs: {inputs}\noutputs: {outputs}\nsteps:", *(f"  - {line}" for line in lines)]) + "\n"
    )


A = "{id: a, type: command, run: make}"


def reader(expression, more=""):
    """A step that reads an expression."""
    return f"{{id: r, type: command, run: '{{{{ {expression} }}}}'{more}}}"


OUTPUT = "steps.a.output.text"
AFTER_A = ", dependencies: [a]"

SILENT = {
    "what it depends on": steps(A, reader(OUTPUT, AFTER_A)),
    "what it depends on through others": steps(
        A, "{id: b, type: wait, duration: 1, dependencies: [a]}", reader(OUTPUT, ", dependencies: [b]")
    ),
    "a dependency with a condition: if it is skipped, so is the step": steps(
        "{id: a, type: command, run: make, when: inputs.b}", reader(OUTPUT, AFTER_A), inputs="{b: {}}"
    ),
    "a tolerated failure, which skips the step": steps(
        "{id: a, type: command, run: make, on_failure: continue}", reader(OUTPUT, AFTER_A)
    ),
    "a member of a parallel that it depends on": steps(
        f"{{id: p, type: parallel, steps: [{A}]}}", reader(OUTPUT, ", dependencies: [p]")
    ),
    "what a step around it depends on": steps(
        A,
        f"{{id: p, type: parallel, dependencies: [a], steps: [{{id: q, type: parallel, steps: [{reader(OUTPUT)}]}}]}}",
    ),
    "all done, of steps that cannot be skipped": steps(A, reader(OUTPUT, AFTER_A + ", join: all_done")),
    "with a default": steps(A, reader(f"{OUTPUT} | default(1)")),
    "with a test of the status": steps(
        "{id: a, type: command, run: make, on_failure: continue}",
        reader('steps.a.output.text if steps.a.status == "completed" else 1', AFTER_A + ", join: all_done"),
    ),
    "the status of any step": steps(A, reader("steps.a.status")),
    "until of a loop, of its members": steps(
        f"{{id: l, type: loop, limit: 2, until: {OUTPUT} == round, steps: [{A}]}}"
    ),
    "the step that it compensates": steps(
        f"{{id: a, type: command, run: make, compensation: {reader(OUTPUT)}}}",
    ),
    "item, index and round": steps(
        "{id: e, type: for_each, items: '[1]', steps: [{id: l, type: loop, limit: 2, until: item == round, steps: ["
        f"{reader('item + index + round')}]}}]}}"
    ),
    "the outputs of the whole": steps(A, outputs="{x: steps.a.output.text}"),
    "an end with a condition, and what runs if it does not": steps(
        A,
        "{id: stop, type: end, when: steps.a.status == 'failed', dependencies: [a], join: all_done}",
        "{id: b, type: command, run: make, dependencies: [stop], join: all_done}",
    ),
}

LOUD = {
    "a text that is not an expression": (
        steps("{id: a, type: command, run: make, when: 'a ==='}"),
        ["5:45: this is not an expression: "],
    ),
    "a text that is not a template": (
        steps("{id: a, type: command, run: '{% if %}'}"),
        ["5:33: this is not a template: "],
    ),
    "an unknown filter": (steps("{id: a, type: command, run: '{{ 1 | nope }}'}"), ["5:33: this is not a template: "]),
    "a template where an expression belongs": (
        steps("{id: a, type: command, run: make, when: '{{ inputs.x }}'}"),
        ["5:45: "],
    ),
    "an unknown input": (
        steps(reader("inputs.featrue"), inputs="{feature: {}}"),
        ["5:33: there is no input 'featrue'; did you mean 'feature'?"],
    ),
    "an unknown name": (
        steps(reader("feature")),
        ["5:33: there is no 'feature' here; there are inputs, context, steps, workflow"],
    ),
    "an item outside a for_each": (
        steps("{id: e, type: for_each, items: item.parts, steps: [{id: b, type: wait, duration: 1}]}"),
        ["5:36: there is no 'item' here; "],
    ),
    "an unknown step": (
        steps("{id: plan, type: command, run: make}", reader("steps.plna.output")),
        ["6:33: there is no step 'plna'; did you mean 'plan'?"],
    ),
    "a part that steps do not have": (
        steps(A, reader("steps.a.result", AFTER_A)),
        ["6:33: a step has no 'result'; there are status, output, outcome, attempts, failure"],
    ),
    "a step of other items": (
        steps(f"{{id: e, type: for_each, items: '[1]', steps: [{A}]}}", reader(OUTPUT, ", dependencies: [e]")),
        ["6:33: step 'a' is repeated, and can be read in the same item or round only, in line 5"],
    ),
    "a step that it does not depend on": (
        steps(A, reader(OUTPUT)),
        ["6:33: warning: step 'a' may not have completed: this step does not depend on it, in line 5"],
    ),
    "a step that depends on it": (
        steps(reader("steps.b.output"), "{id: b, type: command, run: make, dependencies: [r]}"),
        ["5:33: warning: step 'b' may not have completed: this step does not depend on it, in line 6"],
    ),
    "its own output": (steps(reader("steps.r.output")), ["5:33: step 'r' has no output before this is evaluated"]),
    "the output of what it is in": (
        steps(f"{{id: p, type: parallel, steps: [{reader('steps.p.output')}]}}"),
        ["5:65: step 'p' has no output before this is evaluated"],
    ),
    "the output of what failed": (
        steps(f"{{id: a, type: command, run: make, handler: [{reader(OUTPUT)}]}}"),
        ["5:77: step 'a' has no output before this is evaluated"],
    ),
    "a step of a branch": (
        steps(
            f"{{id: c, type: conditional, cases: [{{when: inputs.b, steps: [{A}]}}]}}",
            reader(OUTPUT, ", dependencies: [c]"),
            inputs="{b: {}}",
        ),
        ["6:33: warning: step 'a' may have been skipped, or have failed; "],
    ),
    "one of several of which one is enough": (
        steps(A, "{id: b, type: wait, duration: 1}", reader(OUTPUT, ", dependencies: [a, b], join: any_succeeded")),
        ["7:33: warning: step 'a' may have been skipped, or have failed; "],
    ),
    "a skipped step with all_done": (
        steps(
            "{id: a, type: command, run: make, when: inputs.b}",
            reader(OUTPUT, AFTER_A + ", join: all_done"),
            inputs="{b: {}}",
        ),
        ["6:33: warning: step 'a' may have been skipped, or have failed; "],
    ),
    "a member of a parallel that one is enough for": (
        steps(
            f"{{id: p, type: parallel, completion: any_succeeded, steps: [{A}]}}",
            reader(OUTPUT, ", dependencies: [p]"),
        ),
        ["6:33: warning: step 'a' may have been skipped, or have failed; "],
    ),
    "an output of what may be skipped": (
        steps("{id: a, type: command, run: make, when: inputs.b}", inputs="{b: {}}", outputs="{x: steps.a.output}"),
        ["3:14: warning: step 'a' may have been skipped, or have failed; "],
    ),
    "a condition that is never true, and what waits for it": (
        steps("{id: a, type: wait, duration: 1, when: 'false'}", "{id: b, type: wait, duration: 1, dependencies: [a]}"),
        [
            "5:10: warning: step 'a' never runs: its condition is never true",
            "6:10: warning: step 'b' never runs: it waits for a",
        ],
    ),
    "a step after the end": (
        steps("{id: stop, type: end}", "{id: b, type: wait, duration: 1, dependencies: [stop]}"),
        ["6:10: warning: step 'b' never runs: it waits for stop"],
    ),
    "a case after one that is always true": (
        steps(
            "{id: c, type: conditional, cases: [{when: 'true', steps: [{id: b, type: end}]},"
            " {when: inputs.b, steps: [{id: d, type: end}]}], otherwise: [{id: e, type: end}]}",
            inputs="{b: {}}",
        ),
        [
            "5:85: warning: these steps never run: a case before is always true",
            "5:144: warning: these steps never run: a case before is always true",
        ],
    ),
    "ids that look alike": (
        steps("{id: fix-it, type: end}", "{id: Fix_it, type: end}"),
        ["6:10: warning: the ids 'Fix_it' and 'fix-it' are easily confused, in line 5"],
    ),
    "more at a time than there may be": (
        steps("{id: e, type: for_each, items: '[1]', limit: 2, concurrency: 3, steps: [{id: b, type: end}]}"),
        ["5:66: warning: 3 is more than the limit of 2 items, so it has no effect"],
    ),
    "a workflow that starts itself": (
        steps("{id: a, type: workflow, workflow: x@2}"),
        ["5:39: the workflow would start itself: x -> x"],
    ),
}


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT)
def test_what_works_is_not_told(text):
    assert told(text) == []


@pytest.mark.parametrize(("text", "faults"), LOUD.values(), ids=LOUD)
def test_what_does_not_work_is_told_at_its_place(text, faults):
    found = told(text)
    assert len(found) == len(faults), found
    for one, expected in zip(found, faults, strict=True):
        assert one.startswith(expected)


def test_a_warning_does_not_keep_a_file_from_being_used():
    read = read_definition(LOUD["ids that look alike"][0].encode(), "w.yaml")
    assert read.require("w.yaml").name == "x"


def test_workflows_that_start_one_another_are_told_if_they_are_known():
    known = {
        "b": define_workflow("b", steps=[sub_workflow("s", "c@1")]),
        "c@1": define_workflow("c", steps=[sub_workflow("s", "d"), sub_workflow("t", "a")]),
    }
    first = define_workflow("a", steps=[sub_workflow("s", "b")])
    assert lint(first) == ()
    assert [str(fault) for fault in lint(first, known.get)] == [
        "steps[0].workflow: the workflow would start itself: a -> b -> c -> a"
    ]


def test_a_chain_of_as_many_steps_as_there_may_be_is_followed():
    lines = ["{id: a, type: command, run: make}"]
    lines += [
        f"{{id: s{n}, type: command, run: '{{{{ steps.a.output }}}}', dependencies: [{f's{n - 1}' if n else 'a'}]}}"
        for n in range(499)
    ]
    assert told(steps(*lines)) == []


def test_a_graph_in_which_every_step_waits_for_all_before_is_followed():
    lines = [
        f"{{id: s{n}, type: wait, duration: 1, dependencies: [{', '.join(f's{one}' for one in range(n))}]}}"
        for n in range(60)
    ]
    assert told(steps(*lines)) == []


def test_what_is_not_a_json_schema_is_said_at_its_place():
    text = steps(
        "{id: a, type: command, run: make, output: {$ref: 'https://example.org/'}}", inputs="{b: {pattern: '(?=a)'}}"
    )
    first, second = told(text)
    assert first.startswith("2:13: schema.pattern: (?=a) is not a pattern: look-around, including look-ahead")
    assert second.startswith(
        "5:47: schema.$ref: 'https://example.org/' is outside of the schema; put what it refers to"
    )
