"""Scripts: the command that runs a script. Pure.

The first command that fails ends the script, as on continuous integration services, and start-up files of the user are
not read: the same script does the same on every worker. The text is an argument (``-c``), so that standard
input stays free of it: a command that reads from there would otherwise swallow the rest of the script.
"""

from collections.abc import Mapping
from types import MappingProxyType

from aura_contracts.errors import InvalidInput
from aura_contracts.execution import Script, Shell

SCRIPT_LIMIT = 131_071
"""Bytes of one argument on Linux (MAX_ARG_STRLEN: 32 pages, with the NUL at the end)."""

_COMMANDS: Mapping[Shell, tuple[str, ...]] = MappingProxyType(
    {
        Shell.BASH: ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"),
        Shell.SH: ("sh", "-e", "-c"),
        Shell.ZSH: ("zsh", "-f", "-e", "-o", "pipefail", "-c"),
        Shell.PWSH: ("pwsh", "-NoLogo", "-NoProfile", "-NonInteractive", "-Command"),
    }
)

_PWSH_PREAMBLE = "$ErrorActionPreference = 'Stop'; $PSNativeCommandUseErrorActionPreference = $true\n"
"""What ``-e`` is elsewhere: stop at the first error of a cmdlet, and (PowerShell 7.4) of any program."""


def script_command(script: Script) -> tuple[str, ...]:
    """Return the command that runs `script`. Raises `InvalidInput` for a text that no command line can hold.

    >>> script_command(Script("make", Shell.SH))
    ('sh', '-e', '-c', 'make')
    """
    text = _PWSH_PREAMBLE + script.text if script.shell is Shell.PWSH else script.text
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > SCRIPT_LIMIT:
        remedy = "put it into a file of the repository and run that"
        raise InvalidInput(field="script", reason=f"takes {size} bytes, more than {SCRIPT_LIMIT}", remedy=remedy)
    if "\0" in text:
        raise InvalidInput(field="script", reason="holds a NUL character", remedy="remove the character")
    return (*_COMMANDS[script.shell], text)
