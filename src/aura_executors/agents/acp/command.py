"""The command of an agent that speaks the Agent Client Protocol. Pure, except that the program is looked up."""

from difflib import get_close_matches

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.executors import AgentRun, Launch
from aura_executors.adapter.json_rpc import RpcPeer
from aura_executors.adapter.options import ActingOptions, agent_options, program_of, require_same_folder
from aura_executors.adapter.program_lookup import Program
from aura_executors.agents.acp import messages
from aura_executors.agents.acp.presets import PRESETS, Preset

EXIT_GRACE = 10.0
"""Seconds to exit once standard input is closed; codex-acp 2.6 takes seven, and its predecessor never exits."""


class AcpOptions(ActingOptions, frozen=True, kw_only=True):
    """Options of `acp`: `agent`, or `base_command` with `params` for any other."""

    agent: str | None = None
    """One of the known agents; see `PRESETS`."""
    yolo: bool = False
    """Approve all its requests. The agent's own configuration determines when it asks."""
    mode: str | None = None
    """The session's mode, by the agent's own name for it."""
    config: dict[str, str] = {}
    """Other options of the session, by the agent's own names: ``{"effort": "high"}``."""
    auth_method: str | None = None
    """The agent's login method; None: it is already logged in or finds its own credentials."""


def options_of(name: str, run: AgentRun) -> AcpOptions:
    """Return the options of `run`. Raises `InvalidInput` for invalid ones."""
    options = agent_options(name, run, AcpOptions, forks=True)
    if options.agent is None and options.executable is None and options.base_command is None:
        remedy = f"give one of {', '.join(PRESETS)}, or option base_command with params for another agent"
        raise InvalidInput(field="option agent", reason="no agent is named", remedy=remedy)
    if options.agent is not None and options.agent not in PRESETS:
        close = get_close_matches(options.agent, PRESETS, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        remedy = f"{meant}there are {', '.join(PRESETS)}; use option base_command for any other"
        raise InvalidInput(field="option agent", reason=f"{options.agent} is not known", remedy=remedy)
    return options


def preset_of(options: AcpOptions) -> Preset:
    """Return how to run the agent; for an unknown agent, just its command."""
    if options.agent is not None:
        return PRESETS[options.agent]
    name = options.executable or options.base_command or ""
    return Preset(program=Program(name=name, tested=(), install=f"install {name}"))


def launch_of(name: str, run: AgentRun) -> Launch:
    """Return the command for `run`, with the first request, which is the same for every agent."""
    options = options_of(name, run)
    preset = preset_of(options)
    if not preset.moves:
        require_same_folder(name, run)
    model = (f"{preset.model_flag}={options.model}",) if preset.model_flag and options.model else ()
    peer = RpcPeer[None]()
    return Launch(
        argv=(*program_of(preset.program, options, run.environment), *preset.arguments, *model, *options.params),
        env={**preset.env, **options.env},
        stdin=peer.request(*messages.initialize(), then=None),
        interactive=True,
        exit_grace=EXIT_GRACE,
        install=preset.program.install,
    )


def model_in_session(options: AcpOptions) -> str | None:
    """Return the model to set in the session; None if the command names it."""
    return None if preset_of(options).model_flag else options.model
