"""``aura completion``: completion scripts for shells."""

from argparse import ArgumentParser

from aura_cli._call import Invocation
from aura_cli.arguments.parser import finish

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


def run(call: Invocation) -> None:
    """Print the script."""
    from aura_cli.shell_completion.scripts import script_for
    from aura_cli.shell_completion.tree import candidates

    shell = call.arguments.shell
    script = script_for(shell, candidates())
    call.terminal.item({"id": shell, "script": script}, script.rstrip("\n"))
