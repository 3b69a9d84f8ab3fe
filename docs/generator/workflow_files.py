"""The page about workflow files and their JSON Schema, from the models that the reader checks files with."""

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from aura_contracts.workflow.values import Join, StepType
from aura_engine.decisions._step_rules import BOUNDS
from aura_engine.decisions.workflow_rules import NESTING_LIMIT, STEP_ID, STEP_LIMIT
from aura_engine.orchestration.file_keys import (
    REFERENCE,
    STEP_MODELS,
    CaseKeys,
    RetryKeys,
    ReviewLevelKeys,
    StepKeys,
    WorkflowKeys,
)
from aura_engine.orchestration.starters import starter_names
from generator.docstrings import inline
from generator.markdown import NOTE, fenced, page, table
from generator.source import attribute_docs, first_line

Schema = dict[str, Any]

SCHEMA_NAME = "workflow.schema.json"

_TABLES: Mapping[str, Schema] = {
    "steps": {"$ref": "#/$defs/steps"},
    "step": {"$ref": "#/$defs/step"},
    "retry": {"$ref": "#/$defs/retry"},
    "levels": {"type": "array", "items": {"$ref": "#/$defs/level"}},
    "cases": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/case"}},
}

_TAKES: Mapping[str, str] = {
    "Text": "text",
    "str": "text",
    "Template": "[template](#templates-and-expressions)",
    "Expression": "[expression](#templates-and-expressions)",
    "Duration": "[time](#times)",
    "Count": "number",
    "float": "number",
    "bool": "`true` or `false`",
    "Table": "table",
    "Schema": "JSON Schema",
    "Block": "steps",
    "Step": "a step",
    "JoinName": "[join](#joins)",
    "Reasons": "a list of failures",
    "Ends": "a list",
    "dict": "table",
    "list": "list",
    "OnStepFailure": "`fail` or `continue`",
    "OnWorkflowFailure": "`ask` or `compensate`",
    "OnExpiry": "`deny` or `continue`",
    "StepRecovery": "`rerun`, `skip` or `ask`",
    "Priority": "`low`, `medium` or `high`",
    "StepType": "a [type](#types-of-steps)",
    "Literal": "`completed` or `failed`",
}
"""What a key takes, by its type in the source."""

_EXAMPLES: Mapping[StepType, str] = {
    StepType.AGENT_TASK: """\
- id: plan
  type: agent_task
  task_template: Plan {{ inputs.feature }}
  agent_type: architect
  retry: {attempts: 3, pause: 30s}""",
    StepType.HUMAN_APPROVAL: """\
- id: release
  type: human_approval
  question: Release it?
  reviewers: [ann, bob]
  quorum: 2
  deadline: 2d""",
    StepType.CONDITIONAL: """\
- id: by-size
  type: conditional
  cases:
    - when: inputs.size > 100
      steps:
        - {id: ask, type: human_approval, question: Is this worth it?}
    - when: inputs.size > 10
      steps:
        - {id: split, type: agent_task, task_template: Divide it into parts}
  otherwise:
    - {id: do, type: agent_task, task_template: Do it}""",
    StepType.PARALLEL: """\
- id: attempts
  type: parallel
  completion: first
  steps:
    - {id: careful, type: agent_task, task_template: Repair it with the smallest change}
    - {id: bold, type: agent_task, task_template: Repair it by writing it again}""",
    StepType.FOR_EACH: """\
- id: modules
  type: for_each
  items: inputs.modules
  concurrency: 2
  completion: all_done
  steps:
    - {id: document, type: agent_task, task_template: "Document {{ item }}"}""",
    StepType.LOOP: """\
- id: rework
  type: loop
  limit: 3
  until: steps.review.output.ready
  steps:
    - {id: write, type: agent_task, task_template: "Round {{ round }}: write it"}
    - id: review
      type: agent_task
      dependencies: [write]
      task_template: Review it
      output: {type: object, properties: {ready: {type: boolean}}, required: [ready]}""",
    StepType.WORKFLOW: """\
- id: build
  type: workflow
  workflow: build-feature@3
  inputs: {feature: "{{ inputs.feature }}"}""",
    StepType.WAIT: """\
- {id: an-hour, type: wait, duration: 1h}
- {id: christmas, type: wait, until: "2026-12-24T18:00:00+01:00"}
- {id: deployed, type: wait, signal: deployed}""",
    StepType.COMMAND: """\
- id: deploy
  type: command
  run: ./deploy.sh {{ inputs.target }}
  recovery: ask
  locks: [deploy]
  compensation: {id: roll-back, type: command, run: ./roll-back.sh}""",
    StepType.END: """\
- id: give-up
  type: end
  when: inputs.size > 1000
  status: failed
  reason: Too large""",
}

