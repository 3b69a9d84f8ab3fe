"""``aura completion``: the completion script of a shell."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from aura_cli.arguments.parser import finish

if TYPE_CHECKING:
    from aura_cli._settings import Settings
    from aura_cli.rendering.terminal import Terminal

_EPILOG = """\
To load it in each new shell:

  bash        eval "$(aura completion bash)"                  in ~/.bashrc
  zsh         eval "$(aura completion zsh)"                   in ~/.zshrc
  fish        aura completion fish | source                   in config.fish
  powershell  aura completion powershell | Out-String | Invoke-Expression
"""


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish", "powershell"), help="the shell")
    finish(parser, run)


def run(arguments: Namespace, settings: "Settings", terminal: "Terminal") -> int:
    """Print the script."""
    from aura_cli.completion.scripts import script_for
    from aura_cli.completion.tree import candidates

    script = script_for(arguments.shell, candidates())
    terminal.item({"id": arguments.shell, "script": script}, script.rstrip("\n"))
    return 0
