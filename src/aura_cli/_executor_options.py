"""Executor options: arguments about the agent that runs a task, the same for every command that starts one."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli._arguments import pair, seconds

if TYPE_CHECKING:
    from argparse import _ArgumentGroup as _Group

    from aura_contracts.execution import RunPlan


def add_executor_options(parser: ArgumentParser) -> None:
    """Declare what is given to the executor, as `aura_cli._request.executor_options` reads it."""
    group = parser.add_argument_group("the agent", "given to the executor, which refuses what it does not know")
    group.add_argument("--base-command", metavar="CMD", help="the program to run")
    group.add_argument(
        "--param", metavar="ARG", action="append", default=[], help="an argument of it; may begin with -; repeatable"
    )
    group.add_argument("--append-prompt", metavar="TEXT", help="put behind every prompt")
    group.add_argument("--model", metavar="NAME")
    group.add_argument("--openai-endpoint", metavar="URL")
    group.add_argument("--yolo", action="store_true", help="have it ask for nothing")
    group.add_argument("--force", "-f", action="store_true")
    group.add_argument("--trust", action="store_true")
    group.add_argument("--allow-all-tools", action="store_true")
    group.add_argument(
        "--executor-path",
        metavar="NAME=PATH",
        action="append",
        default=[],
        type=pair,
        help="where the program of an executor is; repeatable",
    )
    add_option(group)


def add_permissions(parser: ArgumentParser) -> None:
    """Declare which tool calls need no human."""
    group = parser.add_argument_group("tools that the agent asks for")
    for name, help_ in (("--allow", "allow without asking"), ("--deny", "refuse without asking; goes first")):
        group.add_argument(
            name, metavar="RULE", action="append", default=[], help=f'{help_}: "Read", "Bash(npm test)"; repeatable'
        )


def add_own_tools(parser: ArgumentParser) -> None:
    """Declare whether the agent gets AURA's own tools."""
    parser.add_argument("--mcp", action="store_true", help="give it AURA's own tools, see aura mcp")


def add_option(parser: "ArgumentParser | _Group") -> None:
    """Declare ``--option``, through which everything can be given."""
    parser.add_argument(
        "--option",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        type=pair,
        help="any other option of the executor, as JSON or text; repeatable",
    )


def add_plan(parser: ArgumentParser) -> None:
    """Declare how the run is made, as `plan_of` reads it."""
    group = parser.add_argument_group("how")
    group.add_argument(
        "--var",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        type=pair,
        help="a variable for prompt templates; repeatable",
    )
    group.add_argument("--setup", metavar="CMD", help="a script to run before the agent")
    group.add_argument("--cleanup", metavar="CMD", help="a script to run after it, if it changed something")
    group.add_argument("--setup-shell", choices=("bash", "sh", "zsh", "pwsh"), default="bash", help="what runs them")
    group.add_argument("--timeout", metavar="SECONDS", type=seconds, help="for each process")
    group.add_argument("--idle-timeout", metavar="SECONDS", type=seconds, help="without output, for each process")


def plan_of(arguments: Namespace) -> "RunPlan":
    """Return how the run is to be made. Raises `InvalidInput` for what must not be stored."""
    from aura_cli._request import executor_options
    from aura_contracts.execution import RunPlan, Script, Shell
    from aura_contracts.secrets import require_no_secrets

    options, variables = executor_options(arguments), dict(arguments.var)
    require_no_secrets(options)
    require_no_secrets(variables, "variables")
    shell = Shell(arguments.setup_shell)
    return RunPlan(
        options=options,
        variables=variables,
        setup=Script(arguments.setup, shell) if arguments.setup else None,
        cleanup=Script(arguments.cleanup, shell) if arguments.cleanup else None,
        timeout=arguments.timeout,
        idle_timeout=arguments.idle_timeout,
    )