_JOINS: Mapping[Join, str] = {
    Join.ALL_SUCCEEDED: "All completed. If one of the dependencies is skipped, so is the step; members that are"
    " skipped do not count.",
    Join.ALL_DONE: "All have ended, however.",
    Join.ANY_SUCCEEDED: "One completed.",
    Join.N_OF: "As many completed as `n` (`completion_n`) says. The others continue.",
    Join.FIRST: "As many completed as `n` (`completion_n`) says, by default one. The others are cancelled.",
}


# --- The page ---------------------------------------------------------------------------------------------------------


def workflow_page() -> str:
    """Return the page about workflow files."""
    starters = ", ".join(f"`{name}`" for name in starter_names())
    return page(
        "# Workflow files",
        NOTE,
        "A workflow file states the definition of a workflow in YAML 1.2, or in JSON if its name ends with `.json`."
        " Tags, anchors, aliases, duplicate and unknown keys are faults. `aura workflow validate FILE` lists all faults"
        " of a file with line and column, and `aura workflow init` writes one to begin with:"
        f" {starters}. Editors that know JSON Schema check it while you write, with [{SCHEMA_NAME}]({SCHEMA_NAME}).",
        fenced(_FILE, "yaml"),
        f"A workflow has at most {STEP_LIMIT} steps, at most {NESTING_LIMIT} blocks within one another.",
        "## File",
        _table(WorkflowKeys),
        "## Steps",
        "The keys that every step may have. Each step has the keys of its [type](#types-of-steps) besides, in the same"
        " table.",
        _table(StepKeys),
        "### Joins",
        "`join` says how the dependencies of a step have to end for it to start, `completion` how the steps of a"
        " `parallel`, or the items of a `for_each`, have to end for it to complete. If that cannot happen any more, the"
        " step is skipped, or the container fails.",
        table(("join", "holds as soon as"), [(f"`{join}`", words) for join, words in _JOINS.items()]),
        "A condition in `when` is looked at once the join holds. To choose between blocks of steps, use"
        " [conditional](#conditional): it has no shorter form, because `when` of a step is always its own condition.",
        "### Retry",
        inline(first_line(RetryKeys)),
        _table(RetryKeys),
        "### Times",
        "A time is a number of seconds, or a number and a unit: `90s`, `30m`, `8h`, `2d`.",
        "### Templates and expressions",
        "A template is a text with placeholders, `Plan {{ inputs.feature }}`. In quotes it may begin with one. An"
        ' expression has no braces: `steps.plan.output.size > 3 and inputs.mode == "fast"`. Both can read `inputs`,'
        " `context`, `workflow`, `steps.ID.output`, `steps.ID.status`, and in the steps of a `for_each` and a `loop`"
        " also `item`, `index` and `round`. Only the output of a step that has completed can be read.",
        "## Types of steps",
        *(block for kind in StepType for block in _type(kind)),
    )


_FILE = """\
name: fix-and-release
inputs:
  bug: {type: string}
options:
  repositories: [.]
steps:
  - id: fix
    type: agent_task
    task_template: Fix {{ inputs.bug }}
    requires_approval: true
  - id: check
    type: command
    dependencies: [fix]
    run: make test
    timeout: 30m
  - id: release
    type: human_approval
    dependencies: [check]
    question: Release it?"""


