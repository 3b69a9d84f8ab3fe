"""Executors: how an agent is started, understood and judged. The port for third parties.

An executor does no I/O of its own. It says which command runs the agent (`Executor.launch`), and makes a
**conversation**, which is told every byte that the agent writes and answers with what it understood (`Entry`) and with
what is to be written to the agent's standard input (`Send`). Starting, reading, killing and keeping raw output is
AURA's job, the same for every agent. The smallest executor:

    class Cowsay(Executor):
        name = "cowsay"

        def launch(self, run: AgentRun) -> Launch:
            return Launch(argv=("cowsay", run.prompt))

It is found by the entry point group ``aura.executors``, or given to ``open_engine(executors=[Cowsay()])``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import msgspec

from aura_contracts.entries import (
    TEXT_LIMIT,
    AnyEntry,
    Entry,
    ErrorReported,
    FileChange,
    FileChanged,
    Finished,
    Message,
    PermissionRequested,
    PermissionWithdrawn,
    PlanStep,
    PlanUpdated,
    SessionStarted,
    Thinking,
    ToolCalled,
    ToolFinished,
    Unknown,
    UsageReported,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.processes import ExitCause, InterruptPlan, ProcessExit

__all__ = [
    "TEXT_LIMIT",
    "AgentRun",
    "Answer",
    "AnyEntry",
    "Availability",
    "Capability",
    "Conversation",
    "Entry",
    "ErrorReported",
    "Executor",
    "FileChange",
    "FileChanged",
    "Finished",
    "Launch",
    "Message",
    "PermissionRequested",
    "PermissionWithdrawn",
    "PlanStep",
    "PlanUpdated",
    "Send",
    "SessionStarted",
    "Thinking",
    "ToolCalled",
    "ToolFinished",
    "ToolServer",
    "Unknown",
    "UsageReported",
]


class Send(msgspec.Struct, frozen=True):
    """Bytes to be written to the agent's standard input; `close` closes it afterwards."""

    data: bytes = b""
    close: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a human, or a policy, or silence said to a permission request."""

    granted: bool
    feedback: str = ""


# --- Running ----------------------------------------------------------------------------------------------------------


class ToolServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server of the Model Context Protocol on standard input and output, for the agent to start.

    `environment` names variables of the agent's environment that the server needs: agents that give their servers a
    clean environment are told to pass these on. The values are there already; they are secrets and no arguments.
    """

    name: str
    command: tuple[str, ...]
    environment: tuple[str, ...] = ()


TASK_TOKEN = "AURA_TASK_TOKEN"  # noqa: S105 - the name of the variable
"""The variable that tells AURA's own tools which task an agent may act on."""


@attrs.frozen(kw_only=True)
class AgentTools:
    """AURA's own tools for one run of an agent."""

    server: ToolServer
    environment: Mapping[str, str] = attrs.field(repr=False)
    """Added to the agent's environment; `server` names all of these variables."""


@attrs.frozen(kw_only=True)
class AgentRun:
    """What an agent is asked to do now."""

    prompt: str
    cwd: str
    """The folder to work in; absolute."""
    options: dict[str, Any] = attrs.field(factory=dict)
    """The executor's settings: those of the agent, then those of the run. Unknown names are refused by the executor."""
    session_id: str | None = None
    """The agent's session to go on with; None starts a new one."""
    fork: bool = False
    """Go on with a copy of `session_id`, under another id. Refused by executors without the capability."""
    new_session_id: str = ""
    """A UUID for the session that is begun, for agents that let one choose; the same whenever this run is started."""
    environment: dict[str, str] = attrs.field(factory=dict, repr=False)
    """What the agent's environment will be, before `Launch.env` is merged into it."""
    tool_servers: tuple[ToolServer, ...] = ()
    """What the agent is to be able to use beside its own tools; executors whose agent cannot leave it out."""


@attrs.frozen(kw_only=True)
class Launch:
    """Which command runs the agent."""

    argv: tuple[str, ...]
    env: dict[str, str | None] = attrs.field(factory=dict, repr=False)
    """Merged into the environment; None removes a variable."""
    stdin: bytes | None = attrs.field(default=None, repr=False)
    """Written first; unless `interactive`, standard input is closed after it. None and not interactive: /dev/null."""
    interactive: bool = False
    interrupt: InterruptPlan = attrs.field(factory=InterruptPlan)
    exit_grace: float = 5.0
    """Seconds that the agent has to exit by itself after its conversation understood `Finished`."""


