"""``aura events``: the log as a list, and live."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import finish
from aura_cli.arguments.values import count

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.events import EventRecord
    from aura_contracts.ports import EventLog


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--task", metavar="ID", help="only events about a task, its approvals and its runs")
    parser.add_argument("--execution", metavar="ID", help="only events about an execution, and its output")
    parser.add_argument("--stream", metavar="ID", help="only events of one stream")
    parser.add_argument(
        "--type",
        metavar="TYPE",
        action="append",
        help="only events of a type (task.created) or a kind (task)",
    )
    parser.add_argument("--since", metavar="POS", type=count, default=0, help="only events after this position")
    parser.add_argument("--follow", action="store_true", help="keep listing events as they are recorded")
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """List the events that the arguments ask for."""
    import anyio

    anyio.run(_list, arguments, settings, terminal)
    return 0


async def _list(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._reading import reading
    from aura_cli._store import require_made
    from aura_cli.rendering.formatting import event_data, event_text

    if arguments.follow:
        require_made(settings.store)
    topics = _topics(arguments.type or ())
    listed = 0
    async with reading(settings, terminal) as log:
        concerns = await _concerns(log, arguments)
        # what concerns a task is known from the beginning of the log on: an approval names its task when it is asked
        start = 0 if concerns else arguments.since
        wanted = () if concerns else topics
        source: Any = log.tail(start, topics=wanted) if arguments.follow else log.read(start, topics=wanted)
        async with aclosing(source) as records:
            async for record in records:
                admitted = all([concern.admits(record) for concern in concerns])  # noqa: C419 - each has to see it
                if admitted and record.position > arguments.since and (not topics or record.event.topic in topics):
                    listed += 1
                    terminal.item(event_data(record), event_text(record))
                    if arguments.follow:
                        terminal.flush()
    terminal.say(f"{listed:,} event{'s' * (listed != 1)}")


class _Concern:
    """Which events concern a thing: those of its own streams, those that name it, and all of the streams that began
    with its name, such as the approvals of a task."""

    def __init__(self, field: str, ident: str, streams: Sequence[str] = ()) -> None:
        self._field = field
        self._ident = ident
        self._streams = {ident, *streams}

    def admits(self, record: "EventRecord") -> bool:
        """Whether an event concerns the thing; to be asked about every event, in order."""
        if self._field and getattr(record.event, self._field, None) == self._ident:
            if record.version == 1:
                self._streams.add(record.stream_id)
            return True
        return record.stream_id in self._streams


async def _concerns(log: "EventLog", arguments: Namespace) -> list[_Concern]:
    from aura_cli._lookup import find_id
    from aura_contracts.ids import ExecutionId, output_stream

    concerns = []
    if arguments.task is not None:
        concerns.append(_Concern("task_id", await find_id(log, arguments.task, "task")))
    if arguments.execution is not None:
        execution = ExecutionId(await find_id(log, arguments.execution, "execution"))
        concerns.append(_Concern("execution_id", execution, [output_stream(execution)]))
    if arguments.stream is not None:
        concerns.append(_Concern("", await find_id(log, arguments.stream)))
    return concerns


def _topics(types: Sequence[str]) -> frozenset[str]:
    """Return the topics that are meant by names of topics and of aggregates. Raises `InvalidInput` for other names."""
    from aura_cli._lookup import AGGREGATE_OF
    from aura_contracts.errors import InvalidInput

    topics: set[str] = set()
    for name in types:
        meant = {topic for topic, aggregate in AGGREGATE_OF.items() if name in (topic, aggregate.name)}
        if not meant:
            names = ", ".join(sorted({aggregate.name for aggregate in AGGREGATE_OF.values()}))
            remedy = f"give one of {names}, or a type such as task.created"
            raise InvalidInput(field="type", reason=f"{name!r} is not a type of event", remedy=remedy)
        topics |= meant
    return frozenset(topics)
