"""Events of the GitHub Copilot CLI: their shapes, as far as they are needed, and those that say nothing to AURA.

Its schema is ``schemas/session-events.schema.json`` in its package.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from aura_contracts.first_use import json_decoder

T = TypeVar("T")


class _Head(msgspec.Struct, gc=False):
    type: str


class Delta(msgspec.Struct, rename="camel", gc=False):
    message_id: str
    delta_content: str
    parent_tool_call_id: str | None = None


class Spoken(msgspec.Struct, rename="camel", gc=False):
    """A whole message. One with `parent_tool_call_id` is from a sub-agent to the agent."""

    content: str = ""
    model: str = ""
    reasoning_text: str = ""
    output_tokens: int = 0
    parent_tool_call_id: str | None = None


class Reasoning(msgspec.Struct, gc=False):
    content: str


class Start(msgspec.Struct, rename="camel"):
    tool_call_id: str
    tool_name: str
    arguments: Any = None


class Error(msgspec.Struct, rename="camel", gc=False):
    message: str
    error_type: str = ""
    status_code: int | None = None
    code: str = ""


class Content(msgspec.Struct, rename="camel", gc=False):
    content: str = ""
    detailed_content: str = ""


class Edit(msgspec.Struct, gc=False):
    path: str
    kind: str = ""


class ShellExecution(msgspec.Struct, rename="camel", gc=False):
    exit_code: int | None = None


class Complete(msgspec.Struct, rename="camel"):
    tool_call_id: str
    success: bool
    result: Content | None = None
    error: Error | None = None
    file_edits: list[Edit] = []
    shell_execution: ShellExecution | None = None


class CallFailure(msgspec.Struct, rename="camel", gc=False):
    error_message: str = ""
    status_code: int | None = None


class Retry(msgspec.Struct, gc=False):
    reason: str = ""


class Abort(msgspec.Struct, gc=False):
    reason: str = ""


class Updated(msgspec.Struct, gc=False):
    model: str = ""


class ResultEvent(msgspec.Struct, rename="camel", gc=False):
    exit_code: int
    session_id: str = ""


class SessionEvent(msgspec.Struct, Generic[T], rename="camel"):
    data: T
    agent_id: str | None = None


UNINTERESTING = frozenset(
    b"""
    agent.interrupted assistant.fusion_phase_activity assistant.fusion_phase_completed assistant.fusion_phase_failed
    assistant.fusion_phase_started assistant.idle assistant.intent assistant.reasoning_delta
    assistant.server_tool_progress assistant.streaming_delta assistant.tool_call_delta assistant.turn_end
    assistant.turn_start assistant.usage auto_mode_switch.completed auto_mode_switch.requested capabilities.changed
    command.completed command.execute command.queued commands.changed elicitation.completed elicitation.requested
    exit_plan_mode.completed exit_plan_mode.requested external_tool.completed external_tool.requested hook.end
    hook.progress hook.start human_response.recorded mcp.headers_refresh_completed mcp.headers_refresh_required
    mcp.oauth_completed mcp.oauth_recovery_completed mcp.oauth_required mcp.prompts.list_changed
    mcp.resources.list_changed mcp.tools.list_changed mcp_app.tool_call_complete model.call_final_result
    model.call_finished model.call_start pending_messages.modified permission.assentDetected
    permission.carriedForward permission.completed permission.contextualAuthorization
    permission.messageAuthorization permission.messageAuthorizationDegraded permission.messageAuthorizationRead
    permission.requested prompt_cache_break sampling.completed sampling.requested sandbox.decision
    session.auto_mode_resolved session.auto_tier_recommendation session.auto_tier_switch_failed
    session.autopilot_objective_changed session.autopilot_stopped session.background_tasks_changed
    session.binary_asset session.canvas.closed session.canvas.opened session.canvas.recorded
    session.canvas.registry_changed session.canvas.removed session.canvas.unavailable session.compaction_complete
    session.compaction_start session.completion_receipt session.context_changed session.context_cleared
    session.custom_agents_updated session.custom_notification session.extensions.attachments_pushed
    session.extensions_loaded session.fusion_change_checkpoint session.fusion_commit_started
    session.fusion_completed session.fusion_handoff session.fusion_resolved session.fusion_route_failed
    session.fusion_route_started session.handoff session.idle session.indexed_search session.info
    session.managed_plugin_progress session.managed_settings_enforced session.managed_settings_resolved
    session.mcp_server_needs_reconnect session.mcp_server_removed session.mcp_server_status_changed
    session.mcp_server_tools_loaded session.mcp_servers_loaded session.memory_changed session.mode_changed
    session.mode_notice_delivered session.model_change session.model_deselected session.permission_recovery
    session.permissions_changed session.plan_changed session.quota_observation session.remote_steerable_changed
    session.request_body_compression_disabled session.resume session.schedule_cancelled session.schedule_created
    session.schedule_rearmed session.session_limits_changed session.shutdown session.skills_loaded
    session.snapshot_rewind session.start session.task_complete session.title_changed session.todos_changed
    session.truncation session.usage_checkpoint session.usage_info session.usage_record
    session.workspace_file_changed session_limits_exhausted.completed session_limits_exhausted.requested
    skill.context_delivered skill.context_delivered_ref skill.invoked skill.invoked_ref subagent.completed
    subagent.configured subagent.deselected subagent.failed subagent.selected subagent.started system.message
    system.notification tool.execution_partial_result tool.execution_progress tool.shell_output tool.user_requested
    tool_search.activated ui.ephemeral_query user.message user_input.completed user_input.requested workflow.result
    workflow.run_settled workflow.run_started workflow.run_updated
    """.split()
)
"""Those of version 1.0.102 for its own screen, telemetry, and so on. What is neither here nor understood is unknown."""

_BEGINNING = b'{"type":"'
_HEAD = json_decoder(_Head)


def type_of(line: bytes) -> bytes:
    """Return the type of an event: by its place in the line, where this agent writes it; decoded, if elsewhere."""
    if line.startswith(_BEGINNING) and line.endswith(b"}"):
        start = len(_BEGINNING)
        return line[start : line.index(b'"', start)]
    return _HEAD.decode(line).type.encode()


def decoder_of(kind: type[T]) -> Callable[[bytes], SessionEvent[T]]:
    """Return what decodes events with this data."""
    return json_decoder(SessionEvent[kind]).decode  # type: ignore[valid-type]
