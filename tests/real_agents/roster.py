"""The real agents that tests run: how each is set up to talk to a scripted model, and what can be expected of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs

from aura_contracts.entries import Usage
from aura_contracts.failures import FailureReason

APPEND = {"shell": "echo hello >> hello.txt"}
"""Shows in the file how often it was done."""

Setup = Callable[[Path, str], dict[str, str]]
"""Writes an agent's settings into its home, for the model at this URL; returns its environment."""


@attrs.frozen(kw_only=True)
class RealAgent:
    """An agent as the tests run it."""

    name: str
    executor: str
    program: str
    setup: Setup
    takes_relative_paths: bool = True
    """It writes files whose path is relative to its folder."""
    free: dict[str, Any]
    """Options with which it does everything without asking."""
    asking: dict[str, Any] | None = None
    """Options with which it asks before it uses the shell; None: it never asks."""
    lacking: dict[str, Any] | None = None
    """Options with which it may not write, and does not ask."""
    tells: bool = True
    """It always tells what it was not permitted to do then."""
    wanting: dict[str, Any] = attrs.field(factory=lambda: APPEND)
    """What it needs permission for then."""
    command: str = "/help"
    """What it takes for a command, at the beginning of what somebody types."""
    hears_why: bool = True
    """It can be told why something was not permitted."""
    usage: Usage = attrs.field(factory=lambda: Usage(input_tokens=22, output_tokens=14))
    """Of two answers, as far as it reports it."""
    counts_all: bool = True
    """It reports all of that."""
    resumes: Literal["anywhere", "in its folder", "never"] = "anywhere"
    """Where it can resume a session; elsewhere AURA tells a new session what was said."""
    tells_status: bool = True
    """It tells the status of a service's answer, and not only its words."""
    cut: FailureReason | None = FailureReason.AGENT_ERROR
    """Why it fails when the connection breaks in mid-answer; None: it takes what has come for the whole answer."""

    def __str__(self) -> str:
        return self.name

    def write(self, path: str, text: str) -> dict[str, Any]:
        """Return the step with which the model has it write a file."""
        if self.takes_relative_paths:
            return {"write": {"path": path, "content": f"{text}\n"}}
        return {"shell": f"echo {text} > {path}"}

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


def _set_up_qwen(home: Path, url: str) -> dict[str, str]:
    settings = {
        "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
        "general": {"enableAutoUpdate": False, "disableAutoUpdate": True},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "model": {"name": "fake-model", "generationConfig": {"maxRetries": 1, "timeout": 60_000}},
    }
    _write(home / ".qwen" / "settings.json", json.dumps(settings))
    direct = {"HTTP_PROXY": "", "HTTPS_PROXY": ""}  # it would also reach this machine through them
    return {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "sk-test", "OPENAI_MODEL": "fake-model", **direct}


def _set_up_opencode(home: Path, url: str) -> dict[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Fake",
        "options": {"baseURL": f"{url}/v1", "apiKey": "sk-test"},
        "models": {"fake-model": {"name": "Fake Model", "limit": {"context": 100_000, "output": 8_000}}},
    }
    settings = {
        "model": "fake/fake-model",
        "small_model": "fake/fake-model",
        "enabled_providers": ["fake"],
        "provider": {"fake": provider},
    }
    _write(home / ".config" / "opencode" / "opencode.json", json.dumps(settings))
    off = ("MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS", "SHARE")
    return {f"OPENCODE_DISABLE_{name}": "1" for name in off}


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
CODEX_EXEC = attrs.evolve(
    CODEX,
    name="codex exec",
    free={"protocol": "exec", "yolo": True},
    asking=None,
    lacking={"protocol": "exec", "sandbox": "read-only"},
    tells=False,
)
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
    counts_all=False,
)
GEMINI = RealAgent(
    name="gemini",
    executor="gemini",
    program="gemini",
    setup=_set_up_gemini,
    free={"yolo": True, "model": "gemini-2.5-flash"},
    lacking={"model": "gemini-2.5-flash"},
    wanting={"tool": {"name": "write_file", "args": {"file_path": "hello.txt", "content": "hello\n"}}},
    resumes="in its folder",
)
OPENCODE = RealAgent(
    name="opencode",
    executor="opencode",
    program="opencode",
    setup=_set_up_opencode,
    free={"yolo": True},
    lacking={"permission": {"bash": "ask"}},
    command="/compact",
    resumes="in its folder",
)
QWEN = RealAgent(
    name="qwen-code",
    executor="qwen-code",
    program="qwen",
    setup=_set_up_qwen,
    takes_relative_paths=False,
    free={"yolo": True},
    asking={},
    resumes="in its folder",
)

