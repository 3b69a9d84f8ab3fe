"""``aura review``: the questions that wait for you, one after another, in the terminal."""

from argparse import ArgumentParser

from aura_cli._call import Invocation, engine_of
from aura_cli.arguments.parser import finish
from aura_contracts.errors import InvalidInput

_EPILOG = """\
Those of this repository come first. What you decide is carried out meanwhile;
at the end the command waits for it, and asks what has come up by then. With
--no-wait it is left to whatever drives the tasks next.
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--here", action="store_true", help="only questions about this repository")
    parser.add_argument("--no-wait", action="store_true", help="record the decisions only")
    finish(parser, run)


async def run(call: Invocation) -> None:
    """Walk through the inbox. Raises `InvalidInput` without a terminal."""
    from aura_cli.streaming.walk import Walk

    keyboard = call.terminal.keyboard
    if keyboard is None:
        remedy = "use `aura approval list` and `aura approval approve` there"
        raise InvalidInput(field="review", reason="it asks a human at a terminal", remedy=remedy)
    async with engine_of(call, record_only=call.arguments.no_wait) as engine:
        here_only, waits = call.arguments.here, not call.arguments.no_wait
        await Walk(engine, call.terminal, keyboard, here_only=here_only, waits=waits).run()
