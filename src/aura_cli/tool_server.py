"""Tool server: the tools of `aura_engine.agent_tools` over the Model Context Protocol on stdio, for one agent.

Arguments and answers are structs, from which JSON Schemas are generated. Some agents' models do not support references
or unions, so the schemas contain neither. A refusal is also an answer and says what to do instead, because the agent's
model reads it.
"""

import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

import attrs
import msgspec
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from msgspec import UNSET, Meta, UnsetType

from aura_cli.rendering.errors import describe
from aura_contracts import __version__
from aura_contracts.actors import actor_name
from aura_contracts.approval import Approval, ApprovalStatus
from aura_contracts.errors import AuraError
from aura_contracts.first_use import convert
from aura_contracts.ids import ApprovalId, parse_id
from aura_contracts.task import Priority, Task
from aura_engine import OwnTask

WAIT_LIMIT = 50.0
"""Maximum seconds to wait for an answer, below the 60 after which many clients time out."""

INSTRUCTIONS = """\
These tools connect you to AURA, which assigned you the task that you are working on. get_task describes it and what \
was said about it so far. Report your progress with report_progress. Put work that does not belong to this task into \
create_subtask instead of doing it. Where a human has to decide, use request_approval and wait for the answer before \
you continue. If your solution has to be approved before you carry it out, use submit_for_approval."""

_TEXT = {"type": "string"}

# --- Arguments --------------------------------------------------------------------------------------------------------


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the arguments of a tool."""


class NoArguments(Arguments, frozen=True, kw_only=True):
    """No arguments."""


class ProgressReport(Arguments, frozen=True, kw_only=True):
    message: Annotated[str, Meta(min_length=1, max_length=4000, description="What is done, and what comes next.")]
    step: Annotated[str, Meta(max_length=200, description="The step you are at, in a few words.")] | UnsetType = UNSET
    percent: Annotated[float, Meta(ge=0, le=100, description="How much of the task is done.")] | UnsetType = UNSET


class NewSubtask(Arguments, frozen=True, kw_only=True):
    title: Annotated[str, Meta(min_length=1, max_length=500, description="The work, in one line.")]
    description: Annotated[str, Meta(max_length=50_000, description="Everything someone new to the task needs.")] = ""
    priority: Annotated[Literal["low", "medium", "high"], Meta(extra_json_schema=_TEXT)] = "medium"


Seconds = Annotated[
    float,
    Meta(
        ge=0,
        description=f"Seconds to wait for the answer, at most {WAIT_LIMIT:.0f}.",
        extra_json_schema={"maximum": WAIT_LIMIT},  # larger values are lowered, not refused
    ),
]


class Inquiry(Arguments, frozen=True, kw_only=True):
    question: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=20_000,
            description="What you want to do or know, and everything needed to decide. Phrase it as a yes/no question.",
        ),
    ]
    choices: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=500)]],
        Meta(max_length=20, description="Answers to choose from, the one that you would choose first."),
    ] = []
    wait_seconds: Seconds = 0.0


class ProposalMade(Arguments, frozen=True, kw_only=True):
    proposal: Annotated[
        str,
        Meta(min_length=1, max_length=50_000, description="What you are going to do, in full: a human decides on it."),
    ]
    confidence: Annotated[float, Meta(ge=0, le=1, description="How sure you are that it is right.")] | UnsetType = UNSET
    wait_seconds: Seconds = WAIT_LIMIT


class Wait(Arguments, frozen=True, kw_only=True):
    approval_id: Annotated[str, Meta(description="The id that the request returned.")]
    timeout_seconds: Seconds = 30.0


# --- Answers ----------------------------------------------------------------------------------------------------------


class TaskLine(msgspec.Struct, frozen=True, kw_only=True):
    """A task in brief."""

    id: str
    title: str
    status: str
    priority: str


class ApprovalAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question and a human's answer to it."""

    approval_id: str
    status: Annotated[
        Literal["pending", "approved", "rejected", "needs_changes", "expired", "withdrawn"],
        Meta(description="pending: ask again with wait_for_approval. Only approved means yes."),
    ]
    feedback: Annotated[str, Meta(description="What the human said with it.")] | UnsetType = UNSET
    choice: Annotated[str, Meta(description="Which of the choices it is.")] | UnsetType = UNSET
    decided_by: str | UnsetType = UNSET
    question: str | UnsetType = UNSET


