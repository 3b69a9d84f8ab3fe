"""``aura demo``: one task on a throw-away repository, from prompt to merge, and the proof that its log agrees."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from pathlib import Path

    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal
    from aura_contracts.ids import TaskId
    from aura_contracts.machine import State
    from aura_contracts.ports import EventLog
    from aura_engine.engine import Engine
    from aura_engine.runtime.views import View
    from aura_store.history import World

PROMPT = "Greet people by their name"
FEEDBACK = "Greet the world when nobody is named"

BEFORE = 'echo "Hello"\n'
FIRST = 'echo "Hello, $1"   \n'
SECOND = 'echo "Hello, ${1:-world}"   \n'

ROUNDS: list[list[dict[str, Any]]] = [
    [
        {"print": "reading greet.sh"},
        {"edit": {"path": "greet.sh", "old": BEFORE, "new": FIRST}},
        {"write": {"path": "USAGE", "text": "sh greet.sh NAME\n"}},
        {"print": "greet.sh greets by name now"},
    ],
    [
        {"expect_prompt": FEEDBACK},
        {"print": f"I was told: {FEEDBACK}"},
        {"edit": {"path": "greet.sh", "old": FIRST.replace("   ", ""), "new": SECOND}},
        {"write": {"path": "USAGE", "text": "sh greet.sh [NAME]\n"}},
    ],
]
"""What the scripted agent does, the first time and after the feedback."""

SETUP = "sh -n greet.sh && echo the script is sound before anything is changed"
CLEANUP = "sed 's/ *$//' greet.sh > greet.tmp && mv greet.tmp greet.sh && sh -n greet.sh && echo tidied up"


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "Runs in a temporary folder. With --store the log is kept there."
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Play, then prove. Raises `ReplayDiffers` when the log does not say what was done."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import anyio

    with TemporaryDirectory(prefix="aura-demo-") as folder:
        store = settings.store if settings.store_given else f"sqlite:///{folder}/aura.db"
        anyio.run(_play_and_prove, store, Path(folder), settings, terminal)
    return 0


async def _play_and_prove(store: str, folder: "Path", settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._engine import make_room
    from aura_engine import Machine, open_engine
    from aura_store import open_log

    _require_lasting(store)
    make_room(store)
    machine = Machine(environment=settings.environment)
    repository = _repository(folder / "greeter", machine)
    presenter = _Presenter(terminal)
    async with open_engine(
        store, user="alice", home=folder / "home", drive_all=False, machine=machine, **settings.codec
    ) as engine:
        view = await _play(engine, repository, presenter)
        head = await engine.log.head()
    presenter.chapter("The log is the truth")
    presenter.proof("recorded", f"{head} events were recorded; the log is closed, and opened again", position=head)
    async with open_log(store, **settings.codec) as log:
        await _prove(log, view, machine, presenter)
    presenter.end(store if settings.store_given else None)


def _require_lasting(store: str) -> None:
    from aura_contracts.errors import StoreMisconfigured

    if store.startswith("memory:"):
        remedy = "use sqlite:///PATH or postgresql://USER@HOST/DATABASE"
        reason = "the demo opens its log twice, and a log in memory is gone by then"
        raise StoreMisconfigured(store=store, reason=reason, remedy=remedy)


def _repository(where: "Path", machine: Any) -> "Path":
    """Make a repository with one commit, on any machine: it need not have git."""
    from dulwich.refs import Ref
    from dulwich.repo import Repo

    from aura_git import DulwichGit

    where.mkdir()
    (where / "greet.sh").write_text(BEFORE)
    with Repo.init(str(where)) as repository:
        repository.refs.set_symbolic_ref(Ref(b"HEAD"), Ref(b"refs/heads/main"))
    git = DulwichGit(environment=machine.environment)
    git.stage(str(where))
    git.commit(str(where), "A script that greets")
    return where


# --- The run ----------------------------------------------------------------------------------------------------------


async def _play(engine: "Engine", repository: "Path", presenter: "_Presenter") -> "View":
    """Play the task to its end; return everything that belongs to it, as it was decided on."""
    from aura_contracts.ids import TaskId

    presenter.chapter("Alice asks for a change, and an agent makes it in a worktree of its own")
    task = await engine.run(
        PROMPT,
        executor="scripted",
        options={"rounds": ROUNDS},
        repositories=[str(repository)],
        setup=SETUP,
        cleanup=CLEANUP,
    )
    task_id = TaskId(task.id)
    await _show_events(engine, task_id, presenter)
    presenter.chapter("She rejects it, and the agent tries again with her feedback")
    await engine.reject_task(task_id, FEEDBACK)
    await _show_events(engine, task_id, presenter)
    presenter.chapter("She approves, and it is merged")
    await engine.approve_task(task_id)
    await _show_events(engine, task_id, presenter)
    presenter.file("main", "greet.sh", (repository / "greet.sh").read_text().strip())
    return await engine.view(task_id)


async def _show_events(engine: "Engine", task_id: "TaskId", presenter: "_Presenter") -> None:
    """Show every event until nothing more happens."""
    from contextlib import aclosing

    async with aclosing(engine.follow(task_id, presenter.position)) as records:
        async for record in records:
            presenter.show(record)


class _Presenter:
    """Prints the demo as it happens."""

    def __init__(self, terminal: "Terminal") -> None:
        from aura_cli.streaming.narration import Narration

        self._terminal = terminal
        self._narration = Narration()
        self._chapters = 0
        self.position = 0
        """Of the last event that was shown."""

    def chapter(self, title: str) -> None:
        """Start a chapter."""
        self._chapters += 1
        heading = self._terminal.style(f"{self._chapters}. {title}", "bold")
        self._terminal.item({"kind": "chapter", "id": f"chapter-{self._chapters}", "title": title}, heading)
        self._terminal.flush()

    def show(self, record: Any) -> None:
        """Print an event as `aura run` does, without the agent's own protocol."""
        from aura_cli.rendering.formatting import event_data
        from aura_contracts.output import OutputRecorded

        self.position = record.position
        if self._terminal.json:
            self._terminal.write_json(event_data(record))
            return
        if isinstance(record.event, OutputRecorded):
            lines = [
                f"[{chunk.source}] {line}"
                for chunk in record.event.chunks
                for line in chunk.raw.decode(errors="replace").splitlines()
                if not line.startswith('{"aura"')
            ]
        else:
            lines = [
                self._terminal.style(f"[aura] {part}", "dim")
                for t in self._narration.narrate(record)
                for part in t.splitlines()
            ]
        for line in lines:
            self._terminal.out.write(f"   {line}\n")
        self._terminal.flush()

    def file(self, branch: str, path: str, text: str) -> None:
        """Print the content of a file."""
        data = {"kind": "file", "id": path, "branch": branch, "text": text}
        self._terminal.item(data, f"   {path} on {branch}: {self._terminal.style(text, 'cyan')}")

    def proof(self, ident: str, text: str, **facts: object) -> None:
        """Print a proof."""
        mark = self._terminal.style("ok", "green")
        self._terminal.item({"kind": "proof", "id": ident, "status": "ok", **facts}, f"   {mark}   {text}")

    def end(self, store: str | None) -> None:
        """Print the next steps."""
        if store is None:
            self._terminal.say("the log was thrown away; keep one to explore: aura demo --store sqlite:///demo.db")
        else:
            self._terminal.say(f"explore it: aura events --store {store}; aura replay --store {store}")


