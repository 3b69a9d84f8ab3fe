"""Follower: prints a task on stdout while it runs, until it has ended or waits for a human.

An interrupt (SIGINT, SIGTERM, SIGHUP, or the reader of stdout going away) cancels the task: its agent is stopped
gracefully, and everything until then is recorded and printed. A second interrupt exits at once, and supervisors end the
remaining processes. While the task only waits for a human, an interrupt just stops waiting.

Everything runs in one task group and one event loop: `_print_all` alone reads the log and owns the narration and the
lines; the others (signals, the reader, questions, delays) only print whole lines or cancel its scope.
"""

import os
from collections.abc import Iterable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc

from aura_cli._exit_codes import INTERRUPTED
from aura_cli._signals import ending_signals
from aura_cli.rendering.approval_page import diff_lines, headline, page_lines
from aura_cli.rendering.errors import report
from aura_cli.rendering.formatting import event_data, task_text
from aura_cli.rendering.subject import Subject
from aura_cli.rendering.terminal import Terminal, json_line
from aura_cli.streaming.entry_text import entry_of, words_of
from aura_cli.streaming.follow_options import FollowOptions
from aura_cli.streaming.lines import JsonOutput, TextLines
from aura_cli.streaming.narration import Narration
from aura_cli.streaming.next_steps import next_steps
from aura_cli.streaming.outcome import outcome_of
from aura_cli.streaming.printer import Printer
from aura_cli.streaming.prompt import DecisionPrompt, HumanDecision, ask
from aura_contracts.approval import Approval, ApprovalDecision, ApprovalRequested, ApprovalStatus
from aura_contracts.errors import AuraError, StoreUnavailable, TransitionRefused, UnknownExecutor
from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import ExecutionQueued, ProcessExited, ProcessStarted
from aura_contracts.output import OutputRecorded
from aura_contracts.quoting import one_line
from aura_contracts.task import WAITS_FOR_HUMAN
from aura_contracts.workspace import WorkspaceStatus
from aura_engine import Engine, Run

if TYPE_CHECKING:
    from aura_cli._call import Invocation

DRAIN_TIME = 2.0
"""Seconds to print the remaining output after an interrupt; the reader may be stuck."""

EXIT_TIME = 0.5
"""Seconds that an immediate exit may take."""

DELAY_NOTICE = 2.0
"""Seconds of delay before it is reported."""

HELD_LIMIT = 64
"""Maximum batches of output to hold until the start of their process is printed."""


async def continue_task(call: "Invocation", engine: Engine, task_id: str, *, since: int) -> int:
    """Follow a task that a command has just started; return the exit code.

    With --no-wait, or if another process drives the task, only show it.
    """
    if not call.arguments.no_wait:
        run = await engine.resume(task_id)
        if run.driven:
            return await follow(engine, run, call.terminal, FollowOptions.of(call, since=since))
        call.terminal.say("another process drives the task and continues it")
    task = await engine.tasks.get(task_id)
    call.terminal.item(task.as_dict(), task_text(task))
    return 0


async def follow(engine: Engine, run: Run, terminal: Terminal, options: FollowOptions) -> int:
    """Print the events of a task; return the exit code.

    An existing task is read from its first event, so that the narration knows its state.
    """
    return await _Follower(engine, run, terminal, options).follow()


