"""``aura mcp``: the tools with which an agent acts on its own task."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_engine.scope import TaskScope

_EPILOG = """\
AURA starts this for an agent, with the token of the run in AURA_TASK_TOKEN. It
only shows and changes the task of that run, and ends with the run.

Needs the extra mcp: pip install "aura-core[mcp]"
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Serve until the agent closes standard input."""
    import anyio

    scope = _scope(settings)
    try:
        from aura_cli import tool_server  # noqa: F401 - is it there? before anything is opened
    except ImportError as error:
        from aura_contracts.errors import InvalidInput

        if (error.name or "").partition(".")[0].startswith("aura"):
            raise
        reason = f"the Python package mcp is not installed ({error})"
        remedy = 'install the extra: pip install "aura-core[mcp]"'
        raise InvalidInput(field="aura mcp", reason=reason, remedy=remedy) from error
    anyio.run(_serve, scope, settings)
    return 0


def _scope(settings: "Settings") -> "TaskScope":
    """Return what the token in the environment is for. Raises `TokenRefused`."""
    from aura_engine.scope import TokenRefused, scope_of
    from aura_engine.secret import read_secret
    from aura_engine.tools import TOKEN

    token = settings.environment.get(TOKEN)
    if not token:
        raise TokenRefused(reason=f"{TOKEN} is not set")
    secret = read_secret(settings.home)
    if secret is None:
        raise TokenRefused(reason=f"no token was issued from this AURA_HOME: {settings.home}")
    return scope_of(secret, token)


async def _serve(scope: "TaskScope", settings: "Settings") -> None:
    from aura_cli._engine import desk_of
    from aura_cli.tool_server import serve
    from aura_engine.own_task import OwnTask

    async with desk_of(settings) as desk:
        await serve(OwnTask(desk, scope))
