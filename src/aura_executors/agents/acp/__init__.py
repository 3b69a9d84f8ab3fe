"""Executor `acp`: any agent that speaks the Agent Client Protocol (agentclientprotocol.com, version 1).

    aura run --executor acp -o agent=claude-agent-acp ...       # one of `PRESETS`
    aura run --executor acp --base-command my-agent --param --acp ...

The protocol is JSON-RPC over lines on standard input and output; `conversation` shows the order of messages. AURA does
not offer files or terminals to the agent, which works in the folder itself.

======================  ================================================================================================
success                 the prompt is answered with ``end_turn``
failure                 the prompt is answered with an error, or with ``max_tokens``, ``max_turn_requests``
failure, only in words  ``end_turn``, no tool was used, no token counted, and the last message begins as an error does
                        (copilot 1.0.102: "Error: ...", also after half an answer); or there is not even a message
failure, only in counts ``end_turn``, no tool was used, and the agent counted no tokens where it always counts (gemini)
no end                  20 messages in a row with nothing between them: the service cuts off each answer (opencode)
no final word           standard output ends without that answer: a failure, whatever the exit code is
rate limit              the error's code if that is a status, else its words: 429, "rate limit", "quota", "overloaded"
authentication          error -32000 (the protocol's), code or words 401, 403; a login that fails
refused                 ``refusal``
session lost            the agent does not offer ``session/resume`` or ``session/fork``, or answers it with an error
interrupted             the agent answers ``cancelled``
lack of permission      a permission request was denied, or a call failed for that, as the agent says; codex-acp ends
                        its turn as ``cancelled`` then, unasked. Calls that are not attempted leave no trace
======================  ================================================================================================

Limits: if the model's service fails in the middle of the work and the agent still ends with ``end_turn``, the run looks
successful, except with codex-acp and copilot, whose messages are known. Judge it by its changes. gemini takes an answer
that breaks off after a tool was used for a whole one.

Permissions: AURA chooses the option of kind ``allow_once`` or ``reject_once``, never "always", which it remembers
itself. The protocol has no field for the feedback of a denial, so AURA sends it as an extension
(``_meta.aura.feedback``), which no known agent reads; repeat it in the next prompt. After a resume, a repeated call is
recognised by its tool and raw input, or by its title and diff for agents that send no input (gemini).

Quirks, seen in the tested versions:

- claude-agent-acp 0.49.0, codex-acp 2.6.0 and opencode 1.18.33 resume and fork. qwen 0.15.10 claims to resume but
  does not know the method; gemini 0.61.0 and copilot 1.0.102 can only load a session and replay all of it, which AURA
  does not use. A follow-up to these starts a new session whose prompt contains the conversation so far.
- A session of opencode works in the folder that it began in, wherever it is resumed, so AURA does not resume one
  elsewhere.
- codex-acp ends a turn with ``end_turn`` after HTTP 500; an extension of its updates reports the error.
  It takes seven seconds to exit.
- copilot does so after both 500 and 401, with a message "Error: ..." before it. Its "Info: ..." are ordinary messages.
- opencode reports HTTP 401 only in the message of the service, which alone distinguishes it from 500. It asks to write
  files through the client, although that was not offered; when refused, it continues.
- copilot, opencode and qwen send different arguments and titles with a permission request than with the call.
- gemini reports a call only when it asks for permission or when the call is done, and never its arguments.
- Usage is as reported by the agent; opencode counts only the last request of a turn, so that of a turn with tools is
  incomplete, as is that of a turn that does not end. Agents report the cost of the
  session so far, and AURA reports the difference that this turn made.
- Most of these agents would take a prompt that begins with ``/`` for a command, also after spaces; AURA puts "Task: "
  before it.
"""

from collections.abc import Mapping

import msgspec

from aura_contracts.ports.executors import AgentRun, Availability, Capability, Executor, Launch
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import silencing_option
from aura_executors.agents.acp.command import AcpOptions, launch_of, options_of
from aura_executors.agents.acp.conversation import AcpConversation
from aura_executors.agents.acp.presets import PRESETS, Preset

__all__ = ["PRESETS", "AcpConversation", "AcpExecutor", "AcpOptions", "Preset"]


class AcpExecutor(Executor):
    """Runs an agent that speaks the Agent Client Protocol."""

    name = "acp"
    summary = "any agent that speaks the Agent Client Protocol: option agent, or --base-command CMD"
    capability = Capability(resume=True, fork=True, permissions=True, tool_servers=True, protocol=True)
    """What the protocol offers; an agent that cannot resume or fork gets the conversation as a prompt."""

    def launch(self, run: AgentRun) -> Launch:
        return launch_of(self.name, run)

    def converse(self, run: AgentRun) -> AcpConversation:
        return AcpConversation(run, options_of(self.name, run))

    def silencing_option(self, options: Mapping[str, object]) -> str | None:
        return silencing_option(read_options(self.name, options, AcpOptions), AcpOptions.silencing)

    def availability(self, environment: Mapping[str, str]) -> Availability:
        """Return whether any known agent is installed, with details of the first one."""
        found = self.found(environment)
        if not found:
            return Availability(
                available=False,
                reason=f"none of the known agents is on PATH: {', '.join(PRESETS)}",
                remedy="install one, or name another one's program with option base_command",
            )
        first = self.availability_of(next(iter(found)), environment)
        agents = ", ".join(name if PRESETS[name].tested else f"{name} (not tested)" for name in found)
        remedy = "; ".join(part for part in (f"option agent chooses among those found: {agents}", first.remedy) if part)
        return msgspec.structs.replace(first, remedy=remedy)

    def found(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the paths of the known agents that are installed, by name."""
        places = {name: preset.program.locate(environment) for name, preset in PRESETS.items()}
        return {name: place for name, place in places.items() if place is not None}

    def availability_of(self, agent: str, environment: Mapping[str, str]) -> Availability:
        """Return whether a known agent can be run here. Raises `KeyError` for an unknown one."""
        return PRESETS[agent].program.availability(environment)
