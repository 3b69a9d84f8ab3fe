"""Workflow files: strict, with every fault at its place, all of them in one go, and none for the wrong reason."""

import json

import pytest

from aura_contracts.errors import InvalidFile
from aura_contracts.workflow.values import (
    AgentTaskStep,
    Case,
    ConditionalStep,
    ForEachStep,
    Join,
    ParallelStep,
    StepDefinition,
    StepRetry,
    SubWorkflowStep,
    WaitStep,
    WorkflowDefinition,
)
from aura_engine.orchestration.definition_file import FAULT_LIMIT, read_definition

HEAD = "name: x\nsteps:\n"


def told(content, file="w.yaml"):
    read = read_definition(content if isinstance(content, bytes) else content.encode(), file)
    assert (read.definition is None) == any(fault.severity == "error" for fault in read.faults)
    return [str(fault).removeprefix(f"{file}:") for fault in read.faults]


def step(line):
    return f"{HEAD}  - {line}\n"


TYPES = "agent_task, human_approval, conditional, parallel, for_each, loop, workflow, wait, command, end"

BAD = {
    # The file
    "empty": ("", ["1:1: the file is empty; write name and steps"]),
    "a list": ("- a\n", ["1:1: a workflow is a table with the keys name and steps"]),
    "no steps": ("name: x\n", ["1:1: the key 'steps' is missing"]),
    "an empty list of steps": ("name: x\nsteps: []\n", ["2:8: there are no steps"]),
    "steps as a table": ("name: x\nsteps:\n  a: {type: wait}\n", ["3:3: this is not a list"]),
    "a blank name": (
        'name: " "\nsteps: [{id: a, type: end}]\n',
        ["1:7: a name is one line of 1 to 200 characters, without blanks around it and without @"],
    ),
    "a misspelt key": (
        "nmae: x\nsteps: [{id: a, type: end}]\n",
        ["1:1: there is no key 'nmae' here; did you mean 'name'?"],
    ),
    "a key twice": (
        "name: x\nname: y\nsteps: [{id: a, type: end}]\n",
        ["2:1: the key 'name' is there already, in line 1"],
    ),
    "an anchor and its alias": (
        "name: &n x\ndescription: *n\nsteps: [{id: a, type: end}]\n",
        ["1:7: anchors (&name) are not supported", "2:14: aliases (*name) are not supported; write the value again"],
    ),
    "a tag": (
        step("{id: !!python/object:os.system a, type: end}"),
        ["3:10: tags (tag:yaml.org,2002:python/object:os.system) are not supported"],
    ),
    "two documents": ("name: x\n---\nname: y\n", ["2:1: a file holds one document"]),
    "a template without quotes": (
        HEAD + "  - id: a\n    type: agent_task\n    task_template: {{ inputs.x }}\n",
        ["5:21: put a text that begins with {{ in quotes"],
    ),
    "an input that is not a schema": (
        "name: x\ninputs: {a: string}\nsteps: [{id: a, type: end}]\n",
        ["2:13: this is not a JSON Schema, as in {type: string}"],
    ),
    "an input of an unknown type": (
        "name: x\ninputs: {a: {type: text}}\nsteps: [{id: a, type: end}]\n",
        [
            "2:20: 'text' is not a type of JSON Schema: array, boolean, integer, null, number, object, string",
        ],
    ),
    "an input that templates cannot read": (
        "name: x\ninputs: {a-b: {type: string}}\nsteps: [{id: a, type: end}]\n",
        ["2:10: 'a-b' is not a name that templates can read: letters, digits and _, no digit first"],
    ),
    "a secret": (
        "name: x\ncontext: {url: 'https://a:pa55word1@host/'}\nsteps: [{id: a, type: end}]\n",
        None,
    ),
    # Steps
    "an unknown type": (
        step("{id: a, type: agent-task, task_template: b}"),
        ["3:19: 'agent-task' is not a type of step; did you mean 'agent_task'?"],
    ),
    "no type": (step("{id: a}"), [f"3:5: a step has a type: {TYPES}"]),
    "a step that is a text": (step("plan"), ["3:5: a step is a table of keys and values"]),
    "no id": (step("type: end"), ["3:5: the key 'id' is missing"]),
    "an id with a dot": (
        step("{id: a.b, type: end}"),
        ["3:10: 'a.b' is not an id: up to 100 letters, digits, - and _"],
    ),
    "an id twice": (
        HEAD + "  - {id: a, type: end}\n  - {id: p, type: parallel, steps: [{id: a, type: end}]}\n",
        ["4:42: there is a step with the id 'a' already, in line 3"],
    ),
    "a misspelt key that is required": (
        step("{id: a, type: agent_task, task_tempate: b}"),
        ["3:31: there is no key 'task_tempate' here; did you mean 'task_template'?"],
    ),
    "a key that is missing": (step("{id: a, type: loop, until: b, limit: 2}"), ["3:5: the key 'steps' is missing"]),
    "a key of another type": (
        step("{id: a, type: agent_task, task_template: b, run: make}"),
        ["3:49: 'run' is a key of steps of type command, not of agent_task"],
    ),
    "a key of another tool": (
        HEAD + "  - {id: a, type: end}\n  - {id: b, type: end, needs: [a]}\n",
        ["4:24: there is no key 'needs' here; write dependencies"],
    ),
    "the shortcut of other tools for a choice": (
        step("{id: a, type: conditional, when: b, then: [{id: c, type: end}]}"),
        ["3:5: the key 'cases' is missing", "3:41: there is no key 'then' here; write cases, each with when and steps"],
    ),
    "an unknown dependency": (
        HEAD + "  - {id: plan, type: end}\n  - {id: b, type: end, dependencies: [plna]}\n",
        ["4:39: there is no step 'plna' in this block; did you mean 'plan'?"],
    ),
    "a dependency in another block": (
        HEAD + "  - {id: p, type: parallel, steps: [{id: a, type: end}]}\n  - {id: b, type: end, dependencies: [a]}\n",
        ["4:39: step 'a' is not in the same block; dependencies name steps next to one another, in line 3"],
    ),
    "steps that wait for one another": (
        HEAD
        + "  - {id: a, type: end, dependencies: [c]}\n"
        + "  - {id: b, type: end, dependencies: [a]}\n"
        + "  - {id: c, type: end, dependencies: [a, b, c]}\n",
        [
            "3:39: steps wait for one another: a -> c -> b -> a",
            "5:45: step 'c' waits for itself",
        ],
    ),
    "a number as a text": (
        step("{id: a, type: loop, until: b, limit: '2', steps: [{id: c, type: end}]}"),
        ["3:42: this is not a whole number"],
    ),
    "a text as a number": (
        step("{id: a, type: agent_task, task_template: 3}"),
        ["3:46: this is not a text; put it in quotes if it is one"],
    ),
    "a condition that is true without quotes": (
        step("{id: a, type: end, when: true}"),
        ["3:30: this is not a text; put it in quotes if it is one"],
    ),
    "a time without a unit": (
        step("{id: a, type: wait, duration: 5 minutes}"),
        ["3:35: write a number and a unit, as in 30m, 8h or 2d"],
    ),
    "a time below zero": (
        step("{id: a, type: command, run: make, timeout: -1}"),
        ["3:48: a time is more than 0 to 31622400 seconds (366 days), not -1"],
    ),
    "too many attempts": (
        step("{id: a, type: command, run: make, retry: {attempts: 1000, puase: 1}}"),
        ["3:57: 1000 is not between 1 and 100", "3:63: there is no key 'puase' here; did you mean 'pause'?"],
    ),
    "a wait for two": (
        step("{id: a, type: wait, duration: 5m, signal: go}"),
        ["3:39: a wait has one of duration, until and signal, not duration too"],
    ),
    "a wait for nothing": (step("{id: a, type: wait}"), ["3:5: a wait has one of duration, until and signal"]),
    "n_of without n": (
        step("{id: a, type: parallel, completion: n_of, steps: [{id: b, type: end}]}"),
        ["3:29: completion: n_of needs completion_n, the number of steps"],
    ),
    "n out of reach": (
        HEAD + "  - {id: a, type: end}\n  - {id: b, type: end, dependencies: [a], join: n_of, n: 2}\n",
        ["4:58: 2 of 1 dependencies is not possible"],
    ),
    "a join without dependencies": (
        step("{id: a, type: parallel, join: first, steps: [{id: b, type: end}]}"),
        ["3:29: join is about dependencies, and the step has none; `completion` says when it completes"],
    ),
    "an unknown join": (
        HEAD + "  - {id: a, type: end}\n  - {id: b, type: end, dependencies: [a], join: any_suceeded}\n",
        ["4:49: 'any_suceeded' is not one of its values; did you mean 'any_succeeded'?"],
    ),
    "a case without steps": (
        step("{id: a, type: conditional, cases: [{when: b, steps: []}, 3]}"),
        ["3:57: there are no steps", "3:62: a case is a table with the keys when and steps"],
    ),
    "more people than there are": (
        step("{id: a, type: human_approval, question: b, quorum: 3, reviewers: [ann]}"),
        ["3:48: 3 approvals cannot come from 1 reviewers and the one who starts the workflow"],
    ),
    "a compensation that undoes nothing": (
        step("{id: a, type: command, run: make, compensation: {id: b, type: wait, duration: 5}}"),
        ["3:61: a step of type wait undoes nothing; agent_task, command, workflow and human_approval do"],
    ),
    "a retry of the end": (
        step("{id: a, type: end, timeout: 5s}"),
        ["3:24: a step of type end does no work, so timeout has no effect"],
    ),
    "an end as no workflow ends": (
        step("{id: a, type: end, status: okay}"),
        ["3:32: 'okay' is not one of its values; there are completed, failed"],
    ),
    "a version that is not a number": (
        step("{id: a, type: workflow, workflow: build@latest}"),
        ["3:39: 'build@latest' is not the name of a workflow, as in build or build@3"],
    ),
}


