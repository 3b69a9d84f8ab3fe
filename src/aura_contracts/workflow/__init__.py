"""Workflow: steps with dependencies, from start to end (specification, "Workflow" and "Workflow Orchestration").

    workflow   active ◄──paused, resumed──► paused
                 │ └──failed──► failed ──step retried, resumed──► active
                 └──► completed                  · any but completed ► cancelled

    step       pending ──started──► running ◄──asks, resumes──► awaiting_approval ──► completed
                 │ ▲                   │  └────────────────────────────────────────────► completed
                 │ └─────retried───── failed
                 └──► skipped ◄────────┘         · any that has not ended ► cancelled, with its workflow

There are two tables: status x event for the workflow, and step status x event for each step. An event about a step
needs a row in both. A step is **over** when it is completed or skipped; only then do the steps that depend on it start.
A failed step is not over: it blocks them until it is retried or skipped.

All steps are in one flat list. A **parallel** step starts before its children and completes after the last of them. A
**conditional** step completes first; its outcome decides which branch may start, and the other branch is skipped.
"""

from aura_contracts.workflow.commands import *
from aura_contracts.workflow.event_types import *
from aura_contracts.workflow.state import *
from aura_contracts.workflow.values import *
