"""The page about errors: every class with its code, its facts and its remedy; and why a run can fail."""

from collections.abc import Iterator

from aura_contracts import errors as module
from aura_contracts.errors import AuraError
from aura_contracts.failures import FailureReason
from generator.docstrings import inline
from generator.markdown import NOTE, page, table
from generator.source import first_line
from generator.values import members


def errors() -> str:
    """Return the page with every error of the tree."""
    families = _children(AuraError)
    alone = [kind for kind in families if not _children(kind)]
    return page(
        "# Errors",
        NOTE,
        "AURA raises subclasses of `AuraError`, all in `aura_contracts.errors`. Each class has a stable `code` that"
        " programs may depend on. Its facts are attributes, `str(error)` is one sentence with the remedy, and with"
        " `--json` the command line prints the error as an object. `error.recovery` says what it takes for the same"
        " call to succeed: time (`Recovery.LATER`), or a human who removes the cause (`Recovery.HUMAN`); it is"
        " `Recovery.UNKNOWN` where AURA cannot tell.",
        *(block for kind in families if kind not in alone for block in _family(kind)),
        "## Other errors",
        _table(alone),
        "## Failure reasons",
        "A run that fails is not an exception: its execution ends with a `Failure`, whose reason is one of these.",
        members(FailureReason, inline),
    )


def _family(base: type[AuraError]) -> Iterator[str]:
    yield f"## {base.__name__}"
    yield inline(first_line(base))
    yield _table([base, *_below(base)])


def _below(base: type[AuraError]) -> Iterator[type[AuraError]]:
    for kind in _children(base):
        yield kind
        yield from _below(kind)


def _children(base: type[AuraError]) -> list[type[AuraError]]:
    """Return the subclasses in the contracts; other programs, such as tests, may have their own."""
    return [kind for kind in base.__subclasses__() if kind.__module__.startswith(f"{module.__name__}.")]


def _table(kinds: list[type[AuraError]]) -> str:
    return table(("code", "error", "facts", "meaning", "what to do"), [_row(kind) for kind in kinds])


def _row(kind: type[AuraError]) -> tuple[str, ...]:
    facts = ", ".join(f"`{name}`" for name in kind.fact_names if name != "remedy")
    return f"`{kind.code}`", f"`{kind.__name__}`", facts, inline(first_line(kind)), inline(kind.remedy)