class Conversation:
    """Understands one run of an agent. Pure and incremental: bytes in, in whatever pieces; entries and bytes out.

    Never raises for what an agent writes. Deterministic: told the same again it says the same, however the bytes are
    cut. That is how it survives a restart of AURA: a new one is told all over what the agent wrote, and the answers
    that were given (at whatever moment); what was recorded or written to the agent before is left out.

    This one understands nothing, which is right for any plain command.
    """

    blocked: str = ""
    """What the agent was not permitted to do, in words, although it may say that all is well; empty: nothing."""

    def receive(self, source: OutputSource, data: bytes) -> Iterable[Entry | Send]:
        """Take in what the agent wrote."""
        return ()

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        """Return how the answer to a permission request is told to the agent; nothing for a request that is not open.

        The request may be one that is not known yet, after a restart: then it is remembered until it is asked.
        """
        return ()

    def interrupt(self) -> Iterable[Send]:
        """Return how the agent is asked to stop in its own protocol. Signals follow in any case."""
        return ()

    def end(self, exit: ProcessExit) -> Iterable[Entry]:
        """Take in that the agent has ended: what is left in buffers becomes entries."""
        return ()

    def judge(self, exit: ProcessExit) -> Failure | None:
        """Say whether the agent failed, from all the evidence there is; None means it did what it could."""
        return failure_of(exit)


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor's agent can do."""

    resume: bool = False
    fork: bool = False
    """A session can be gone on with under another id, and left as it was."""
    permissions: bool = False
    """It asks before it uses a tool, and waits for the answer."""
    tool_servers: bool = False
    """It can be given servers of the Model Context Protocol."""
    plan: bool = True
    """It can be asked for a proposal in words."""
    protocol: bool = False
    """Standard output carries a protocol, one JSON object per line, and `Conversation` turns into entries what it says.

    People are shown those entries instead of the lines.
    """


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an agent can be run on this machine, with the facts."""

    available: bool
    executable: str | None = None
    """Where it was found."""
    version: str | None = None
    tested_versions: tuple[str, ...] = ()
    """Those that AURA was tested with; others may well work."""
    logged_in: bool | None = None
    """Whether it has credentials; None: that cannot be found out without asking its service."""
    login: str = ""
    """How that was determined: which variable or file was looked for. Never its content."""
    reason: str = ""
    """What is missing."""
    remedy: str = ""


class Executor(ABC):
    """A kind of agent. Stateless: one object serves all runs at once."""

    name: str
    """By which it is chosen: small letters, digits, hyphens."""

    summary: str = ""
    capability: Capability = Capability()

    @abstractmethod
    def launch(self, run: AgentRun) -> Launch:
        """Return the command for `run`. Raises `InvalidInput` for options that make no sense.

        Does nothing but look where the program is, in `AgentRun.environment`.
        """

    def converse(self, run: AgentRun) -> Conversation:
        """Return what understands the agent's side of `run`."""
        return Conversation()

    def availability(self, environment: Mapping[str, str]) -> Availability:
        """Say whether the agent can be run here, in this environment. May look at files, run ``--version``; blocks."""
        return Availability(available=True)


def failure_of(exit: ProcessExit) -> Failure | None:
    """Return what `exit` means for a plain command, for which 0 is success; every other cause is a failure."""
    match exit.cause:
        case ExitCause.EXIT_GRACE:
            return None
        case ExitCause.OWN if exit.exit_code == 0:
            return None
        case ExitCause.OWN if exit.signal is not None:
            message = f"it was ended by signal {exit.signal}"
            return Failure(FailureReason.AGENT_ERROR, message, signal=exit.signal)
        case ExitCause.OWN:
            message = f"it exited with {exit.exit_code}"
            return Failure(FailureReason.AGENT_ERROR, message, exit_code=exit.exit_code)
        case cause:
            reason = _REASONS[cause]
            return Failure(reason, exit.message or str(cause), exit_code=exit.exit_code, signal=exit.signal)


_REASONS = {
    ExitCause.INTERRUPTED: FailureReason.CANCELLED,
    ExitCause.TIMEOUT: FailureReason.TIMEOUT,
    ExitCause.IDLE_TIMEOUT: FailureReason.TIMEOUT,
    ExitCause.OUTPUT_LIMIT: FailureReason.OUTPUT_LIMIT,
    ExitCause.ABANDONED: FailureReason.WORKER_LOST,
    ExitCause.SPOOL_FAILED: FailureReason.STORAGE_FULL,
    ExitCause.VANISHED: FailureReason.WORKER_LOST,
}
