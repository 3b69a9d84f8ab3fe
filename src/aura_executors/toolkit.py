"""Toolkit: what adapters of agents are made of, for those who write another one. Public; it names and adds nothing.

Every adapter has the same three parts, and there is something here for each:

**Settings and command.** Options are a struct that inherits from `AgentOptions`, or from `ActingOptions` for an agent
that can be told to ask for nothing; `agent_options` reads and checks them: names and types (`read_options`), secrets
and what no system would take (`require_clean`). `prompt_of` returns the whole prompt, `prompt_bytes` as it goes to
standard input, `program_of` the words that start the agent.

**Conversation.** `JsonLines` is the base for agents that write one JSON value in a line: it cuts bytes into lines
(`Lines`), in bounded memory, and makes what is not understood `Unknown`, once `NOT_UNDERSTOOD` is raised or None is
returned. `PlainConversation` is for programs that write an answer and nothing else. Texts that go into entries are
bounded by `clipped`, values by `clipped_value`; `Tail` keeps the end of a stream.

**Judgement.** `JsonLines.failed` puts together what the agent told and how its process ended. `failure_from` tells rate
limits and authentication from other failures by the words of a service, `reason_of_status` by its HTTP status;
`lost_session` is the failure of an agent that cannot resume.

**Availability.** `Program` finds the agent, asks for its version and looks for a login.

The port is `aura_contracts.ports.executors`, and `aura_executors.testing` proves an adapter;
``docs/how-to/write-an-executor.md`` builds a complete one. Names that begin with an underscore, and modules that are not
named here, may change with every release.
"""

from aura_executors._options import read_options
from aura_executors.agents._command import (
    ARGUMENT_LIMIT,
    ActingOptions,
    AgentOptions,
    agent_options,
    program_of,
    prompt_bytes,
    prompt_of,
    require_argument,
    require_clean,
    with_params,
)
from aura_executors.agents._conversation import (
    NOT_UNDERSTOOD,
    UNKNOWN_ENTRIES,
    UNKNOWN_LIMIT,
    JsonLines,
    Said,
    lost_session,
)
from aura_executors.agents._evidence import failure_from, reason_of_status
from aura_executors.agents._finding import Program
from aura_executors.agents._lines import LINE_LIMIT, TOO_LONG, Lines
from aura_executors.agents._plain import PlainConversation, without_controls
from aura_executors.agents._texts import MESSAGE_LIMIT, Tail, clipped, clipped_value

__all__ = [
    "ARGUMENT_LIMIT",
    "LINE_LIMIT",
    "MESSAGE_LIMIT",
    "NOT_UNDERSTOOD",
    "TOO_LONG",
    "UNKNOWN_ENTRIES",
    "UNKNOWN_LIMIT",
    "ActingOptions",
    "AgentOptions",
    "JsonLines",
    "Lines",
    "PlainConversation",
    "Program",
    "Said",
    "Tail",
    "agent_options",
    "clipped",
    "clipped_value",
    "failure_from",
    "lost_session",
    "program_of",
    "prompt_bytes",
    "prompt_of",
    "read_options",
    "reason_of_status",
    "require_argument",
    "require_clean",
    "with_params",
    "without_controls",
]
