"""The command `aura`: parses the arguments, runs one command, and turns the outcome into an exit code.

It starts quickly because it only imports this module, `argparse` and the module of the selected command. Exit codes: 0
done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import gc
import os
import sys
from collections.abc import Sequence

from aura_cli._exit_codes import DONE, FAILED, INTERRUPTED, WRONG_USAGE
from aura_cli.arguments.parser import WrongUsage, parse

_GARBAGE = 100_000
"""New objects between two collections of garbage: starting makes many, which stay, and each collection visits them."""


def program() -> None:
    """Run `aura` with the arguments of the process, and end the process.

    By then everything that must be closed is closed. Freeing the rest one by one would take longer than many commands.
    """
    gc.set_threshold(_GARBAGE)
    code = main(sys.argv[1:])
    if sys.stderr is not None:
        sys.stderr.flush()
    os._exit(code)


def main(argv: Sequence[str]) -> int:
    """Run `aura` with `argv`; return the exit code."""
    code = _guarded(argv)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
    return code


def _guarded(words: Sequence[str]) -> int:
    """Run the command and turn any outcome into an exit code."""
    try:
        return _run(words)
    except WrongUsage as wrong:
        return _report(wrong, words, WRONG_USAGE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _discard_stdout()
        return DONE  # the reader of stdout has gone away
    except SystemExit as end:  # argparse, after --help and --version
        return end.code if isinstance(end.code, int) else DONE
    except Exception as error:  # noqa: BLE001 - the edge: people and programs get every error in one form
        return _report(error, words, FAILED)


def _run(words: Sequence[str]) -> int:
    arguments = parse(words)
    from aura_cli._call import Invocation
    from aura_cli._settings import read_settings
    from aura_cli.rendering.terminal import Terminal

    settings = read_settings(arguments)
    terminal = Terminal.of_process(json=settings.json, quiet=settings.quiet, color=settings.color)
    answer = arguments.run(Invocation(arguments, settings, terminal))
    if answer is not None:  # a coroutine, because the command uses an engine
        import anyio

        answer = anyio.run(lambda: answer)
    terminal.flush()
    return DONE if answer is None else answer


def _report(error: Exception, words: Sequence[str], code: int) -> int:
    """Report an error on stderr: code, message, remedy; an object with ``--json``."""
    from aura_cli.rendering.errors import report

    report(error, json="--json" in words)
    return code


def _discard_stdout() -> None:
    """Discard the rest of the buffer, so that the interpreter does not report an error at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