class TaskStory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The task with its parent, subtasks, feedback and questions."""

    id: str
    title: str
    description: str
    status: str
    priority: str
    context: dict[str, Any]
    subtasks: list[TaskLine]
    feedback: Annotated[list[str], Meta(description="What humans said to earlier proposals, the oldest first.")]
    questions: Annotated[
        list[ApprovalAnswer], Meta(description="What was asked with request_approval, the oldest first.")
    ]
    parent: TaskLine | UnsetType = UNSET
    project: str | UnsetType = UNSET


class Subtasks(msgspec.Struct, frozen=True, kw_only=True):
    subtasks: list[TaskLine]


class Created(msgspec.Struct, frozen=True, kw_only=True):
    task: TaskLine
    created: Annotated[bool, Meta(description="False: there was a subtask with the same title and description.")]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    recorded: bool


def _line(task: Task) -> TaskLine:
    return TaskLine(id=task.id, title=task.title, status=str(task.status), priority=str(task.priority))


def _answer(approval: Approval, *, question: bool = False) -> ApprovalAnswer:
    decided = approval.status is not ApprovalStatus.PENDING
    return ApprovalAnswer(
        approval_id=approval.id,
        status=approval.status.value,
        feedback=approval.feedback or UNSET,
        choice=(OwnTask.choice_of(approval) or UNSET) if decided else UNSET,
        decided_by=actor_name(approval.reviewed_by) if approval.reviewed_by else UNSET,
        question=approval.proposed_solution if question else UNSET,
    )


# --- Tools ------------------------------------------------------------------------------------------------------------


async def get_task(own: OwnTask, _: NoArguments) -> TaskStory:
    """Read the task that you are working on: its description, what belongs to it, and what humans said so far."""
    story = await own.read()
    task = story.task
    return TaskStory(
        id=task.id,
        title=task.title,
        description=task.description,
        status=str(task.status),
        priority=str(task.priority),
        context=task.context,
        subtasks=[_line(one) for one in story.subtasks],
        feedback=list(story.feedback),
        questions=[_answer(one, question=True) for one in story.questions],
        parent=UNSET if story.parent is None else _line(story.parent),
        project=task.project or UNSET,
    )


async def report_progress(own: OwnTask, said: ProgressReport) -> Recorded:
    """Report your progress to the humans who follow this task, after each step rather than each command."""
    step = None if said.step is UNSET else said.step
    percent = None if said.percent is UNSET else said.percent
    await own.report(said.message, step=step, percent=percent)
    return Recorded(recorded=True)


async def create_subtask(own: OwnTask, wanted: NewSubtask) -> Created:
    """Record a piece of work below this task, for later. You are not expected to do it.

    The same title and description again give the same subtask.
    """
    task, created = await own.create_subtask(wanted.title, wanted.description, priority=Priority(wanted.priority))
    return Created(task=_line(task), created=created)


async def list_subtasks(own: OwnTask, _: NoArguments) -> Subtasks:
    """List the tasks right below this one, with what became of them."""
    return Subtasks(subtasks=[_line(task) for task in await own.subtasks()])


async def request_approval(own: OwnTask, asked: Inquiry) -> ApprovalAnswer:
    """Ask the humans who review this task, before you do something that only they can decide.

    Returns at once unless wait_seconds is given; then use wait_for_approval. The same question is the same approval.
    """
    approval = await own.ask(asked.question, asked.choices)
    return _answer(await own.wait(approval.id, min(asked.wait_seconds, WAIT_LIMIT)))


async def submit_for_approval(own: OwnTask, made: ProposalMade) -> ApprovalAnswer:
    """Submit your proposed solution to the humans who review this task, and wait for their decision.

    Change nothing while it is pending: call wait_for_approval again, or end your turn, and you will be resumed with
    the decision. If it is approved, carry it out; if not, revise it with the feedback and submit it again.
    """
    confidence = None if made.confidence is UNSET else made.confidence
    approval = await own.submit(made.proposal, confidence=confidence)
    return _answer(await own.wait(approval.id, min(made.wait_seconds, WAIT_LIMIT)))


async def wait_for_approval(own: OwnTask, wait: Wait) -> ApprovalAnswer:
    """Wait for the answer to request_approval or submit_for_approval. While it is pending, call this again.

    After request_approval you may do other work first.
    """
    approval_id = ApprovalId(parse_id(wait.approval_id))
    return _answer(await own.wait(approval_id, min(wait.timeout_seconds, WAIT_LIMIT)))


@attrs.frozen
class _ServedTool:
    call: Callable[[OwnTask, Any], Awaitable[msgspec.Struct]]
    arguments: type[Arguments]
    answer: type[msgspec.Struct]
    reads: bool = False
    repeatable: bool = True

    @property
    def name(self) -> str:
        return self.call.__name__

    @property
    def described(self) -> types.Tool:
        return types.Tool(
            name=self.name,
            description=" ".join((self.call.__doc__ or "").split()),
            input_schema=schema_of(self.arguments),
            output_schema=schema_of(self.answer),
            annotations=types.ToolAnnotations(
                read_only_hint=self.reads,
                destructive_hint=False,
                idempotent_hint=self.repeatable,
                open_world_hint=False,
            ),
        )


TOOLS: Mapping[str, _ServedTool] = {
    tool.name: tool
    for tool in (
        _ServedTool(get_task, NoArguments, TaskStory, reads=True),
        _ServedTool(report_progress, ProgressReport, Recorded, repeatable=False),
        _ServedTool(create_subtask, NewSubtask, Created),
        _ServedTool(list_subtasks, NoArguments, Subtasks, reads=True),
        _ServedTool(request_approval, Inquiry, ApprovalAnswer),
        _ServedTool(submit_for_approval, ProposalMade, ApprovalAnswer),
        _ServedTool(wait_for_approval, Wait, ApprovalAnswer),
    )
}


def schema_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of a struct, with an object at its root and without references."""
    (schema,), parts = msgspec.json.schema_components([struct], ref_template="{name}")
    inlined: dict[str, Any] = _inlined(schema, parts)
    return inlined


