"""``aura notify``: messages to people: list, test, retry."""

from argparse import ArgumentParser
from typing import TYPE_CHECKING

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.parser import add_subcommand, add_subcommands
from aura_cli.rendering.formatting import counted
from aura_contracts.quoting import one_line

if TYPE_CHECKING:
    from aura_engine import Notification

_LIST = """\
Lists messages that wait to be sent, and dead letters: those that a channel
refused, or did not take within a day. A message is orphaned while the settings
do not name its channel and person any more.
"""

_RETRY = """\
Has a dead letter sent again, under the same key, and sends all that is due,
unless another program serves the notifications of this store.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    commands = add_subcommands(parser)
    listing = add_subcommand(commands, "list", "list messages that wait or could not be sent", _list)
    listing.description = f"{listing.description}\n\n{_LIST}"
    listing.add_argument("--channel", metavar="NAME", help="only those of this channel")
    testing = add_subcommand(commands, "test", "send a test message by a channel", _test)
    testing.add_argument("channel", metavar="CHANNEL", help="name of the channel")
    testing.add_argument("--to", metavar="PERSON", help="who receives it (default: you)")
    retrying = add_subcommand(commands, "retry", "send a dead letter again", _retry)
    retrying.description = f"{retrying.description}\n\n{_RETRY}"
    retrying.add_argument("key", metavar="KEY", help="key of the message")


async def _list(call: Invocation) -> None:
    async with engine_of(call, read_only=True) as engine:
        found = await engine.notifications.list(channel=call.arguments.channel)
    call.terminal.table(found, ("channel", "recipient", "status", "what", "reason", "key"), _row)
    dead = sum(one.status == "dead" for one in found)
    call.terminal.say(f"{counted(len(found), 'message')}, {counted(dead, 'dead letter')}")


def _row(one: "Notification") -> tuple[str, ...]:
    return (one.channel, one.recipient, one.status, one_line(one.subject), one_line(one.reason), one.id)


async def _test(call: Invocation) -> None:
    given = call.arguments
    async with engine_of(call, record_only=True) as engine:
        sent = await engine.notifications.test(given.channel, person=given.to)
    call.terminal.item(sent.as_dict(), f"{given.channel} took a message for {sent.recipient}")


async def _retry(call: Invocation) -> None:
    async with engine_of(call, record_only=True) as engine:
        retried = await engine.notifications.retry(call.arguments.key)
        here = await engine.notifications.deliver()
        left = {one.id: one for one in await engine.notifications.list(channel=retried.channel)}
    if (still := left.get(retried.id)) is None:
        call.terminal.item(retried.as_dict(), f"{retried.channel} took it")
    else:
        why = "another program serves notifications, and sends it" if not here else "it could not be sent yet"
        call.terminal.item(still.as_dict(), f"{still.status}: {one_line(still.reason) or why}")
