"""The engine's facade, one module per noun. Programs import these names from `aura_engine`.

The nouns use the names below, and import what defines one when they first need it: pydantic, for example, only where an
input comes in.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine._builtin_templates import BUILTIN as BUILTIN
    from aura_engine.agent_files import read_agent_files as read_agent_files
    from aura_engine.decomposition_plan import read_plan as read_plan
    from aura_engine.facade.assignment import TaskAssignment as TaskAssignment
    from aura_engine.facade.assignment import require_decomposable as require_decomposable
    from aura_engine.facade.board_moves import BoardMoves as BoardMoves
    from aura_engine.facade.executors import examine_options as examine_options
    from aura_engine.facade.follow_ups import continue_task as continue_task
    from aura_engine.facade.follow_ups import execute_task as execute_task
    from aura_engine.facade.follow_ups import retry_task as retry_task
    from aura_engine.facade.follow_ups import tell_agent as tell_agent
    from aura_engine.facade.placement import Placement as Placement
    from aura_engine.facade.revert_tasks import Reverts as Reverts
    from aura_engine.facade.service_turn import serve as serve
    from aura_engine.facade.service_turn import service_of as service_of
    from aura_engine.facade.submissions import Submission as Submission
    from aura_engine.facade.submissions import complete_task as complete_task
    from aura_engine.facade.submissions import submit_subtasks as submit_subtasks
    from aura_engine.facade.subscription import subscribe as subscribe
    from aura_engine.facade.task_edits import edit_task as edit_task
    from aura_engine.facade.task_trees import cancel_tree as cancel_tree
    from aura_engine.facade.task_trees import delete_tree as delete_tree
    from aura_engine.facade.task_trees import parts_of as parts_of
    from aura_engine.facade.watch import Watch as Watch
    from aura_engine.facade.workflow_start import WorkflowStart as WorkflowStart
    from aura_engine.inputs import Assignment as Assignment
    from aura_engine.inputs import HowToRun as HowToRun
    from aura_engine.inputs import NewAgent as NewAgent
    from aura_engine.inputs import NewProject as NewProject
    from aura_engine.inputs import NewTask as NewTask
    from aura_engine.inputs import Place as Place
    from aura_engine.inputs import RunRequest as RunRequest
    from aura_engine.inputs import StartOptions as StartOptions
    from aura_engine.jinja_templates import Template as Template
    from aura_engine.jinja_templates import included as included
    from aura_engine.jinja_templates import provided as provided
    from aura_engine.jinja_templates import render as render
    from aura_engine.jinja_templates import require_correct as require_correct
    from aura_engine.jinja_templates import required_parts as required_parts
    from aura_engine.orchestration.definition_file import read_definition as read_definition
    from aura_engine.orchestration.graph.nodes import graph_of as graph_of
    from aura_engine.orchestration.lint import require_sound_definition as require_sound_definition
    from aura_engine.runtime.prompts import SAMPLE_TASK as SAMPLE_TASK
    from aura_engine.runtime.prompts import SAMPLES as SAMPLES
    from aura_engine.runtime.prompts import TemplatePlace as TemplatePlace
    from aura_engine.runtime.prompts import about as about
    from aura_engine.yaml_document import SIZE_LIMIT as SIZE_LIMIT

export_lazily(__name__)