def _type(kind: StepType) -> Iterator[str]:
    model = STEP_MODELS[kind]
    yield f"### {kind}"
    yield inline(first_line(model))
    yield fenced(f"steps:\n{_indented(_EXAMPLES[kind])}", "yaml")
    if model.model_fields.keys() - StepKeys.model_fields.keys():
        yield _table(model, without=StepKeys)
    for key, inner in (("cases", CaseKeys), ("levels", ReviewLevelKeys)):
        if key in model.model_fields:
            yield f"#### {key.capitalize()}"
            yield inline(first_line(inner))
            yield _table(inner)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _table(model: type[BaseModel], without: type[BaseModel] | None = None) -> str:
    docs, types = attribute_docs(model), _types(model)
    rows = [
        (f"`{name}`", _takes(name, types[name]), "yes" if field.is_required() else "", inline(docs[name]))
        for name, field in model.model_fields.items()
        if without is None or name not in without.model_fields
    ]
    return table(("key", "takes", "required", "meaning"), rows)


def _takes(name: str, type_name: str) -> str:
    words = {"retry": "[retry](#retry)", "cases": "[cases](#cases)", "levels": "[levels](#levels)"}
    if name in words:
        return words[name]
    if name not in BOUNDS or type_name == "Duration":
        return _TAKES[type_name]
    low, high = BOUNDS[name]
    return f"{low} to {high}"


def _types(model: type[BaseModel]) -> dict[str, str]:
    """Return the name of the type of each field, as the source has it."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if not kind.__module__.startswith("aura_"):
            continue
        body = ast.parse(inspect.getsource(kind)).body[0]
        assert isinstance(body, ast.ClassDef)
        for node in body.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                annotation = ast.unparse(node.annotation).removeprefix("Annotated[")
                found[node.target.id] = re.split(r"[\[,| ]", annotation)[0].rstrip("]")
    return found


# --- The schema -------------------------------------------------------------------------------------------------------


def workflow_schema() -> str:
    """Return the JSON Schema of workflow files."""
    kinds = {str(kind): _schema(model) for kind, model in STEP_MODELS.items()}
    step = {
        "type": "object",
        "properties": {"type": {"enum": list(kinds)}},
        "required": ["id", "type"],
        "allOf": [
            {"if": {"properties": {"type": {"const": kind}}}, "then": {"$ref": f"#/$defs/{kind}"}} for kind in kinds
        ],
    }
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "AURA workflow",
        **_schema(WorkflowKeys),
        "$defs": {
            "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}, "maxItems": STEP_LIMIT},
            "step": step,
            "retry": _schema(RetryKeys),
            "case": _schema(CaseKeys),
            "level": _schema(ReviewLevelKeys),
            **kinds,
        },
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _schema(model: type[BaseModel]) -> Schema:
    """Return the JSON Schema of a model, with the texts below its fields and the bounds of numbers."""
    made = model.model_json_schema()
    definitions, docs = made.pop("$defs", {}), attribute_docs(model)
    properties = {}
    for name, given in made["properties"].items():
        schema = _plain(given, definitions)
        place = schema.pop(REFERENCE, None) or next(
            (one.get(REFERENCE) for one in schema.get("anyOf", ()) if REFERENCE in one), None
        )
        schema = dict(_TABLES[place]) if place else _bounded(name, schema)
        if name == "id":
            schema["pattern"] = f"^{STEP_ID.pattern}$"
        properties[name] = {"description": _words(docs[name]), **schema}
    required = {"required": made["required"]} if "required" in made else {}
    return {
        "description": _words(first_line(model)),
        "type": "object",
        "properties": properties,
        **required,
        "additionalProperties": False,
    }


def _plain(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a schema with references put in place, without the titles that pydantic makes of names."""
    if isinstance(schema, list):
        return [_plain(one, definitions) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        referred = definitions[schema["$ref"].rpartition("/")[2]]
        return _plain({**referred, **{key: one for key, one in schema.items() if key != "$ref"}}, definitions)
    return {key: _plain(one, definitions) for key, one in schema.items() if key not in ("title", "description")}


def _bounded(name: str, schema: Schema) -> Schema:
    """Return the schema of a number with its bounds."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [_bounded(name, one) for one in schema["anyOf"]]}
    if name in BOUNDS and schema.get("type") in ("integer", "number"):
        return {**schema, "minimum": BOUNDS[name][0], "maximum": BOUNDS[name][1]}
    return schema


def _words(text: str) -> str:
    """Return a text of a page without links and marks."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "")
