"""Decisions about workflows."""

from aura_contracts import workflow as wf
from aura_contracts.workflow import WORKFLOW, WorkflowStarted
from aura_engine.decisions._decider import Context, Decider, Events, becomes, no_agent


def _start(_: None, command: wf.StartWorkflow, context: Context) -> Events:
    return [WorkflowStarted(**{name: getattr(command, name) for name in WorkflowStarted.__struct_fields__})]


WORKFLOW_DECIDER = Decider(
    WORKFLOW,
    {
        wf.StartWorkflow: (no_agent("agents act on tasks, not on workflows"), _start),
        wf.RecordWorkflowRefusal: (no_agent("AURA records"), becomes(wf.WorkflowCommandRefused)),
    },
)
