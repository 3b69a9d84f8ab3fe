"""Presenter: prints the demo as it happens."""

from collections.abc import Iterator

from aura_cli.rendering.formatting import event_data
from aura_cli.rendering.terminal import Terminal
from aura_cli.streaming.narration import Narration
from aura_contracts.events import EventRecord
from aura_contracts.output import OutputRecorded
from aura_contracts.quoting import one_line

_STYLES = {"+": "green", "-": "red"}


class Presenter:
    """Prints the demo, as data or for people."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._narration = Narration()
        self._chapters = 0
        self.position = 0
        """The position of the last event shown."""

    def chapter(self, title: str) -> None:
        """Start a chapter."""
        self._chapters += 1
        heading = self._terminal.style(f"{self._chapters}. {title}", "bold")
        self._terminal.item({"kind": "chapter", "id": f"chapter-{self._chapters}", "title": title}, heading)
        self._terminal.flush()

    def show(self, record: EventRecord) -> None:
        """Print an event as `aura run` does, without the agent's own protocol."""
        self.position = record.position
        lines = [f"   {line}\n" for line in self._lines(record)]
        if self._terminal.json:
            self._terminal.write_json(event_data(record))
        else:
            self._terminal.out.writelines(lines)
        self._terminal.flush()

    def _lines(self, record: EventRecord) -> Iterator[str]:
        if isinstance(record.event, OutputRecorded):
            for chunk in record.event.chunks:
                lines = chunk.raw.decode(errors="replace").splitlines()
                yield from (f"[{chunk.source}] {one_line(line)}" for line in lines if not line.startswith('{"aura"'))
            return
        for text in self._narration.narrate(record):
            yield self._terminal.style(f"[aura] {text}", "dim")

    def said(self, name: str, text: str) -> None:
        """Print the words of a person."""
        data = {"kind": "said", "id": name, "text": text}
        self._terminal.item(data, f"   {self._terminal.style(f'{name}:', 'bold')} {text}")

    def diff(self, patch: str) -> None:
        """Print the lines that a change adds and removes."""
        lines = [
            one_line(line) for line in patch.split("\n") if line[:1] in _STYLES and not line.startswith(("+++", "---"))
        ]
        text = "\n".join(f"   {self._terminal.style(line, _STYLES[line[0]])}" for line in lines)
        self._terminal.item({"kind": "diff", "id": "diff", "patch": patch}, text)

    def file(self, branch: str, path: str, text: str) -> None:
        """Print the content of a file."""
        data = {"kind": "file", "id": path, "branch": branch, "text": text}
        self._terminal.item(data, f"   {path} on {branch}: {self._terminal.style(text, 'cyan')}")

    def killed(self, pid: int) -> None:
        """Print that AURA was killed."""
        self._terminal.item(
            {"kind": "killed", "id": str(pid)}, self._terminal.style(f"   kill -9 {pid}", "red", "bold")
        )

    def proof(self, ident: str, text: str, **facts: object) -> None:
        """Print a proof."""
        mark = self._terminal.style("ok", "green")
        self._terminal.item({"kind": "proof", "id": ident, "status": "ok", **facts}, f"   {mark}   {text}")

    def end(self, store: str | None) -> None:
        """Print the next steps."""
        if store is None:
            self._terminal.say("the log was deleted; to keep one to explore: aura demo --store sqlite:///demo.db")
        else:
            self._terminal.say(f"explore it: aura events --store {store}; aura replay --store {store}")
