"""``aura events``: lists the log and follows it live."""

from argparse import ArgumentParser
from contextlib import aclosing

from aura_cli._call import Invocation, engine_of, require_made
from aura_cli.arguments.parser import finish
from aura_cli.arguments.values import moment
from aura_cli.rendering.formatting import counted, event_data, event_text


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--task", metavar="ID", help="only events about a task, its approvals and its runs")
    parser.add_argument("--execution", metavar="ID", help="only events about an execution, and its output")
    parser.add_argument("--stream", metavar="ID", help="only events of one stream")
    parser.add_argument(
        "--type",
        metavar="TYPE",
        action="append",
        help="only events of this type (task.created) or kind (task)",
    )
    parser.add_argument(
        "--since",
        metavar="POS|TIME",
        type=moment,
        default=0,
        help="only events after this position, or since this time",
    )
    parser.add_argument("--follow", action="store_true", help="keep listing events as they are recorded")
    finish(parser, run)


async def run(call: Invocation) -> None:
    """List the events selected by the arguments."""
    if not call.arguments.follow:
        await _list(call)
        return
    import anyio

    require_made(call.settings.store)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_list, call)
            await call.terminal.reader_gone()
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _list(call: Invocation) -> None:
    given, listed = call.arguments, 0
    async with engine_of(call, read_only=True) as engine:
        reading = engine.events.read(
            task=given.task,
            execution=given.execution,
            stream=given.stream,
            types=given.type or (),
            since=given.since,
            follow=given.follow,
        )
        async with aclosing(reading) as records:
            async for record in records:
                listed += 1
                call.terminal.item(event_data(record), event_text(record))
                if given.follow:
                    call.terminal.flush()
    call.terminal.say(counted(listed, "event"))
