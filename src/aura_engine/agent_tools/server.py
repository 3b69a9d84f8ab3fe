"""Tools: the server that an agent is given to act on its own task, and the environment that it needs. Pure."""

from pathlib import Path

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import TASK_TOKEN, AgentTools, ToolServer
from aura_contracts.store_url import StoreUrl

NAME = "aura"
"""What agents call the server."""


def tools_for(
    token: str,
    *,
    python: str,
    store: str,
    home: Path,
    folder: Path,
    encryption_key: str | None = None,
    compression: str | None = None,
) -> AgentTools:
    """Return what the agent with `token` is given; the arguments are how the engine's own store was opened.

    `python` runs this AURA, and `folder` is where relative paths begin. What is not set is set to nothing, so that it
    does not come from the environment that AURA was started in. Raises `InvalidInput` for a store that no other
    process can open.
    """
    if store.partition(":")[0] == "memory":
        reason = "it is in the memory of one process, where the agent's tools cannot reach it"
        raise InvalidInput(field="store", reason=reason, remedy="use sqlite:///PATH, or run without the tools")
    environment = {
        TASK_TOKEN: token,
        "AURA_STORE": str(StoreUrl.parse(store).seen_from(folder)),
        "AURA_HOME": str(folder / home),
        "AURA_COMPRESSION": compression or "none",
        "AURA_ENCRYPTION_KEY": encryption_key or "",
    }
    # -P: the folder that the agent works in is none to import modules from
    command = (python, "-P", "-m", "aura_cli", "mcp")
    return AgentTools(
        server=ToolServer(name=NAME, command=command, environment=tuple(environment)), environment=environment
    )