CLAUDE_ACP = RealAgent(
    name="claude-agent-acp",
    executor="acp",
    program="claude-agent-acp",
    setup=_set_up_claude,
    free={"agent": "claude-agent-acp", "mode": "bypassPermissions"},
    asking={"agent": "claude-agent-acp", "mode": "default"},
    hears_why=False,
    resumes="in its folder",
    cut=None,
)
CODEX_ACP = RealAgent(
    name="codex-acp",
    executor="acp",
    program="codex-acp",
    setup=_set_up_codex,
    free={"agent": "codex-acp", "yolo": True},
    asking={"agent": "codex-acp", "mode": "workspace-write"},
    wanting={
        "tool": {
            "name": "exec_command",
            "args": {
                "cmd": APPEND["shell"],
                "sandbox_permissions": "require_escalated",
                "justification": "May I write outside the sandbox?",
            },
        }
    },
    hears_why=False,
)
COPILOT_ACP = RealAgent(
    name="copilot --acp",
    executor="acp",
    program="copilot",
    setup=_set_up_copilot,
    free={"agent": "copilot", "yolo": True},
    asking={"agent": "copilot"},
    hears_why=False,
    resumes="never",
)
GEMINI_ACP = RealAgent(
    name="gemini --acp",
    executor="acp",
    program="gemini",
    setup=_set_up_gemini,
    free={"agent": "gemini", "yolo": True, "model": "gemini-2.5-flash"},
    asking={"agent": "gemini", "model": "gemini-2.5-flash"},
    hears_why=False,
    resumes="never",
)
OPENCODE_ACP = RealAgent(
    name="opencode acp",
    executor="acp",
    program="opencode",
    setup=_set_up_opencode,
    free={"agent": "opencode", "yolo": True},
    asking={"agent": "opencode", "env": {"OPENCODE_PERMISSION": '{"bash": "ask"}'}},
    command="/compact",
    usage=Usage(input_tokens=11, output_tokens=7),
    counts_all=False,
    tells_status=False,
    resumes="in its folder",
    hears_why=False,
)
QWEN_ACP = RealAgent(
    name="qwen --acp",
    executor="acp",
    program="qwen",
    setup=_set_up_qwen,
    takes_relative_paths=False,
    free={"agent": "qwen", "yolo": True},
    asking={"agent": "qwen"},
    hears_why=False,
    resumes="never",
)

AGENTS = (CODEX, CODEX_EXEC, CLAUDE, COPILOT, GEMINI, OPENCODE, QWEN)
AGENTS_BY_ACP = (CLAUDE_ACP, CODEX_ACP, COPILOT_ACP, GEMINI_ACP, OPENCODE_ACP, QWEN_ACP)
ASKING = tuple(agent for agent in (*AGENTS, *AGENTS_BY_ACP) if agent.asking is not None)
LACKING = tuple(agent for agent in AGENTS if agent.lacking is not None)

LEFT_OUT = {
    "amp": "it works with an account only",
    "cursor-agent": "in no package registry; an account",
    "droid": "in no package registry; an account",
    "ollama, lms": "programs without a package; they run models, not agents",
    "other agents of the Agent Client Protocol": "an account, or not in a package registry",
}
"""Why an executor's agent is not among these, in a word."""