@pytest.mark.parametrize(("text", "faults"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_with_each_fault_at_its_line_and_column(text, faults):
    found = told(text)
    if faults is None:
        (only,) = found
        assert only.startswith("2:10: there is a secret here")
    else:
        assert found == faults


def test_all_faults_are_told_at_once():
    files = ["an id with a dot", "a time below zero", "a key of another type", "a case without steps", "no type"]
    blocks = [BAD[name][0].removeprefix(HEAD) for name in files]
    lines = [
        text.replace("id: a,", f"id: a{number},").replace("id: a}", f"id: a{number}}}")
        for number, text in enumerate(blocks)
    ]
    found = told(HEAD + "".join(lines))
    assert [line.partition(":")[0] for line in found] == ["3", "4", "5", "6", "6", "7"]
    with pytest.raises(InvalidFile) as raised:
        read_definition((HEAD + "".join(lines)).encode(), "w.yaml").require("w.yaml")
    assert len(raised.value.faults) == len(found)


def test_a_file_of_ten_megabytes_is_not_read():
    assert told(b"name: " + b"x" * 10_000_000) == ["1:1: the file is larger than 1048576 bytes"]


def test_ten_thousand_steps_are_one_fault():
    text = HEAD + "".join(f"- {{id: s{number}, type: end, bad: 1}}\n" for number in range(10_000))
    assert told(text) == ["2:1: a workflow has at most 500 steps, this one has 10000"]


def test_the_limit_counts_the_steps_within_others():
    inner = ", ".join(f"{{id: s{number}, type: end}}" for number in range(499))
    assert told(step(f"{{id: a, type: parallel, steps: [{inner}]}}")) == []
    assert told(step(f"{{id: a, type: parallel, steps: [{inner}], handler: [{{id: b, type: end}}]}}")) == [
        "2:1: a workflow has at most 500 steps, this one has 501"
    ]


def test_faults_are_limited():
    text = HEAD + "".join(f"- {{id: s{number}, type: end, bad: 1}}\n" for number in range(400))
    assert len(told(text)) == FAULT_LIMIT


def nested(depth):
    return "{id: a0, type: end}" if not depth else f"{{id: a{depth}, type: parallel, steps: [{nested(depth - 1)}]}}"


def test_nesting_is_limited():
    assert told(step(nested(7))) == []
    (fault,) = told(step(nested(8)))
    assert fault.endswith("steps are nested more than 8 deep")
    (fault,) = told(step(nested(200)))
    assert fault.endswith("values are nested more than 64 deep")


def test_aliases_that_grow_are_refused_before_they_do():
    lines = ["name: x", "a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 50)]
    found = told("\n".join(lines))
    assert "2:5: anchors (&name) are not supported" in found
    assert len(found) <= FAULT_LIMIT


def test_every_type_is_read_with_its_defaults():
    text = """\
name: build
deadline: 2d
inputs: {feature: {type: string}}
steps:
  - id: plan
    type: agent_task
    task_template: Plan {{ inputs.feature }}
    agent_type: architect
    retry: {attempts: 3, pause: 10s}
  - id: each
    type: for_each
    dependencies: [plan]
    join: all_done
    items: steps.plan.output.parts
    completion: n_of
    completion_n: 2
    steps: [{id: work, type: workflow, workflow: part@2, inputs: {part: "{{ item }}"}}]
  - id: choose
    type: conditional
    cases: [{when: inputs.feature == "a", steps: [{id: pause, type: wait, duration: 30}]}]
    otherwise: [{id: both, type: parallel, steps: [{id: w, type: wait, signal: go}]}]
"""
    work = StepDefinition(id="work", config=SubWorkflowStep(workflow="part@2", inputs={"part": "{{ item }}"}))
    pause = StepDefinition(id="pause", config=WaitStep(seconds=30))
    both = ParallelStep(steps=(StepDefinition(id="w", config=WaitStep(signal="go")),))
    steps = (
        StepDefinition(
            id="plan",
            config=AgentTaskStep(task_template="Plan {{ inputs.feature }}", agent_type="architect"),
            retry=StepRetry(attempts=3, pause=10.0),
        ),
        StepDefinition(
            id="each",
            config=ForEachStep(items="steps.plan.output.parts", steps=(work,), join=Join.N_OF, n=2),
            dependencies=("plan",),
            join=Join.ALL_DONE,
        ),
        StepDefinition(
            id="choose",
            config=ConditionalStep(
                cases=(Case(when='inputs.feature == "a"', steps=(pause,)),),
                otherwise=(StepDefinition(id="both", config=both),),
            ),
        ),
    )
    read = read_definition(text.encode(), "w.yaml")
    assert read.faults == ()
    assert read.definition == WorkflowDefinition(
        name="build", deadline=172800.0, inputs={"feature": {"type": "string"}}, steps=steps
    )


def test_json_is_read_with_its_places_and_its_escapes():
    data = {"name": "\U0001f600 \\ud83d/", "steps": [{"id": "a", "type": "wait", "duration": 1e3}]}
    for text in (json.dumps(data), json.dumps(data, indent="\t"), json.dumps(data, separators=(",", ":"))):
        assert read_definition(text.encode(), "w.json").require("w.json").name == data["name"]
    assert told('{\n\t"name": "x",\n\t"steps": [{"id": "a", "typ": "end"}]\n}\n', "w.json")[0].startswith("3:12: ")
