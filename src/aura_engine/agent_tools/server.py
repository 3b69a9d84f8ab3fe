"""Tools: the server through which an agent acts on its own task, and the server's environment. Pure."""

from pathlib import Path

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import TASK_TOKEN, AgentTools, ToolServer
from aura_contracts.store_url import StoreUrl

NAME = "aura"
"""The name of the server in agents."""


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
    """Return the tools of the agent with `token`; the other arguments are those that opened the engine's store.

    `python` runs this AURA, and `folder` is the base of relative paths. Unset options become empty variables, so that
    the server does not inherit them from AURA's environment. Raises `InvalidInput` for a store that no other process
    can open.
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
    # -P: do not import modules from the folder that the agent works in
    command = (python, "-P", "-m", "aura_cli", "mcp")
    return AgentTools(
        server=ToolServer(name=NAME, command=command, environment=tuple(environment)), environment=environment
    )
