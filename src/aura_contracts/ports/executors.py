"""Executors: how to start, understand and judge an agent. The port for third parties.

An executor does no I/O of its own. It builds the command that runs the agent (`Executor.launch`) and creates a
**conversation**, which receives every byte that the agent writes, and returns what it understood (`Entry`) and what to
write to the agent's standard input (`Send`). AURA starts and kills the process, reads from it and keeps its raw output,
in the same way for every agent. The smallest executor:

    class Cowsay(Executor):
        name = "cowsay"

        def launch(self, run: AgentRun) -> Launch:
            return Launch(argv=("cowsay", run.prompt))

AURA finds it through the entry point group ``aura.executors``, or as ``open_engine(executors=[Cowsay()])``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import msgspec

from aura_contracts.entries import Entry, Usage
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.output import OutputSource
from aura_contracts.plain_data import Plain
from aura_contracts.ports.processes import ExitCause, InterruptPlan, ProcessExit


class Send(msgspec.Struct, frozen=True):
    """Bytes for the agent's standard input; `close` closes it afterwards."""

    data: bytes = b""
    close: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a human or a policy to a permission request, or its expiry."""

    granted: bool
    feedback: str = ""


# --- Running ----------------------------------------------------------------------------------------------------------


class ToolServer(msgspec.Struct, frozen=True, kw_only=True):
    """A Model Context Protocol server on standard input and output, which the agent starts.

    `environment` names variables of the agent's environment that the server needs. Agents that give their servers a
    clean environment must pass these on. The values are secrets in the environment, and not arguments.
    """

    name: str
    command: tuple[str, ...]
    environment: tuple[str, ...] = ()


TASK_TOKEN = "AURA_TASK_TOKEN"  # noqa: S105 - the name of the variable
"""The variable with the token that says on which task an agent may act through AURA's own tools."""


@attrs.frozen(kw_only=True)
class AgentTools:
    """AURA's own tools for one run of an agent."""

    server: ToolServer
    environment: Mapping[str, str] = attrs.field(repr=False)
    """Added to the agent's environment; `server` names each of these variables."""


@attrs.frozen(kw_only=True)
class AgentRun:
    """The input for one run of an agent."""

    prompt: str
    cwd: str
    """The working directory; absolute."""
    options: dict[str, Any] = attrs.field(factory=dict)
    """The executor's settings: those of the agent, then those of the run. The executor refuses unknown names."""
    session_id: str | None = None
    """The agent session to resume; None starts a new one."""
    fork: bool = False
    """Resume a copy of `session_id` under another id. Executors without the capability refuse this."""
    elsewhere: bool = False
    """`session_id` has worked in other folders than `cwd` only, as far as AURA knows. Executors whose agent would then
    work in one of those, or hang, raise `SessionElsewhere`, and AURA replays the conversation in a new session."""
    session_usage: Usage | None = None
    """What `session_id` had consumed before, as its agent counted it; None if AURA does not know."""
    idle_timeout: float | None = None
    """Seconds without output after which the run is ended; an agent that can write while it works should."""
    variables: Mapping[str, str] = attrs.field(factory=dict)
    """The variables that the user gave for prompt templates; ``custom`` also gives them to its command."""
    new_session_id: str = ""
    """A UUID for a new session, for agents that accept one; the same each time this run is started."""
    environment: dict[str, str] = attrs.field(factory=dict, repr=False)
    """The agent's environment, before `Launch.env` is merged into it."""
    tool_servers: tuple[ToolServer, ...] = ()
    """Tools for the agent besides its own. Executors whose agent cannot use them leave them out."""
    review: str = ""
    """What a human approves: ``plan``, ``changes``, ``both`` or ``auto``; empty if the run belongs to no task."""


@attrs.frozen(kw_only=True)
class Launch:
    """The command that runs the agent."""

    argv: tuple[str, ...]
    env: dict[str, str | None] = attrs.field(factory=dict, repr=False)
    """Merged into the environment; None removes a variable."""
    stdin: bytes | None = attrs.field(default=None, repr=False)
    """Written first, then closed unless `interactive`. Without it and not interactive, standard input is /dev/null."""
    interactive: bool = False
    interrupt: InterruptPlan = attrs.field(factory=InterruptPlan)
    exit_grace: float = 5.0
    """Seconds for the agent to exit by itself after its conversation reports `Finished`."""
    install: str = ""
    """How to install the program, for those who have not; empty if AURA does not know."""