def _inlined(schema: Any, parts: Mapping[str, Any]) -> Any:
    match schema:
        case {"$ref": str(name)}:
            return _inlined({key: value for key, value in parts[name].items() if key != "title"}, parts)
        case dict():
            return {key: _inlined(value, parts) for key, value in schema.items()}
        case list():
            return [_inlined(value, parts) for value in schema]
        case _:
            return schema


# --- Serving ----------------------------------------------------------------------------------------------------------


def server_of(own: OwnTask) -> Server[Any]:
    """Return a server whose tools act on `own`."""

    async def list_tools(_: Any, __: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.described for tool in TOOLS.values()])

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await answer(own, params.name, params.arguments or {})

    return Server(
        "aura", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


async def serve(own: OwnTask) -> None:
    """Serve the tools until the agent closes standard input."""
    server = server_of(own)
    # The reader of standard input cannot be cancelled. Nothing is lost: all answers are durable.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def answer(own: OwnTask, name: str, given: Mapping[str, Any]) -> types.CallToolResult:
    """Call a tool. Raises `MCPError` for an unknown tool; any other error is an answer."""
    tool = TOOLS.get(name)
    if tool is None:
        raise MCPError(types.INVALID_PARAMS, f"unknown tool {name!r}; the tools are {', '.join(TOOLS)}")
    try:
        # Models write null for omitted arguments, and numbers as strings.
        arguments = convert(
            {key: value for key, value in given.items() if value is not None}, tool.arguments, strict=False
        )
        answered = await tool.call(own, arguments)
    except msgspec.ValidationError as error:
        return _result(f"error[arguments]: {error}", is_error=True)
    except AuraError as error:
        remedy = f"\n  hint: {error.remedy}" if error.remedy else ""
        return _result(f"error[{error.code}]: {error.message()}{remedy}", is_error=True)
    except Exception as error:  # noqa: BLE001 - a bug of ours; the agent continues without this answer
        traceback.print_exception(error, file=sys.stderr)
        return _result(f"error[internal]: {describe(error)['message']}", is_error=True)
    data = msgspec.to_builtins(answered)
    return _result(msgspec.json.encode(data).decode(), data=data)


def _result(text: str, *, data: Any = None, is_error: bool = False) -> types.CallToolResult:
    content = [types.TextContent(type="text", text=text)]
    return types.CallToolResult(content=list(content), structured_content=data, is_error=is_error)
