"""Presets: agents known to speak the Agent Client Protocol, and how to start each. Data."""

from types import MappingProxyType

import attrs

from aura_executors.adapter.program_lookup import Program
from aura_executors.agents.claude.command import PROGRAM as CLAUDE
from aura_executors.agents.codex.command import PROGRAM as CODEX
from aura_executors.agents.copilot.command import PROGRAM as COPILOT
from aura_executors.agents.gemini.command import PROGRAM as GEMINI
from aura_executors.agents.opencode.command import PROGRAM as OPENCODE
from aura_executors.agents.qwen.command import PROGRAM as QWEN


@attrs.frozen(kw_only=True)
class Preset:
    """How to run one agent. Without tested versions, this follows its documentation and was not run by AURA."""

    program: Program
    arguments: tuple[str, ...] = ()
    """Arguments that select the protocol."""
    model_flag: str = ""
    """The argument for the model, if the agent has one; otherwise the model is set in the session."""
    env: dict[str, str] = attrs.field(factory=dict)
    moves: bool = True
    """Whether it resumes a session where it is started, or refuses; otherwise it works in the session's own folder."""
    counts_all: bool = True
    """Whether it counts every request of a turn; otherwise only the last one."""

    @property
    def tested(self) -> bool:
        """Whether AURA was tested with it."""
        return bool(self.program.tested)


def _untested(name: str, install: str) -> Program:
    return Program(name=name, tested=(), install=install)


_CLAUDE = attrs.evolve(
    CLAUDE,
    name="claude-agent-acp",
    tested=("0.49.0",),
    install="npm install -g @agentclientprotocol/claude-agent-acp@0.49.0",
    package="@agentclientprotocol/claude-agent-acp@0.49.0",
    bundled=lambda: None,
)

_CODEX = attrs.evolve(
    CODEX,
    name="codex-acp",
    tested=("2.6.0",),
    install="npm install -g @agentclientprotocol/codex-acp@2.6.0",
    package="@agentclientprotocol/codex-acp@2.6.0",
)

PRESETS = MappingProxyType(
    {
        "claude-agent-acp": Preset(program=_CLAUDE, env={"DISABLE_AUTOUPDATER": "1"}),
        "codex-acp": Preset(program=_CODEX),
        "copilot": Preset(
            program=COPILOT, arguments=("--acp",), model_flag="--model", env={"COPILOT_AUTO_UPDATE": "false"}
        ),
        "gemini": Preset(
            program=GEMINI, arguments=("--acp",), model_flag="--model", env={"GEMINI_CLI_NO_RELAUNCH": "true"}
        ),
        "qwen": Preset(program=QWEN, arguments=("--acp",), model_flag="--model", env={"QWEN_CODE_NO_RELAUNCH": "true"}),
        "opencode": Preset(
            program=OPENCODE,
            arguments=("acp",),
            env={"OPENCODE_DISABLE_AUTOUPDATE": "1"},
            moves=False,
            counts_all=False,
        ),
        "auggie": Preset(
            program=_untested("auggie", "npm install -g @augmentcode/auggie"),
            arguments=("--acp",),
            env={"AUGMENT_DISABLE_AUTO_UPDATE": "1"},
        ),
        "cline": Preset(program=_untested("cline", "npm install -g cline"), arguments=("--acp",)),
        "cursor": Preset(program=_untested("cursor-agent", "see cursor.com/cli"), arguments=("acp",)),
        "droid": Preset(
            program=_untested("droid", "see docs.factory.ai/cli"), arguments=("exec", "--output-format", "acp")
        ),
        "goose": Preset(program=_untested("goose", "see block.github.io/goose"), arguments=("acp",)),
        "kilo": Preset(program=_untested("kilo", "npm install -g @kilocode/cli"), arguments=("acp",)),
        "kimi": Preset(program=_untested("kimi", "uv tool install kimi-cli"), arguments=("acp",)),
        "kiro": Preset(program=_untested("kiro-cli", "see kiro.dev/cli"), arguments=("acp",)),
        "openhands": Preset(program=_untested("openhands", "uv tool install openhands"), arguments=("acp",)),
        "qoder": Preset(program=_untested("qodercli", "npm install -g @qoder-ai/qodercli"), arguments=("--acp",)),
        "stakpak": Preset(program=_untested("stakpak", "see github.com/stakpak/agent"), arguments=("acp",)),
        "vibe": Preset(program=_untested("vibe-acp", "uv tool install mistral-vibe")),
    }
)
"""Presets by the value of option `agent`; tested ones first, in lookup order."""