# --- The proof --------------------------------------------------------------------------------------------------------


async def _prove(log: "EventLog", view: "View", machine: Any, presenter: _Presenter) -> None:
    from aura_cli._errors import ReplayDiffers
    from aura_contracts.actors import system
    from aura_contracts.errors import LogDamaged
    from aura_store.audit import checkpoint, verify
    from aura_store.history import world_at

    kept = [view.task, view.agent, view.execution, view.lease, view.workspace, view.approval]
    states: dict[str, State] = {state.id: state for state in kept if state is not None}
    if different := differences(states, await world_at(log)):
        raise ReplayDiffers(differences=tuple(different))
    count = len(states)
    presenter.proof("replay", f"{count} states that were decided on = {count} states folded from the log", states=count)
    made = await checkpoint(log, actor=system("demo"), clock=machine.clock, command_id=machine.ids())
    report = await verify(log, roots={made.upto: made.root})
    if bad := report.first_bad:
        raise LogDamaged(store=log.name, stream_id=bad.stream_id, position=bad.position, reason=bad.reason)
    text = f"{report.events} seals hold, and the checkpoint {made.upto}={made.root[:12]}..."
    presenter.proof("seals", text, root=made.root)


def differences(kept: "dict[str, State]", world: "World") -> list[str]:
    """Return what the folded world says otherwise than the states that were kept."""
    from aura_cli.rendering.formatting import change_text
    from aura_store.history import diff

    folded = {ident: state for states in world.states.values() for ident, state in states.items()}
    return [
        f"{ident} {change_text(change)}"
        for ident, state in kept.items()
        if folded.get(ident) != state
        for change in diff(state, folded.get(ident))
    ]