class Conversation:
    """Understands one run of an agent. Pure and incremental: bytes in, in pieces of any size; entries and bytes out.

    Never raises for anything that an agent writes. Deterministic: the same input gives the same results, however the
    bytes are cut. This is how a conversation survives a restart of AURA: a new one receives everything that the agent
    wrote and all the answers given (at any moment), and AURA drops what it has already recorded or sent to the agent.

    The base class understands nothing, which is right for any plain command.
    """

    blocked: str = ""
    """What the agent was not permitted to do, in words, even if it claims success; empty if nothing."""

    def receive(self, source: OutputSource, data: bytes) -> Iterable[Entry | Send]:
        """Process the agent's output."""
        return ()

    def answer(self, request_id: str, answer: Answer) -> Iterable[Send]:
        """Return the bytes that give the agent its answer to a permission request; nothing if the request is not open.

        After a restart the request may not be known yet; its answer is then kept until the request arrives.
        """
        return ()

    def tell(self, message_id: str, text: str) -> Iterable[Send]:
        """Return the bytes that give a human's message to the agent in the middle of its turn; nothing if it cannot.

        An agent that takes it confirms it (`MessageTaken`); otherwise it gets the message when its turn is over.
        """
        return ()

    def interrupt(self) -> Iterable[Send]:
        """Return the bytes that ask the agent to stop in its own protocol. Signals follow in any case."""
        return ()

    def end(self, exit: ProcessExit) -> Iterable[Entry]:
        """Process the end of the agent: anything left in buffers becomes entries."""
        return ()

    def judge(self, exit: ProcessExit) -> Failure | None:
        """Return the failure of the agent, judging by all the evidence; None means that it did what it could."""
        return failure_of(exit)


class Capability(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """What an executor's agent can do."""

    resume: bool = False
    fork: bool = False
    """Sessions can be resumed under another id, with the original unchanged."""
    permissions: bool = False
    """The agent asks before it uses a tool, and waits for the answer."""
    tool_servers: bool = False
    """The agent accepts Model Context Protocol servers."""
    messages: bool = False
    """The agent takes a human's messages in the middle of its turn, at least in some of its versions."""
    plan: bool = True
    """The agent can be asked for a plan in words."""
    protocol: bool = False
    """Standard output is a protocol, one JSON object per line, which the conversation turns into entries.

    People see these entries instead of the lines.
    """


class Availability(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """Whether an agent can run on this machine, and why or why not."""

    available: bool
    executable: str | None = None
    """The path of its program."""
    version: str | None = None
    tested_versions: tuple[str, ...] = ()
    """Versions that AURA was tested with; others may well work."""
    logged_in: bool | None = None
    """Whether it has credentials; None if only its service knows."""
    login: str = ""
    """The evidence: which variable or file was checked. Never its content."""
    reason: str = ""
    """What is missing."""
    remedy: str = ""


class ExecutorInfo(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """An executor that is installed."""

    name: str
    summary: str
    capability: Capability
    availability: Availability


class Executor(ABC):
    """A kind of agent. Stateless: one object serves all runs at once."""

    name: str
    """The name to choose it by: lower-case letters, digits, hyphens."""

    summary: str = ""
    capability: Capability = Capability()

    @abstractmethod
    def launch(self, run: AgentRun) -> Launch:
        """Return the command for `run`. Raises `InvalidInput` for options that make no sense.

        Its only I/O is to look for the program, in the path of `AgentRun.environment`.
        """

    def converse(self, run: AgentRun) -> Conversation:
        """Return the conversation for `run`."""
        return Conversation()

    def silencing_option(self, options: Mapping[str, object]) -> str | None:
        """Return the name of the option with which the agent asks for no permission, None if it asks for some.

        Raises `InvalidInput` for options that make no sense. Called only if its `capability` has permissions."""
        return None

    def documents_read(self, options: Mapping[str, object]) -> tuple[str, ...]:
        """Return the documents that the agent reads by itself in its working directory, and above it up to the top of
        the repository: ``CLAUDE.md``. Those of a project are not given to it a second time.

        Raises `InvalidInput` for options that make no sense."""
        return ()

    def availability(self, environment: Mapping[str, str]) -> Availability:
        """Check whether the agent can run here, in this environment. May read files and run ``--version``; blocks."""
        return Availability(available=True)


def failure_of(exit: ProcessExit) -> Failure | None:
    """Return the failure of a plain command, which succeeds only with exit code 0."""
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
