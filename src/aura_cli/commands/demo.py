"""``aura demo``: the story of `aura_cli.scenario` on a real store, then the proof that replaying its log agrees."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli._arguments import finish

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli._terminal import Terminal
    from aura_cli.scenario import Step, Story
    from aura_contracts.machine import State
    from aura_contracts.ports import EventLog
    from aura_store.history import World

SAYS = 64
"""Columns for what somebody does; the status it leads to stands behind."""

WIDTH = 110
"""Columns of a line of history; `aura replay` shows all of it."""

TOLD = ("status", "proposed_solution", "feedback", "approval_notes")
"""The fields of a task that the story is about."""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "Runs in a folder that is thrown away. With --store on the command line, the log is kept there."
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Play, then prove. Raises `ReplayDiffers` when the log does not say what was decided."""
    from tempfile import TemporaryDirectory

    import anyio

    if settings.store_given:
        anyio.run(_play_and_prove, settings.store, settings, terminal)
        return 0
    with TemporaryDirectory(prefix="aura-demo-") as folder:
        anyio.run(_play_and_prove, f"sqlite:///{folder}/aura.db", settings, terminal)
    return 0


async def _play_and_prove(store: str, settings: "Settings", terminal: "Terminal") -> None:
    from aura_cli._machine import new_ids, now
    from aura_cli.scenario import Story, play
    from aura_engine.bootstrap import open_desk
    from aura_store import open_log

    _require_lasting(store)
    codec = settings.codec
    teller = _Teller(terminal)
    async with open_desk(store, clock=now, ids=new_ids(), **codec) as desk:
        before = await desk.log.head()
        story = Story(desk, teller.tell)
        await play(story)
        told = await desk.log.head() - before
    teller.proof(f"{told} events were recorded; the log is closed and opened again")
    async with open_log(store, **codec) as log:
        await _prove(log, story, teller)
        if not terminal.json:
            await _show_history(log, story, teller)
            await _show_time_travel(log, story, teller)
    if settings.store_given:
        terminal.say(f"look around: aura events --store {store}; aura replay --store {store}")
    else:
        terminal.say("the log was thrown away; aura demo --store sqlite:///demo.db keeps it, to look around in")


def _require_lasting(store: str) -> None:
    from aura_contracts.errors import StoreMisconfigured

    if store.startswith("memory:"):
        remedy = "use sqlite:///PATH or postgresql://USER@HOST/DATABASE"
        raise StoreMisconfigured(
            store=store, reason="the demo opens its log twice, this one is gone then", remedy=remedy
        )


# --- Telling ----------------------------------------------------------------------------------------------------------


class _Teller:
    """Writes the story down as it happens."""

    def __init__(self, terminal: "Terminal") -> None:
        self._terminal = terminal
        self._chapters: list[str] = []
        self._steps = 0

    def tell(self, step: "Step") -> None:
        """Write one step."""
        self._steps += 1
        self.heading(step.chapter)
        data = {
            "kind": "step",
            "id": f"step-{self._steps}",
            "chapter": step.chapter,
            "actor": step.who,
            "says": step.says,
            "position": step.position or None,
            "changes": [{"id": m.id, "name": m.name, "before": m.before, "after": m.after} for m in step.moved],
            "refused": None if step.refusal is None else step.refusal.code,
        }
        self._terminal.item(data, self._line(step))
        self._terminal.flush()

    def _line(self, step: "Step") -> str:
        style = self._terminal.style
        position = f"#{step.position}" if step.position else ""
        outcome = style(f"→ {step.moved[0].after}", "cyan") if step.moved else ""
        line = f"  {style(f'{position:<4}', 'dim')} {step.who:<6} {step.says:<{SAYS}} {outcome}".rstrip()
        if step.refusal is not None:
            reason = getattr(step.refusal, "reason", step.refusal.message())
            line += f"\n{' ' * 14}{style(f'refused [{step.refusal.code}]: {reason}', 'yellow')}"
        return line

    def proof(self, text: str, ident: str = "recorded", **facts: object) -> None:
        """Write something that was proved."""
        self.heading("The log is the truth")
        mark = self._terminal.style("ok", "green")
        self._terminal.item({"kind": "proof", "id": ident, "status": "ok", **facts}, f"  {mark}   {text}")

    def heading(self, title: str) -> None:
        """Begin a chapter, unless it has begun."""
        if title not in self._chapters:
            self._chapters.append(title)
            if not self._terminal.json:
                self._terminal.out.write(f"{self._terminal.style(f'{len(self._chapters)}. {title}', 'bold')}\n")

    def line(self, text: str) -> None:
        """Write a line that belongs to the chapter."""
        cut = text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
        self._terminal.out.write(f"  {cut}\n")


# --- Proving ----------------------------------------------------------------------------------------------------------


async def _prove(log: "EventLog", story: "Story", teller: _Teller) -> None:
    from aura_cli._errors import ReplayDiffers
    from aura_cli._machine import new_ids, now
    from aura_cli.scenario import AURA
    from aura_contracts.errors import LogDamaged
    from aura_store.audit import checkpoint, verify
    from aura_store.history import world_at

    world = await world_at(log)
    if different := differences(story.kept, world):
        raise ReplayDiffers(differences=tuple(different))
    count = len(story.kept)
    teller.proof(f"{count} states kept while deciding = {count} states folded from the log", "replay", states=count)
    made = await checkpoint(log, actor=AURA, clock=now, command_id=new_ids()())
    report = await verify(log, roots={made.upto: made.root})
    if bad := report.first_bad:
        raise LogDamaged(store=log.name, stream_id=bad.stream_id, position=bad.position, reason=bad.reason)
    teller.proof(
        f"{report.events} seals hold, and the checkpoint {made.upto}={made.root[:12]}…", "seals", root=made.root
    )


def differences(kept: "dict[str, State]", world: "World") -> list[str]:
    """Return what the folded world says otherwise than the states that were kept."""
    from aura_cli._words import change_text
    from aura_store.history import diff

    folded = {ident: state for states in world.states.values() for ident, state in states.items()}
    return [
        f"{ident} {change_text(change)}"
        for ident, state in kept.items()
        if folded.get(ident) != state
        for change in diff(state, folded.get(ident))
    ]


async def _show_history(log: "EventLog", story: "Story", teller: _Teller) -> None:
    from aura_contracts.task import TASK
    from aura_store.history import history

    teller.heading("The history of the search task (as aura replay --task ID has it, with names for ids)")
    for line in await history(log, TASK, story.task_told):
        told = str(line)
        for ident, name in story.names.items():
            told = told.replace(ident, name)
        teller.line(told)


async def _show_time_travel(log: "EventLog", story: "Story", teller: _Teller) -> None:
    from aura_cli._words import change_text
    from aura_contracts.task import TASK
    from aura_store.history import diff, state_at

    then = story.position_of_rejection
    before = await state_at(log, TASK, story.task_told, then)
    after = await state_at(log, TASK, story.task_told, await log.head())
    teller.heading(f"What became of it since position {then} (aura replay --task ID --diff {then})")
    for change in diff(before.state, after.state):
        if change.field in TOLD:
            teller.line(change_text(change))
