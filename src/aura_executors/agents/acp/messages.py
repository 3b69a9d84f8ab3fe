"""Messages that AURA sends in the Agent Client Protocol: methods with their parameters, and results. Pure.

The tests hold each against the protocol's schema (PyPI: ``agent-client-protocol``). That package is not used here: its
models take half a second to import, and its connection owns the pipes, which must outlive AURA.

AURA does not use ``fs/*``, ``terminal/*`` and ``session/load``, which the protocol's next version drops.
"""

from aura_contracts import __version__
from aura_contracts.ports.executors import AgentRun

VERSION = 1
"""Of the protocol."""

Params = dict[str, object]
Call = tuple[str, Params]
"""A method, and its parameters."""


def initialize() -> Call:
    """Return the first request, which identifies AURA and offers neither files nor terminals."""
    capabilities = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
    info = {"name": "aura", "title": "AURA", "version": __version__}
    return "initialize", {"protocolVersion": VERSION, "clientCapabilities": capabilities, "clientInfo": info}


def authenticate(method_id: str) -> Call:
    """Return the request to log in by one of the agent's methods."""
    return "authenticate", {"methodId": method_id}


def open_session(run: AgentRun) -> Call:
    """Return the request for a new session in the run's folder, or for a session to resume without replay, or fork.

    The protocol requires the values of the tool servers' variables; they go through the pipe, unstored.
    """
    servers = [
        {
            "name": server.name,
            "command": server.command[0],
            "args": server.command[1:],
            "env": [
                {"name": name, "value": run.environment[name]} for name in server.environment if name in run.environment
            ],
        }
        for server in run.tool_servers
    ]
    params: Params = {"cwd": run.cwd, "mcpServers": servers}
    if run.session_id is None:
        return "session/new", params
    return ("session/fork" if run.fork else "session/resume"), {"sessionId": run.session_id, **params}


def set_mode(session_id: str, mode: str) -> Call:
    """Return the request to change the session's mode."""
    return "session/set_mode", {"sessionId": session_id, "modeId": mode}


def set_model(session_id: str, model: str) -> Call:
    """Return the request to change the model, for agents that list models separately from configuration options.

    The protocol had this as an unstable method and replaced it with options; its schema no longer has it.
    """
    return "session/set_model", {"sessionId": session_id, "modelId": model}


def set_option(session_id: str, option: str, value: str) -> Call:
    """Return the request to set one of the session's configuration options."""
    return "session/set_config_option", {"sessionId": session_id, "configId": option, "value": value}


def prompt(session_id: str, text: str) -> Call:
    """Return the request to carry out the prompt, which is answered when the turn ends."""
    readable = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return "session/prompt", {"sessionId": session_id, "prompt": [{"type": "text", "text": readable}]}


def cancel(session_id: str) -> Call:
    """Return the notification to stop; the agent then answers the prompt with ``cancelled``."""
    return "session/cancel", {"sessionId": session_id}


def selected(option_id: str, feedback: str = "") -> Params:
    """Return the answer to a permission request, with one of its options.

    The protocol has no field for `feedback`, so it is sent as an extension.
    """
    meta = {"_meta": {"aura": {"feedback": feedback}}} if feedback else {}
    return {"outcome": {"outcome": "selected", "optionId": option_id}, **meta}


def cancelled() -> Params:
    """Return the answer to a permission request if the turn is being cancelled or no option fits."""
    return {"outcome": {"outcome": "cancelled"}}
