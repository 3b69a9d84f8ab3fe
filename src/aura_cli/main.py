"""The command `aura`: parses the arguments, runs one command, and turns the outcome into an exit code.

It starts quickly because it only imports this module, `argparse` and the module of the selected command. Everything of
weight is imported where an interrupt is caught. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import gc
import os
import sys
from collections.abc import Callable, Sequence

from aura_cli._exit_codes import DONE, FAILED, INTERRUPTED, WRONG_USAGE

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
    except KeyboardInterrupt:  # before the command began; it says itself what became of it
        if sys.stderr is not None:
            sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:
        _discard_stdout()
        return DONE  # the reader of stdout has gone away
    except SystemExit as end:  # argparse, after --help and --version
        return end.code if isinstance(end.code, int) else DONE
    except Exception as error:  # noqa: BLE001 - the edge: people and programs get every error in one form
        return _report(error, words)


def _run(words: Sequence[str]) -> int:
    from aura_cli.arguments.program import parse

    arguments = parse(words)
    from aura_cli._call import Invocation
    from aura_cli._settings import read_settings
    from aura_cli.rendering.terminal import Terminal

    settings = read_settings(arguments)
    terminal = Terminal.of_process(json=settings.json, quiet=settings.quiet, color=settings.color)
    answer = arguments.run(Invocation(arguments, settings, terminal))
    code = None
    if answer is not None:  # a coroutine, because the command uses an engine
        try:
            import anyio

            code = _until_interrupted(lambda: anyio.run(lambda: answer))
        finally:
            answer.close()  # an interrupt may have come before it began, about which Python would warn
    terminal.flush()
    return DONE if code is None else code


def _until_interrupted(command: Callable[[], int | None]) -> int | None:
    try:
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED


def _report(error: Exception, words: Sequence[str]) -> int:
    """Report an error on stderr: code, message, remedy; an object with ``--json``. Return the exit code."""
    from aura_cli.arguments.parser import WrongUsage
    from aura_cli.rendering.errors import report

    report(error, json="--json" in words)
    return WRONG_USAGE if isinstance(error, WrongUsage) else FAILED


def _discard_stdout() -> None:
    """Discard the rest of the buffer, so that the interpreter does not report an error at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
