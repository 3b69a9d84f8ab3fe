"""Messages that AURA sends in the Agent Client Protocol, built with the models of the package `acp`. Pure.

The package (PyPI: ``agent-client-protocol``) is generated from the protocol's schema and is the authority on names and
shapes. Importing its models takes half a second, so it happens when an agent runs, not when AURA starts. Its connection
is not used because it owns the pipes, which must outlive AURA here.

AURA does not use ``fs/*``, ``terminal/*`` and ``session/load``, which the protocol's next version drops.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from aura_contracts import __version__
from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun

if TYPE_CHECKING:
    from acp import schema
    from pydantic import BaseModel

PACKAGE = "agent-client-protocol"
REMEDY = f"pip install 'aura-core[acp]', which brings the package {PACKAGE}"

Params = dict[str, Any]


def is_installed() -> bool:
    """Return whether the package is installed, without importing it."""
    return find_spec("acp") is not None


def initialize() -> tuple[str, Params]:
    """Return the first request, which identifies AURA and offers neither files nor terminals."""
    models = _models()
    capabilities = models.ClientCapabilities(
        fs=models.FileSystemCapabilities(read_text_file=False, write_text_file=False), terminal=False
    )
    info = models.Implementation(name="aura", title="AURA", version=__version__)
    version: int = _constants().PROTOCOL_VERSION
    return _method("initialize"), _told(
        models.InitializeRequest(protocol_version=version, client_capabilities=capabilities, client_info=info)
    )


def authenticate(method_id: str) -> tuple[str, Params]:
    """Return the request to log in by one of the agent's methods."""
    return _method("authenticate"), _told(_models().AuthenticateRequest(method_id=method_id))


def new_session(run: AgentRun) -> tuple[str, Params]:
    """Return the request for a new session in the run's folder."""
    return _method("session_new"), _told(_models().NewSessionRequest(cwd=run.cwd, mcp_servers=[*_servers(run)]))


def resume_session(run: AgentRun, session_id: str) -> tuple[str, Params]:
    """Return the request to resume a session without replaying it."""
    request = _models().ResumeSessionRequest(session_id=session_id, cwd=run.cwd, mcp_servers=[*_servers(run)])
    return _method("session_resume"), _told(request)


def fork_session(run: AgentRun, session_id: str) -> tuple[str, Params]:
    """Return the request for a copy of a session."""
    request = _models().ForkSessionRequest(session_id=session_id, cwd=run.cwd, mcp_servers=[*_servers(run)])
    return _method("session_fork"), _told(request)


def set_mode(session_id: str, mode: str) -> tuple[str, Params]:
    """Return the request to change the session's mode."""
    return _method("session_set_mode"), _told(_models().SetSessionModeRequest(session_id=session_id, mode_id=mode))


def set_model(session_id: str, model: str) -> tuple[str, Params]:
    """Return the request to change the model, for agents that list models separately from configuration options.

    The protocol had this as an unstable method and replaced it with options; the package no longer includes it.
    """
    return "session/set_model", {"sessionId": session_id, "modelId": model}


def set_option(session_id: str, option: str, value: str) -> tuple[str, Params]:
    """Return the request to set one of the session's configuration options."""
    request = _models().SetSessionConfigOptionSelectRequest(session_id=session_id, config_id=option, value=value)
    return _method("session_set_config_option"), _told(request)


def prompt(session_id: str, text: str) -> tuple[str, Params]:
    """Return the request to carry out the prompt, which is answered when the turn ends."""
    readable = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    block = _models().TextContentBlock(type="text", text=readable)
    return _method("session_prompt"), _told(_models().PromptRequest(session_id=session_id, prompt=[block]))


def cancel(session_id: str) -> tuple[str, Params]:
    """Return the notification to stop; the agent then answers the prompt with ``cancelled``."""
    return _method("session_cancel"), _told(_models().CancelNotification(session_id=session_id))


def selected(option_id: str, feedback: str = "") -> Params:
    """Return the answer to a permission request, with one of its options.

    The protocol has no field for `feedback`, so it is sent as an extension.
    """
    models = _models()
    outcome = models.AllowedOutcome(outcome="selected", option_id=option_id)
    meta = {"aura": {"feedback": feedback}} if feedback else None
    return _told(models.RequestPermissionResponse(outcome=outcome, field_meta=meta))


def cancelled() -> Params:
    """Return the answer to a permission request if the turn is being cancelled or no option fits."""
    models = _models()
    return _told(models.RequestPermissionResponse(outcome=models.DeniedOutcome(outcome="cancelled")))


def _servers(run: AgentRun) -> "list[schema.McpServerStdio]":
    """Return the tool servers. The protocol requires values of variables; they go through the pipe, unstored."""
    models = _models()
    return [
        models.McpServerStdio(
            name=server.name,
            command=server.command[0],
            args=[*server.command[1:]],
            env=[
                models.EnvVariable(name=name, value=run.environment[name])
                for name in server.environment
                if name in run.environment
            ],
        )
        for server in run.tool_servers
    ]


def _method(name: str) -> str:
    methods: Mapping[str, str] = _constants().AGENT_METHODS
    return methods[name]


def _told(message: "BaseModel") -> Params:
    told: Params = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    return told


@lru_cache(maxsize=1)
def _package() -> tuple[ModuleType, ModuleType]:
    try:
        from acp import meta, schema  # noqa: PLC0415 - not before an agent is run
    except ImportError as error:
        reason = f"it needs the Python package {PACKAGE}, which cannot be imported: {error}"
        raise InvalidInput(field="executor acp", reason=reason, remedy=REMEDY) from error
    return meta, schema


def _constants() -> Any:
    return _package()[0]


def _models() -> Any:
    return _package()[1]
