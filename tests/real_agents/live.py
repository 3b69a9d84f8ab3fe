"""Sites where a real agent runs through ``aura run`` and talks to a scripted model.

The programs are looked for in ``bin`` of the folder that ``AURA_REAL_AGENTS`` names, where ``install.py`` has put them.
"""

import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import attrs
from roster import RealAgent

from aura_contracts.entries import Usage
from aura_contracts.execution import MessageSaid
from aura_engine import open_engine
from scripted_model import READERS, ModelUrl, scripted_model
from sites import PATIENCE, Site, children_of, made_site

PROMPT = "Create the file hello.txt with one line: hello."
FEEDBACK = "Follow-up: now create second.txt as well."

RESULT = '{"proposal": "As said.", "confidence": 0.9, "requires_approval": false, "error": null}'
"""What AURA asks every agent for; one that says less has a human asked."""

DONE = {"text": f"Done: hello.txt is there. {RESULT}"}

LONG = 270.0
"""Seconds that a run may take: some agents repeat what a service turns down for minutes."""

_KEPT = ("PATH", "LANG", "LC_", "TMPDIR", "TERM", "PYTHON", "COVERAGE", "GIT_CONFIG_")
"""How the names of variables begin that agents get from who runs the tests: none of their own settings or keys."""


def folder() -> Path | None:
    """Return where the agents are installed; None if nobody said."""
    named = os.environ.get("AURA_REAL_AGENTS")
    return Path(named).resolve() if named else None


@attrs.define
class LiveSite(Site):
    """A site where a real agent works, with a home of its own, and a model that says what a scenario says."""

    agent: RealAgent = attrs.field(init=False)
    url: ModelUrl = attrs.field(init=False)

    @property
    def environment(self):
        kept = {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
        ours = {name: value for name, value in super().environment.items() if name.startswith("AURA_")}
        installed = folder()
        path = f"{installed}/bin{os.pathsep}{os.environ['PATH']}"
        own = {"HOME": str(self.root / "user"), "PATH": path, "USER": "alice", "TERM": "dumb"}
        nowhere = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
        return {**kept, **ours, **own, **nowhere, "NO_PROXY": "127.0.0.1,localhost", **self.variables}

    def carriers(self):
        """Return the processes that carry the mark, and those that are anywhere in this site, whatever they carry."""
        return list({*super().carriers(), *_inside(self.root)})

    def sleeping(self, words):
        """Return the processes of this site that were started with these words."""
        return [pid for pid in self.carriers() if words in words_of(pid)]

    def below(self, pids):
        """Return the processes that these have started, and those that they have started, and so on."""
        found = children_of(pids)
        return [*found, *self.below(found)] if found else []

    def decide_only(self, approval):
        """Approve as somebody does whose program drives nothing: the answer is on record, and that is all."""

        async def decide():
            options = {"home": self.root / "home", "user": "alice", "drive_all": False}
            async with open_engine(self.store, **options) as engine:
                await engine.approvals.approve(approval)

        anyio.run(decide)

    def end(self, process):
        """Wait until a run has ended and none of its processes is left; return its exit code."""
        code = process.wait(LONG)
        anyio.run(self.is_quiet)
        return code

    def story(self):
        """Return what is on record: so far nothing, while the store is being made."""
        if not anyio.run(self.is_made):
            return Story([])
        return Story([record.event for record in anyio.run(self.records)])

    def hears(self, condition):
        """Wait until `condition` holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, self.said
            time.sleep(0.05)


@attrs.frozen
class Story:
    """What is on record of a site."""

    events: list

    def of(self, topic):
        return [event for event in self.events if event.topic == topic]

    def entries(self, kind):
        """Return the events of this type."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def sessions(self):
        return [event.session_id for event in self.of("execution.session_recorded")]

    @property
    def said(self):
        return [event.entry.text for event in self.entries(MessageSaid)]

    @property
    def usage(self):
        return sum((event.usage for event in self.of("execution.usage_recorded")), Usage())

    @property
    def ends(self):
        """How tasks and executions ended: the last words of their topics, in order."""
        kinds = {
            *("task.completed", "task.failed", "task.cancelled"),
            *("execution.completed", "execution.failed", "execution.cancelled"),
        }
        return [event.topic for event in self.events if event.topic in kinds]

    @property
    def failure(self):
        """Why the execution failed."""
        (failed,) = self.of("execution.failed")
        return failed.failure


@contextmanager
def live_site(root, agent, turns, options=None, words=("--approval", "auto", "--attempts", "1"), prompt=PROMPT):
    """Make a site for `agent`, which is told `prompt`; at the end nothing of it runs. `turns`: see scripted_model."""
    chosen = agent.words(agent.free if options is None else options)
    with (
        scripted_model({"turns": turns}) as url,
        made_site(root, (*chosen, f"--prompt={prompt}", *words), kind=LiveSite) as site,
    ):
        site.agent, site.url = agent, url
        home = root / "user"
        home.mkdir()
        site.variables = agent.setup(home, url)
        yield site


def answers_slowly(site):
    """Whether the model was asked again after a tool was used."""
    reading = [reader(request["body"]) for request in site.url.requests for reader in READERS.values()]
    return any(rounds and tools for _, rounds, tools in reading)


def worktree(site):
    """Return where the agent works; None before that is made."""
    return next(iter((site.root / "home" / "workspaces").glob("*/app")), None)


def kill(site, process, who):
    """Kill with all that they have started, AURA first, so that it cannot see the others go."""
    supervisors = site.supervisors()
    victims = {"aura": [process.pid], "supervisor": supervisors, "agent": site.below(supervisors)}
    for pid in [pid for name in ("aura", "supervisor", "agent") if name in who for pid in victims[name]]:
        with suppress(ProcessLookupError):  # it has gone with another one
            os.kill(pid, signal.SIGKILL)
    if "aura" in who:
        process.wait()


def words_of(pid: int) -> str:
    """Return how a process was started; empty for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _inside(root: Path) -> list[int]:
    """Return the ids of the processes whose current folder is in `root`."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            inside = link.readlink().is_relative_to(root)
        except OSError:
            continue
        if inside:
            found.append(int(link.parent.name))
    return found