class _Follower:
    def __init__(self, engine: Engine, run: Run, terminal: Terminal, options: FollowOptions) -> None:
        self._engine = engine
        self._run = run
        self._terminal = terminal
        self._options = options
        self._since = options.since or 0
        self._printer = Printer(terminal.out)
        self._narration = Narration(options.hint)
        encoding = getattr(terminal.out, "encoding", None) or "utf-8"
        self._text = TextLines(escaped=terminal.out.isatty(), encoding=encoding)
        self._lines: TextLines | JsonOutput = JsonOutput() if terminal.json else self._text
        self._protocol = False
        """Whether the agent speaks a protocol; then its messages are printed instead of the raw lines."""
        self._interrupts = 0
        self._asked: set[str] = set()
        self._current: str | None = None
        """The question that the human is asked at the moment."""
        self._held: list[EventRecord] = []
        """Output of a process whose start is not printed yet; the two are recorded concurrently."""
        self._started = False
        self._position: int | None = None  # of the last printed event
        self._is_away = False  # the store; it was said
        self._asking = anyio.CancelScope()
        self._scope = anyio.CancelScope()
        self._group: anyio.abc.TaskGroup

    async def follow(self) -> int:
        code: int = INTERRUPTED
        error: AuraError | None = None
        async with anyio.create_task_group() as self._group:
            await self._group.start(self._handle_signals)
            for task in (self._printer.run, self._watch_reader, self._report_delays):
                self._group.start_soon(task)
            with self._scope:
                await self._print_all()
            code, error = await self._outcome()
            with anyio.move_on_after(DRAIN_TIME if self._interrupts else None):
                await self._printer.drain()
            self._group.cancel_scope.cancel()
        if self._printer.error is not None:
            raise self._printer.error
        if error is not None:
            report(error, json=self._terminal.json)
        return code

    async def _outcome(self) -> tuple[int, AuraError | None]:
        if self._interrupts:
            with anyio.move_on_after(DRAIN_TIME), suppress(AuraError):  # what it says is help, not a result
                for line in next_steps(await self._engine.tasks.view(self._run.id), self._options.hint):
                    self._terminal.say(line)
            return INTERRUPTED, None
        if self._options.review:
            await self._review()
        return outcome_of(await self._run.task(), self._narration.exit)

    # --- Printing -----------------------------------------------------------------------------------------------------

    async def _print_all(self) -> None:
        if self._options.preface and not self._terminal.json:
            await self._printer.put(self._text.note(self._options.preface))
        self._position = None if self._options.since is None else 0
        while not await self._print_new():
            pass
        await self._print_held()
        await self._printer.put(self._lines.end())

    async def _print_new(self) -> bool:
        """Print the events after the last printed one; return False if the store went away meanwhile.

        The agent works through an outage of any length, and what it writes is kept.
        """
        records = self._run.events(after=self._position, until_end=self._options.wait)
        try:
            async with aclosing(records):
                async for record in records:
                    self._is_away = False
                    await self._print(record)
                    self._position = record.position
        except StoreUnavailable as error:
            if not self._is_away:
                self._terminal.say(f"waiting for the store: {error.message()}")
            self._is_away = True
            return False
        return True

    async def _print(self, record: EventRecord) -> None:
        event = record.event
        if isinstance(event, OutputRecorded):
            if record.position > self._since and not self._terminal.json:
                await self._printer.put(b"".join(self._text.note(text) for text in self._narration.release()))
            self._held.append(record)
            if self._started or self._terminal.json or len(self._held) > HELD_LIMIT:
                await self._print_held()
            return
        if isinstance(event, ProcessExited | ApprovalRequested):
            await self._print_held()
        await self._tell(record)
        if isinstance(event, ProcessStarted | ProcessExited):
            self._started = isinstance(event, ProcessStarted)
            await self._print_held()

    async def _print_held(self) -> None:
        early, self._held = self._held, []
        for record in early:
            assert isinstance(record.event, OutputRecorded)
            for chunk in record.event.chunks:
                lines = self._lines.take(chunk.source, chunk.raw, record.position)
                if record.position > self._since:
                    await self._printer.put(lines)

    async def _tell(self, record: EventRecord) -> None:
        told = self._narration.narrate(record)
        if record.position > self._since:
            await self._say(record, told)
            self._attend()
        await self._notice_protocol(record.event)

    async def _say(self, record: EventRecord, told: list[str]) -> None:
        ended = self._lines.end() if isinstance(record.event, ProcessExited) else b""
        if self._terminal.json:
            data = entry_of(record) or event_data(record)
            await self._printer.put(ended + f"{json_line(data)}\n".encode())
            return
        said = b"".join(self._text.note(text) for text in told)
        if self._protocol:
            said += b"".join(self._text.note(text, "[agent] ") for text in words_of(entry_of(record)))
        await self._printer.put(ended + said)

    async def _notice_protocol(self, event: Event) -> None:
        """Hide protocol lines while the agent runs, but never the lines of a script."""
        match event:
            case ExecutionQueued():
                try:
                    capability = await self._engine.executors.capability(event.spec.executor)
                except UnknownExecutor:  # it was installed when the task ran
                    return
                self._protocol = self._text.hides_protocol = capability.protocol
            case ProcessStarted():
                self._text.hides_protocol = self._protocol and event.token.coding
            case ProcessExited():
                self._text.hides_protocol = self._protocol

    async def _review(self) -> None:
        workspace = (await self._engine.tasks.view(self._run.id)).workspace
        if workspace is None or workspace.status in (WorkspaceStatus.REMOVED, WorkspaceStatus.REQUESTED):
            return
        diff = await self._engine.workspaces.diff(workspace.id)
        if self._terminal.json:
            data = {"kind": "diff", "id": workspace.id, "files": diff.files, "patch": diff.patch}
            await self._printer.put(f"{json_line(data)}\n".encode())
        else:
            await self._printer.put(self._text.verbatim(diff.patch))

    # --- Interrupts ---------------------------------------------------------------------------------------------------

    async def _handle_signals(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Handle interrupts, except those that this process inherited as ignored."""
        handled = ending_signals()
        if not handled:
            task_status.started()
            return
        with anyio.open_signal_receiver(*handled) as signals:
            task_status.started()
            async for _ in signals:
                self._interrupted()

    async def _watch_reader(self) -> None:
        await self._printer.closed.wait()
        if not self._interrupts:
            self._interrupted()

    def _interrupted(self) -> None:
        self._interrupts += 1
        self._printer.hurry()
        self._group.start_soon(self._cancel_run if self._interrupts == 1 else self._exit_now)

    async def _cancel_run(self) -> None:
        """Stop the agent gracefully; if none is working, only stop waiting."""
        try:
            view = await self._engine.tasks.view(self._run.id)
            agent_runs = view.execution is not None and bool(view.execution.processes)
            if view.task.status in WAITS_FOR_HUMAN and not agent_runs:
                self._scope.cancel()
                return
            self._terminal.say(
                "interrupted: stopping the agent; interrupt again to exit at once (then: aura doctor --fix)"
            )
            await self._run.cancel("interrupted")
        except TransitionRefused:
            pass  # the task has already ended
        except AuraError as error:  # the cancellation cannot be recorded; a second interrupt still exits
            self._terminal.say(f"not cancelled: {error.message()}")

    async def _exit_now(self) -> None:
        """Exit without waiting for anything that still runs.

        Uses `os._exit`, because an orderly exit waits for file operations and for a reader that may never read.
        Everything recorded is durable, and the next engine resumes from it, as after a crash.
        """
        with anyio.move_on_after(EXIT_TIME):
            await self._run.kill("interrupted again")
        os._exit(INTERRUPTED)

    # --- Questions and delays -----------------------------------------------------------------------------------------

    def _attend(self) -> None:
        """Ask the human at the terminal, one question at a time; withdraw one that is decided elsewhere."""
        pending, keyboard = self._narration.questions, self._options.keyboard
        if self._current is not None and self._current not in pending:
            self._asking.cancel()
            self._current = None
        if keyboard is None or self._current is not None:
            return
        here = (one for one, agent_waits in pending.items() if agent_waits or self._options.wait)
        question = next((one for one in here if one not in self._asked), None)
        if question is not None:
            self._asked.add(question)
            self._current, self._asking = question, anyio.CancelScope()
            self._group.start_soon(self._ask, question, keyboard, self._asking)

    async def _ask(self, question: str, keyboard: int, scope: anyio.CancelScope) -> None:
        with scope:
            await self._ask_about(question, keyboard)
            self._current = None
            self._attend()

    async def _ask_about(self, question: str, keyboard: int) -> None:
        await self._printer.drain()
        try:
            approval = await self._engine.approvals.get(question)
            if approval.status is not ApprovalStatus.PENDING:  # a rule decided it at once
                return
            said = await ask(self._terminal, keyboard, await self._prompt_of(approval))
            if said is not None:
                await self._decide(question, said)
            else:
                self._terminal.say(f"later: aura approval show {question}{self._options.hint}")
        except AuraError as error:
            report(error, json=False)

    async def _prompt_of(self, approval: Approval) -> DecisionPrompt:
        """Return what to show about a question."""
        view = await self._engine.tasks.view(self._run.id)
        subject = Subject.of(view.task, view.workspace)

        async def lines() -> Iterable[str]:
            return page_lines(approval, subject, overlaps=await self._engine.approvals.overlaps(approval.id))

        async def diff() -> Iterable[str]:
            try:
                text = await self._engine.approvals.diff(approval.id)
            except AuraError as error:  # the worktree may be gone; the question stays
                return (f"  no diff: {one_line(error.message())}",)
            return diff_lines(approval, text) if text else ()

        return DecisionPrompt(approval, headline(approval, subject), lines, diff, shown=self._terminal.out.isatty())

    async def _decide(self, question: str, said: HumanDecision) -> None:
        approvals = self._engine.approvals
        match said.decision:
            case ApprovalDecision.APPROVED:
                await approvals.approve(question, said.feedback or None)
            case ApprovalDecision.REJECTED:
                await approvals.reject(question, said.feedback)
            case ApprovalDecision.NEEDS_CHANGES:
                await approvals.request_changes(question, said.feedback)

    async def _report_delays(self) -> None:
        """Report an error that has delayed the task for a while; the engine keeps retrying."""
        reported: Any = None
        while True:
            before = self._run.blocker
            await anyio.sleep(DELAY_NOTICE)
            error = self._run.blocker
            if error is not None and before is not None and str(error) == str(before) != reported:
                reported = str(error)
                self._terminal.say(f"retrying: {reported}")
