"""``aura workflow``: graphs of steps, from files or stored definitions."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from aura_cli._call import Invocation, engine_of
from aura_cli._shown_workflows import (
    list_definitions,
    list_workflows,
    say_who_continues,
    show_critical_path,
    show_definition,
    show_history,
    show_waits,
    show_workflow,
    workflow_text,
)
from aura_cli._workflow_files import tell_faults, validate, write_starter
from aura_cli._workflow_graphs import FORMATS, is_file, show_graph
from aura_cli._workflow_schedules import configure_schedules
from aura_cli.arguments.parser import Subcommands, add_subcommand, add_subcommands
from aura_cli.arguments.values import count, number, pair, setting
from aura_contracts.errors import InvalidFile, InvalidInput
from aura_contracts.quoting import one_line
from aura_contracts.workflow import working_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aura_contracts.workflow import Workflow, WorkflowDefinition
    from aura_contracts.workflow_definition import StoredDefinition
    from aura_engine import Engine, WorkflowRun

_STATUSES = ("active", "paused", "cancelling", "compensating", "failed", "completed", "cancelled")

_START = """\
WORKFLOW is a file (a path, or *.yaml, *.json), or the name of a stored
definition, build or build@3. Without --wait the command only records the start,
and `aura serve` carries it out. The same --key again is the same workflow.
"""

_WAITS = """\
With --wait the command carries the workflow out until it has ended, unless
another process does. `aura approval` and `aura review` answer its questions.
It exits with 1 if the workflow fails or is cancelled.
"""

_STEP = "the step: its id, after the items and rounds around it, as each[2]/check"


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    _configure_definitions(commands)
    _configure_reading(commands)
    starting = add_subcommand(commands, "start", "start a workflow", _start, epilog=f"{_START}\n{_WAITS}")
    starting.add_argument("workflow", metavar="WORKFLOW", help="a file, or the name of a stored definition")
    starting.add_argument("--key", metavar="TEXT", help="the same key is the same workflow, whatever died in between")
    starting.add_argument(
        "--var", metavar="KEY=VALUE", type=pair, action="append", default=[], help="input of the workflow"
    )
    starting.add_argument(
        "--context", metavar="KEY=VALUE", type=setting, action="append", default=[], help="value for its context"
    )
    _add_wait(starting)
    forking = add_subcommand(
        commands, "fork", "start a workflow that continues another from an earlier point", _fork, epilog=_WAITS
    )
    _add_id(forking)
    forking.add_argument("--step", metavar="STEP", help="this step and all that depends on it run again")
    forking.add_argument("--at", metavar="VERSION", type=count, help="as it was after that many of its events")
    _add_wait(forking)
    _configure_steering(commands)
    configure_schedules(commands)


def _configure_definitions(commands: "Subcommands[ArgumentParser]") -> None:
    validating = add_subcommand(commands, "validate", "list the faults of a workflow file", validate)
    validating.add_argument("file", metavar="FILE", help="workflow file")
    beginning = add_subcommand(commands, "init", "write a workflow file to begin with, or list these", write_starter)
    beginning.add_argument("template", metavar="TEMPLATE", nargs="?", help="build-feature, fix-bug or refactor-code")
    beginning.add_argument("--output", metavar="FILE", help="where to, or - for standard output (default: its name)")
    creating = add_subcommand(commands, "create", "store the definition in a file, by its name", _create)
    creating.add_argument("file", metavar="FILE", help="workflow file")
    creating.add_argument(
        "--based-on", metavar="NUMBER", type=count, help="only if this is the newest revision; 0: no revision"
    )
    retiring = add_subcommand(commands, "retire", "retire a stored definition; its workflows continue", _retire)
    retiring.add_argument("name", metavar="NAME", help="the definition")
    retiring.add_argument("--reason", metavar="TEXT", default="", help="why it is retired")
    restoring = add_subcommand(commands, "restore", "have a retired definition apply again", _restore)
    restoring.add_argument("name", metavar="NAME", help="the definition")


def _configure_reading(commands: "Subcommands[ArgumentParser]") -> None:
    listing = add_subcommand(commands, "list", "list the workflows, oldest first", _list)
    listing.add_argument(
        "--status", metavar="STATUS", choices=_STATUSES, action="append", help="only workflows with this status"
    )
    listing.add_argument("--name", metavar="NAME", help="only workflows of this name")
    listing.add_argument("--project", metavar="NAME", help="only workflows of this project")
    listing.add_argument("--parent", metavar="ID", help="only sub-workflows of this workflow")
    listing.add_argument("--limit", metavar="N", type=number, help="only the newest N")
    listing.add_argument("--definitions", action="store_true", help="list the stored definitions instead")
    listing.add_argument("--all", action="store_true", help="of definitions, include retired ones")
    showing = add_subcommand(commands, "show", "show a workflow and its steps", _show)
    showing.add_argument("id", metavar="ID", help="the workflow: its id, or a part of it; with --definition, a name")
    showing.add_argument("--definition", action="store_true", help="show a stored definition instead")
    showing.add_argument("--revision", metavar="NUMBER", type=number, help="of the definition, an earlier revision")
    drawing = add_subcommand(commands, "graph", "draw a workflow, a stored definition or a file", show_graph)
    drawing.add_argument("workflow", metavar="WORKFLOW", help="id of a workflow, name of a definition, or a file")
    drawing.add_argument(
        "--format", metavar="FORMAT", choices=FORMATS, default="text", help="text, mermaid or svg (default: text)"
    )
    drawing.add_argument("--output", metavar="FILE", help="write it to this file")
    drawing.add_argument("--expand", action="store_true", help="show each item and round by itself")
    why = add_subcommand(commands, "why", "say why a workflow, or a step of it, waits", show_waits)
    _add_id(why)
    why.add_argument("step", metavar="STEP", nargs="?", help=_STEP)
    _add_id(
        add_subcommand(
            commands, "critical-path", "list the steps whose durations make up its length", show_critical_path
        )
    )
    history = add_subcommand(commands, "history", "list what has happened to a workflow", show_history)
    _add_id(history)


def _configure_steering(commands: "Subcommands[ArgumentParser]") -> None:
    advancing = add_subcommand(
        commands, "advance", "record what is due, and start the steps whose turn it is", _advance, epilog=_WAITS
    )
    pausing = add_subcommand(commands, "pause", "start no more steps; those that run finish", _pause)
    resuming = add_subcommand(commands, "resume", "resume a paused workflow", _resume, epilog=_WAITS)
    cancelling = add_subcommand(commands, "cancel", "cancel a workflow, or a step of it", _cancel)
    retrying = add_subcommand(commands, "retry", "run a failed step again", _retry, epilog=_WAITS)
    skipping = add_subcommand(commands, "skip", "continue without a step", _skip, epilog=_WAITS)
    signalling = add_subcommand(commands, "signal", "send a signal that a step waits for, or will", _signal)
    for command in (advancing, pausing, resuming, cancelling, retrying, skipping, signalling):
        _add_id(command)
    for command in (retrying, skipping):
        command.add_argument("step", metavar="STEP", help=_STEP)
    skipping.add_argument("--reason", metavar="TEXT", required=True, help="why it is not needed")
    cancelling.add_argument("--step", metavar="STEP", help=f"only {_STEP}")
    for command in (pausing, cancelling):
        command.add_argument("--reason", metavar="TEXT", default="", help="why")
    signalling.add_argument("name", metavar="NAME", help="the signal")
    signalling.add_argument("--data", metavar="VALUE", help="what it carries, JSON or a text; - reads it from stdin")
    signalling.add_argument("--key", metavar="TEXT", help="the same key is the same signal")
    for command in (advancing, resuming, retrying, skipping):
        _add_wait(command)


def _add_id(command: ArgumentParser) -> None:
    command.add_argument("id", metavar="ID", help="the workflow: its id, or a part of it")


def _add_wait(command: ArgumentParser) -> None:
    command.add_argument("--wait", action="store_true", help="stay until the workflow has ended")


# --- Definitions ------------------------------------------------------------------------------------------------------


async def _create(call: Invocation) -> int:
    given = call.arguments
    async with engine_of(call, record_only=True, make=True) as engine:
        try:
            definition = await engine.workflows.read(given.file)
        except InvalidFile as error:
            tell_faults(call, error.faults)
            return 1
        made = await engine.workflows.create(definition, based_on=given.based_on)
    text = one_line(f"definition {made.name} has revision {made.revision}: {made.id}")
    call.terminal.item(made.as_dict(), text)
    return 0


async def _retire(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.workflows.retire(call.arguments.name, call.arguments.reason), call)


async def _restore(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        _say(await engine.workflows.restore(call.arguments.name), call)


def _say(definition: "StoredDefinition", call: Invocation) -> None:
    call.terminal.item(definition.as_dict(), one_line(f"definition {definition.name} is {definition.status}"))


# --- Reading ----------------------------------------------------------------------------------------------------------


async def _list(call: Invocation) -> None:
    await (list_definitions if call.arguments.definitions else list_workflows)(call)


async def _show(call: Invocation) -> None:
    given = call.arguments
    if given.revision is not None and not given.definition:
        raise InvalidInput(field="--revision", reason="workflows have no revisions", remedy="add --definition")
    await (show_definition if given.definition else show_workflow)(call)


# --- Starting ---------------------------------------------------------------------------------------------------------


async def _start(call: Invocation) -> int:
    given = call.arguments
    async with engine_of(call, record_only=not given.wait, make=True) as engine:
        try:
            workflow = await _workflow(engine, given)
        except InvalidFile as error:
            tell_faults(call, error.faults)
            return 1
        definition = await _definition(engine, workflow)
        inputs = {name: _value(text, definition.inputs.get(name)) for name, text in given.var}
        run = await engine.workflows.start(workflow, inputs, context=dict(given.context), key=given.key)
        return await _end(call, engine, run)


async def _workflow(engine: "Engine", given: Namespace) -> "WorkflowDefinition | str":
    """Return the definition in a file, or a name."""
    name = given.workflow
    return await engine.workflows.read(name) if is_file(name) else name


async def _definition(engine: "Engine", workflow: "WorkflowDefinition | str") -> "WorkflowDefinition":
    if not isinstance(workflow, str):
        return workflow
    return (await engine.workflows.definition(workflow.partition("@")[0])).definition


def _value(text: str, schema: "Mapping[str, Any] | None") -> object:
    """Return the value of an input: a text if its schema says so, else JSON if it is some."""
    return text if schema is not None and schema.get("type") == "string" else setting(f"value={text}")[1]


async def _fork(call: Invocation) -> int:
    given = call.arguments
    async with engine_of(call, record_only=not given.wait) as engine:
        run = await engine.workflows.fork(given.id, given.step, version=given.at)
        return await _end(call, engine, run)


async def _end(call: Invocation, engine: "Engine", run: "WorkflowRun") -> int:
    """Stay until a workflow has ended if the arguments say so; print it; return the exit code."""
    from aura_cli.streaming.workflow_progress import follow_workflow

    if call.arguments.wait:
        return await follow_workflow(call, run)
    await _print(call, engine, await run.state())
    return 0


async def _print(call: Invocation, engine: "Engine", workflow: "Workflow") -> None:
    call.terminal.item(workflow.as_dict(), workflow_text(workflow))
    await say_who_continues(call, engine, workflow)


# --- Steering ---------------------------------------------------------------------------------------------------------


async def _advance(call: Invocation) -> int:
    async with engine_of(call, record_only=not call.arguments.wait) as engine:
        workflow = await engine.workflows.advance(call.arguments.id)
        return await _end(call, engine, await engine.workflows.attach(workflow.id))


async def _pause(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        workflow = await engine.workflows.pause(call.arguments.id, call.arguments.reason)
    call.terminal.item(workflow.as_dict(), workflow_text(workflow))
    if running := working_of(workflow):
        call.terminal.say(one_line(f"still running: {', '.join(running)}"))


async def _resume(call: Invocation) -> int:
    async with engine_of(call, record_only=not call.arguments.wait) as engine:
        return await _end(call, engine, await engine.workflows.resume(call.arguments.id))


async def _cancel(call: Invocation) -> None:
    from aura_cli.streaming.workflow_progress import wait_until_ended

    given = call.arguments
    async with engine_of(call) as engine:
        workflow = await engine.workflows.cancel(given.id, given.reason, step=given.step)
        run = await engine.workflows.attach(workflow.id)
        if given.step is None and run.driven:
            workflow = await wait_until_ended(run)
    call.terminal.item(workflow.as_dict(), workflow_text(workflow))


async def _retry(call: Invocation) -> int:
    given = call.arguments
    async with engine_of(call, record_only=not given.wait) as engine:
        workflow = await engine.workflows.retry(given.id, given.step)
        return await _end(call, engine, await engine.workflows.attach(workflow.id))


async def _skip(call: Invocation) -> int:
    given = call.arguments
    async with engine_of(call, record_only=not given.wait) as engine:
        workflow = await engine.workflows.skip(given.id, given.step, given.reason)
        return await _end(call, engine, await engine.workflows.attach(workflow.id))


async def _signal(call: Invocation) -> None:
    given = call.arguments
    text = call.terminal.read_all() if given.data == "-" else given.data
    data = None if text is None else setting(f"data={text}")[1]
    async with engine_of(call, record_only=True) as engine:
        workflow = await engine.workflows.signal(given.id, given.name, data, key=given.key)
        await _print(call, engine, workflow)
