"""Real agents for tests: how each is set up to talk to a scripted model, and sites where it runs through ``aura run``.

The programs are looked for in ``bin`` of the folder that ``AURA_REAL_AGENTS`` names, where ``install.py`` has put them.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs

from aura_contracts.entries import Usage
from aura_contracts.execution import MessageSaid
from aura_contracts.failures import FailureReason
from aura_engine import open_engine
from scripted_model import ModelUrl, scripted_model
from sites import PATIENCE, Site, children_of, made_site

PROMPT = "Create the file hello.txt with one line: hello."
FEEDBACK = "Follow-up: now create second.txt as well."

WRITE = {"write": {"path": "hello.txt", "content": "hello\n"}}
APPEND = {"shell": "echo hello >> hello.txt"}
"""Shows in the file how often it was done."""
DONE = {"text": "Done: hello.txt is there."}

LONG = 180.0
"""Seconds that a run may take: some agents repeat what a service turns down for a minute."""

_KEPT = ("PATH", "LANG", "LC_", "TMPDIR", "TERM", "PYTHON", "COVERAGE", "GIT_CONFIG_")
"""How the names of variables begin that agents get from who runs the tests: none of their own settings or keys."""


def folder() -> Path | None:
    """Return where the agents are installed; None if nobody said."""
    named = os.environ.get("AURA_REAL_AGENTS")
    return Path(named).resolve() if named else None


# --- Agents -----------------------------------------------------------------------------------------------------------

Setup = Callable[[Path, str], dict[str, str]]
"""Writes an agent's settings into its home, for the model at this URL; returns its environment."""


@attrs.frozen(kw_only=True)
class RealAgent:
    """An agent as the tests run it."""

    name: str
    executor: str
    program: str
    setup: Setup
    free: dict[str, Any]
    """Options with which it does everything without asking."""
    asking: dict[str, Any] | None = None
    """Options with which it asks before it uses the shell; None: it never asks."""
    lacking: dict[str, Any] | None = None
    """Options with which it may not write, and does not ask."""
    wanting: dict[str, Any] = attrs.field(factory=lambda: WRITE)
    """What it tries to do then."""
    hears_why: bool = True
    """It can be told why something was not permitted."""
    usage: Usage = attrs.field(factory=lambda: Usage(input_tokens=22, output_tokens=14))
    """Of two answers, as far as it reports it."""
    bound: bool = False
    """Its sessions can be gone on with only in the folder that they were begun in."""
    cut: FailureReason | None = FailureReason.AGENT_ERROR
    """Why it fails when the connection breaks in mid-answer; None: it takes what has come for the whole answer."""

    def __str__(self) -> str:
        return self.name

    def words(self, options: dict[str, Any]) -> tuple[str, ...]:
        """Return the arguments of ``aura run`` that choose it."""
        given = [f"{name}={json.dumps(value)}" for name, value in options.items()]
        return ("--executor", self.executor, *(word for one in given for word in ("--option", one)))


_CODEX = """\
model = "fake-model"
model_provider = "fake"
check_for_update_on_startup = false
[model_providers.fake]
name = "fake"
base_url = "{url}/v1"
env_key = "FAKE_API_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
[analytics]
enabled = false
[feedback]
enabled = false
[otel]
exporter = "none"
metrics_exporter = "none"
"""


def _set_up_codex(home: Path, url: str) -> dict[str, str]:
    _write(home / ".codex" / "config.toml", _CODEX.format(url=url))
    return {"FAKE_API_KEY": "sk-test", "RUST_LOG": "error"}


def _set_up_claude(home: Path, url: str) -> dict[str, str]:
    _write(home / ".claude.json", json.dumps({"hasCompletedOnboarding": True}))
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "sk-test",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
        "IS_SANDBOX": "1",  # root may then do without questions
    }


def _set_up_copilot(home: Path, url: str) -> dict[str, str]:
    return {
        "COPILOT_OFFLINE": "true",
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_PROVIDER_API_KEY": "sk-test",
        "COPILOT_MODEL": "fake-model",
        "COPILOT_AUTO_UPDATE": "false",
    }


def _set_up_gemini(home: Path, url: str) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
        "general": {
            "enableAutoUpdate": False,
            "disableAutoUpdate": True,
            "disableUpdateNag": True,
            "maxAttempts": 2,
        },
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
    }
    _write(home / ".gemini" / "settings.json", json.dumps(settings))
    return {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "sk-test", "GEMINI_CLI_TRUST_WORKSPACE": "true"}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


CODEX = RealAgent(
    name="codex",
    executor="codex",
    program="codex",
    setup=_set_up_codex,
    free={"yolo": True},
    asking={"approval_policy": "untrusted", "sandbox": "danger-full-access"},
)
CODEX_EXEC = attrs.evolve(CODEX, name="codex-exec", free={"protocol": "exec", "yolo": True}, asking=None)
CLAUDE = RealAgent(
    name="claude",
    executor="claude",
    program="claude",
    setup=_set_up_claude,
    free={"yolo": True},
    asking={},
    lacking={"permission_mode": "dontAsk"},
    cut=None,
)
COPILOT = RealAgent(
    name="copilot",
    executor="copilot",
    program="copilot",
    setup=_set_up_copilot,
    free={"yolo": True},
    lacking={},
    usage=Usage(),
)
GEMINI = RealAgent(
    name="gemini",
    executor="gemini",
    program="gemini",
    setup=_set_up_gemini,
    free={"yolo": True, "model": "gemini-2.5-flash"},
    lacking={"model": "gemini-2.5-flash"},
    bound=True,
    wanting={"tool": {"name": "write_file", "args": {"file_path": "hello.txt", "content": "hello\n"}}},
)
CLAUDE_ACP = RealAgent(
    name="claude-agent-acp",
    executor="acp",
    program="claude-agent-acp",
    setup=_set_up_claude,
    free={"agent": "claude-agent-acp", "mode": "bypassPermissions"},
    asking={"agent": "claude-agent-acp", "mode": "default"},
    bound=True,
    hears_why=False,
    cut=None,
)
COPILOT_ACP = attrs.evolve(COPILOT, name="copilot-acp", executor="acp", asking={"agent": "copilot"}, hears_why=False)
GEMINI_ACP = attrs.evolve(
    GEMINI, name="gemini-acp", executor="acp", asking={"agent": "gemini", "model": "gemini-2.5-flash"}, hears_why=False
)

AGENTS = (CODEX, CODEX_EXEC, CLAUDE, COPILOT, GEMINI, CLAUDE_ACP)
ASKING = (CODEX, CLAUDE, CLAUDE_ACP, COPILOT_ACP, GEMINI_ACP)
LACKING = (CLAUDE, COPILOT, GEMINI)


# --- Sites ------------------------------------------------------------------------------------------------------------


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
        made_site(root, (*chosen, "--prompt", prompt, *words), kind=LiveSite) as site,
    ):
        site.agent, site.url = agent, url
        home = root / "user"
        home.mkdir()
        site.variables = agent.setup(home, url)
        yield site


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
