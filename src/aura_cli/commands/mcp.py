"""``aura mcp``: the tools with which an agent acts on its own task."""

from argparse import ArgumentParser
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aura_cli._call import RECORD_TIMEOUT, Invocation
from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from aura_engine import OwnTask

_EPILOG = """\
AURA starts this for an agent, with the token of the run in AURA_TASK_TOKEN. It
can only see and change the task of that run, and ends with the run.

Needs the extra mcp: pip install "aura-core[mcp]"
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    finish(parser, run)


async def run(call: Invocation) -> None:
    """Serve until the agent closes standard input."""
    from aura_engine import open_own_task

    settings = call.settings
    opening = open_own_task(
        settings.store,
        home=settings.home,
        environment=settings.environment,
        outage_timeout=RECORD_TIMEOUT,
        **settings.codec,
    )
    serve = _server()
    async with opening as own:
        await serve(own)


def _server() -> "Callable[[OwnTask], Awaitable[None]]":
    """Return the server of the tools. Called before anything is opened, because the extra may be missing."""
    try:
        from aura_cli.tool_server import serve
    except ImportError as error:
        from aura_contracts.errors import InvalidInput

        if (error.name or "").partition(".")[0].startswith("aura"):
            raise
        reason = f"the Python package mcp is not installed ({error})"
        remedy = 'install the extra: pip install "aura-core[mcp]"'
        raise InvalidInput(field="aura mcp", reason=reason, remedy=remedy) from error
    return serve
