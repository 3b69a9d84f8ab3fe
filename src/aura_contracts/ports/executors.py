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
from collections.abc import Iterable
from typing import Any

import attrs
import msgspec

from aura_contracts.execution import Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.ports.processes import ExitCause, InterruptPlan, ProcessExit

# --- Entries: what an agent was understood to say or do ---------------------------------------------------------------


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of what an agent says and does, in the same words for every agent."""


class SessionStarted(Entry, frozen=True, kw_only=True, tag="session_started"):
    """The agent named the session by which it can be resumed."""

    session_id: str


class Message(Entry, frozen=True, kw_only=True, tag="message"):
    """The agent said something to the human."""

    text: str


class ToolCalled(Entry, frozen=True, kw_only=True, tag="tool_call"):
    """The agent used a tool."""

    call_id: str
    tool: str
    arguments: dict[str, Any] = {}


class PermissionRequested(Entry, frozen=True, kw_only=True, tag="permission_request"):
    """The agent waits for permission. `fingerprint` is the same for the same call in a resumed session."""

    request_id: str
    tool: str
    fingerprint: str
    arguments: dict[str, Any] = {}
    diff: str | None = None


class UsageReported(Entry, frozen=True, kw_only=True, tag="usage"):
    """What the agent consumed since it last said so."""

    usage: Usage


class ErrorReported(Entry, frozen=True, kw_only=True, tag="error"):
    """The agent met an error; it may have gone on."""

    message: str


class Finished(Entry, frozen=True, kw_only=True, tag="finished"):
    """The agent said how it ended, in its own protocol; `failure` None means well."""

    failure: Failure | None = None


class Unknown(Entry, frozen=True, kw_only=True, tag="unknown"):
    """Something that the conversation did not understand; the raw output has it."""

    text: str


AnyEntry = (
    SessionStarted | Message | ToolCalled | PermissionRequested | UsageReported | ErrorReported | Finished | Unknown
)
"""For decoding."""


class Send(msgspec.Struct, frozen=True):
    """Bytes to be written to the agent's standard input; `close` closes it afterwards."""

    data: bytes = b""
    close: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a human, or a policy, or silence said to a permission request."""

    granted: bool
    feedback: str = ""


# --- Running ----------------------------------------------------------------------------------------------------------


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
    environment: dict[str, str] = attrs.field(factory=dict, repr=False)
    """What the agent's environment will be, before `Launch.env` is merged into it."""


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


class Conversation:
    """Understands one run of an agent. Pure and incremental: bytes in, in whatever pieces; entries and bytes out.

    Never raises for what an agent writes. This one understands nothing, which is right for any plain command.
    """

    def receive(self, source: OutputSource, data: bytes) -> Iterable[Entry | Send]:
        """Take in what the agent wrote."""
        return ()

    def answer(self, request_id: str, answer: Answer) -> Iterable[Entry | Send]:
        """Return how the answer to a permission request is told to the agent."""
        return ()

    def end(self, exit: ProcessExit) -> Iterable[Entry | Send]:  # noqa: A002 - the word for it
        """Take in that the agent has ended: what is left in buffers becomes entries."""
        return ()

    def judge(self, exit: ProcessExit) -> Failure | None:  # noqa: A002 - the word for it
        """Say whether the agent failed, from all the evidence there is; None means it did what it could."""
        return failure_of(exit)


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor's agent can do."""

    resume: bool = False
    permissions: bool = False
    """It asks before it uses a tool."""
    plan: bool = True
    """It can be asked for a proposal in words."""


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an agent can be run on this machine, with the facts."""

    available: bool
    executable: str | None = None
    """Where it was found."""
    version: str | None = None
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
        """Return the command for `run`. Pure. Raises `InvalidInput` for options that make no sense."""

    def converse(self, run: AgentRun) -> Conversation:
        """Return what understands the agent's side of `run`."""
        return Conversation()

    def availability(self) -> Availability:
        """Say whether the agent can be run here. May look at files and run ``--version``; blocks."""
        return Availability(available=True)


def failure_of(exit: ProcessExit) -> Failure | None:  # noqa: A002 - the word for it
    """Return what `exit` means for a plain command, for which 0 is success; every other cause is a failure."""
    match exit.cause:
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
