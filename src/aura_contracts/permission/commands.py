"""Commands: the commands that a line of shell runs, against the commands that rules name. Pure.

A rule that refuses looks at every command that the line may run, however it is wrapped: behind assignments,
redirections, keywords and programs that run other programs (`env`, ``sudo``, ``xargs``, ``sh -c``). A rule that allows
looks at the line as it is written, and allows none that is not plain: commands one after another, all known.
"""

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from aura_contracts.permission.command_line import CommandLine, SimpleCommand, Word
from aura_contracts.permission.programs import RUN_NOTHING, RUN_TEXTS, RUNNERS, SHELLS
from aura_contracts.permission.shell import ASSIGNMENT, KEYWORDS, read_line
from aura_contracts.permission.wildcards import HOLE, Fit, fits, match

_RUN_BY_OPTION = {"rg": "--pre", "ag": "--pager", "printf": "-v"}
_RUN = re.compile(r"run|exec|foreach|dlx|x|-x|--(exec|extcmd|pre|pager|[a-z-]*(command|program|filter))")
"""Arguments after which the others are a command."""

_MESSAGE = re.compile(r"-[a-z]*m|-[bt]|--(message|title|body|notes|grep|author|trailer)(=.*)?", re.DOTALL)
"""Options of git and gh that take a text for people."""

_WITH_MESSAGES = frozenset({"git", "gh"})
_APART = re.compile(r"[;&|`(){}\n=!,:@]+")

_FINDERS = frozenset({"find", "fd", "fdfind"})
_EXEC = re.compile(r"-(exec|execdir|ok|okdir|x|X)|--exec(-batch)?")

_LOADER = re.compile(r"ld-?(linux|musl|so)?[\w.-]*\.so(\.\d+)?")

_INTERPRETERS = re.compile(
    r"(python|pypy|perl|ruby|node|nodejs|bun|deno|php|lua|tclsh|osascript|Rscript|awk|gawk|mawk|nawk)[0-9.]*"
)
_INLINE = re.compile(r"-[A-Za-z]*[cerE]|--(eval|print|command|execute|run)\b.*|-|eval")
"""Arguments that give an interpreter its program in words."""

_NO_PROGRAM = frozenset({"--version", "-V", "-v", "--help", "-h"})
_SHELLS_LATER = frozenset({"at", "batch", "crontab"})
"""Programs that read commands, and have a shell run them."""

_HARMLESS_ENVIRONMENT = re.compile(r"(LC_\w+|LANG|TZ|COLUMNS|LINES|CI|NO_COLOR|FORCE_COLOR|TERM|DEBUG|NODE_ENV)\+?=")
_NESTING = 6
_ARGUMENTS_LIMIT = 100
"""The arguments of a command that are looked at as commands; of one with more it is not known what it runs."""

_TEXT_OF_COMMAND = re.compile(r"[\s;&|`$()<>]")


def line_of(words: Sequence[str]) -> str:
    """Return a list of arguments as a line of shell."""
    return shlex.join(words)


# --- Allowing ---------------------------------------------------------------------------------------------------------


def allowed_sources(line: CommandLine) -> tuple[str, ...] | None:
    """Return the commands of a plain line as written, without harmless redirections; None for any other line."""
    if line.doubts or not line.plain or not line.commands:
        return None
    if all(_is_plain(command) for command in line.commands):
        return tuple(command.source for command in line.commands)
    return None


def _is_plain(command: SimpleCommand) -> bool:
    if not command.words or not all(one.harmless for one in command.redirections):
        return False
    name = command.words[0]
    known = not any(HOLE in word.text for word in command.words) and HOLE not in name.glob
    return known and not ASSIGNMENT.match(name.source) and name.text[:1] != "~"


def allows_command(subject: str, source: str) -> bool:
    """Return whether a rule with this `subject` allows a command.

    >>> allows_command("git log *", "git log"), allows_command("git:*", "git log"), allows_command("git *", "gitk")
    (True, True, False)
    """
    return any(fits(source, pattern) for pattern in allowed_patterns(subject))


def allowed_patterns(subject: str) -> tuple[str, ...]:
    """Return the patterns of a subject: ``rm:*`` and ``rm *`` are ``rm`` with any arguments, or none."""
    for ending in (":*", " *"):
        if subject.endswith(ending) and subject != ending:
            start = subject.removesuffix(ending).rstrip()
            return (start, f"{start} *")
    return (subject,)


# --- Refusing ---------------------------------------------------------------------------------------------------------


def refuses_command(subject: str, text: str) -> Fit:
    """Return whether a rule with this `subject` refuses a line of shell, which may run a command that it names.

    >>> [refuses_command("rm *", text).name for text in ("cd x && sudo -u root /bin/rm y", "$X y", "ls rm")]
    ['YES', 'MAYBE', 'NO']
    """
    patterns = _refused_patterns(subject)
    line = read_line(text)
    found = max((match(" ".join(text.casefold().split()), one) for one in patterns), default=Fit.NO)
    found = max(found, Fit.MAYBE if line.doubts else Fit.NO)
    for words in _all_run_by(text):
        if found is Fit.YES:
            return found
        found = max(found, Fit.MAYBE if words is None else _refuses_words(patterns, words))
        if words and found is Fit.NO and _may_run(patterns, words):
            found = Fit.MAYBE
    if line.doubts and any(_refuses_words(patterns, _crude(part)) for part in re.split(r"[;&|`<>()\n]", text)):
        return Fit.YES
    return found


def _may_run(patterns: Sequence[str], words: Sequence[Word]) -> bool:
    """Return whether a program may run a command that is refused: its arguments are one, or a text in them is."""
    name = _name_of(words)
    if runs_nothing(words) or name in _FINDERS:
        return False
    if len(words) > _ARGUMENTS_LIMIT:
        return True
    before = ""
    for place, word in enumerate(words[1:], 1):
        if (name not in RUN_TEXTS or _RUN.fullmatch(before)) and _refuses_words(patterns, words[place:]):
            return True
        before = before if word.text.startswith("-") and not _RUN.fullmatch(word.text) else word.text
    return any(_holds_command(patterns, word.text) for word in texts_of(words))


def programs_of(words: Sequence[Word]) -> frozenset[str]:
    """Return the name of the program that runs, in any place if a program runs others."""
    name = _name_of(words)
    return frozenset(posixpath.basename(word.text) for word in words) if _runs_others(name) else frozenset({name})


def runs_nothing(words: Sequence[Word]) -> bool:
    """Return whether a program runs nothing of its arguments."""
    name = _name_of(words)
    option = _RUN_BY_OPTION.get(name)
    return name in RUN_NOTHING and not (option and any(word.text.startswith(option) for word in words))


def texts_of(words: Sequence[Word]) -> Iterator[Word]:
    """Yield the arguments of a command, but for the messages of those to git."""
    spared = _name_of(words) in _WITH_MESSAGES
    for before, word in pairwise(words):
        if not spared or not (_MESSAGE.fullmatch(before.text) or _MESSAGE.fullmatch(word.text)):
            yield word


def _holds_command(patterns: Sequence[str], text: str) -> bool:
    """Return whether a refused command begins somewhere in a text that a program may run: ``!rm x``."""
    plain = text.translate(_QUOTES)
    if plain[:1] == "-" and plain[1:2].isalpha():
        plain = f"{plain[:2]} {plain[2:]}"
    begun: list[tuple[Word, ...]] = []
    for part in _APART.split(plain):
        words = _bare(part.split())
        if [word.text for word in words] != [text]:
            begun += (words[place:] for place, word in enumerate(words) if _begins(patterns, word))
        if len(begun) > _ARGUMENTS_LIMIT:
            return True
    return any(_refuses_words(patterns, one) for one in begun)


def _begins(patterns: Sequence[str], word: Word) -> bool:
    return HOLE not in word.text and any(_may_begin(pattern, word) for pattern in patterns)


def commands_in(text: str) -> tuple[list[SimpleCommand], bool]:
    """Return the commands that a line may run, those nested in words too, and whether these are certainly all."""
    line = read_line(text)
    found, certain = list(line.commands), not line.doubts
    for command in line.commands:
        for word in command.words:
            if _TEXT_OF_COMMAND.search(word.text) and word.text != text and _runs_others(_name_of(command.words)):
                nested = read_line(word.text)
                found += nested.commands
                certain = certain and not nested.doubts
    return found, certain and not any(_is_fed(command) for command in found)


def _is_fed(command: SimpleCommand) -> bool:
    """Return whether an interpreter gets its program in words, or reads it."""
    words = _without_preamble(command.words)
    name, arguments = _name_of(words), words[1:]
    if _INTERPRETERS.fullmatch(name):
        return _is_inline(name, arguments)
    if name not in SHELLS or command.inputs:
        return False
    given = _program_in(arguments)
    if given is not None:
        return any(map(_is_fed, read_line(given).commands))
    return all(word.text.startswith("-") for word in arguments)


def _program_in(arguments: Sequence[Word]) -> str | None:
    """Return the text after ``-c`` that a shell runs, which may be the name of another shell; None without one."""
    after = False
    for before, word in pairwise((_bare([""])[0], *arguments)):
        if re.fullmatch(r"-[A-Za-z]*c", word.text):
            after = True
        elif after and word.text[:1] not in ("-", "+") and not re.fullmatch(r"[-+][A-Za-z]*[oO]", before.text):
            return word.text
    return None


def _crude(part: str) -> tuple[Word, ...]:
    """Return the words of a part of a line that was not understood, without quotes."""
    return _without_preamble(_bare(part.translate(_QUOTES).strip("!{}() \t").split()))


def _bare(words: Sequence[str]) -> tuple[Word, ...]:
    return tuple(Word(word, word, word, bare=True) for word in words)


_QUOTES = str.maketrans("", "", "\"'\\")


def _refused_patterns(subject: str) -> tuple[str, ...]:
    """Return patterns in lower case: the subject, the same with any arguments, and without its program's folder."""
    plain = " ".join(subject.casefold().split())
    named = {plain, " ".join(subject.casefold().translate(_QUOTES).split())}
    for one in list(named):
        start = one.removesuffix(":*").removesuffix(" *")
        named |= {start, f"{start} *"} if start else set()
    bare = {posixpath.basename(one.split(" ")[0]) + one[len(one.split(" ")[0]) :] for one in named}
    return tuple(sorted(one for one in named | bare if one.strip()))


def _refuses_words(patterns: Sequence[str], words: Sequence[Word]) -> Fit:
    patterns = [pattern for pattern in patterns if words and _may_begin(pattern, words[0])]
    if not patterns:
        return Fit.NO
    found = Fit.NO
    for joined in (" ".join(word.text for word in words), " ".join(word.glob for word in words)):
        name, _, rest = joined.casefold().partition(" ")
        short = f"{posixpath.basename(name)} {rest}".strip()
        for text in {joined.casefold(), short, _closed(short)}:
            found = max(found, *(match(text, pattern) for pattern in patterns))
    return max(found, Fit.MAYBE if any(_other_options(pattern, words) for pattern in patterns) else Fit.NO)


def _may_begin(pattern: str, word: Word) -> bool:
    """Return whether a command that begins with this word may match: a quick test for the many that cannot."""
    first = pattern.split(" ", 1)[0]
    if "*" in first or HOLE in word.glob or HOLE in word.text or " " in word.text:
        return True
    name = word.text.casefold()
    return fits(name, first) or fits(posixpath.basename(name), posixpath.basename(first))


def _closed(text: str) -> str:
    """Return `text` with the spaces around holes in them: an unquoted variable may be empty, or several words."""
    return HOLE.join(part.strip(" ") for part in text.split(HOLE))


def _other_options(pattern: str, words: Sequence[Word]) -> bool:
    """Return whether `words` are those of a pattern but for their options: ``git -C x push`` for ``git push *``."""
    wanted = [word for word in pattern.split() if not word.startswith("-") and word != "*"]
    name, *rest = [word.text.casefold() for word in words]
    if not wanted or len(pattern.split()) < 2 or not any(word.startswith("-") for word in rest):
        return False
    if len(wanted) == 1 and not any(word.startswith("-") for word in pattern.split()):
        return False
    later = iter(rest)
    return bool(match(posixpath.basename(name), posixpath.basename(wanted[0]))) and all(
        any(match(have, want) for have in later) for want in wanted[1:]
    )


@lru_cache(maxsize=32)
def _all_run_by(text: str) -> tuple[tuple[Word, ...] | None, ...]:
    """Return the words of each command that a line may run. Many rules look at the same line."""
    return tuple(_run_by(read_line(text), 0))


def _run_by(line: CommandLine, depth: int) -> Iterator[tuple[Word, ...] | None]:
    """Yield the words of each command that a line may run; None for one that cannot be known."""
    for command in line.commands:
        words = _without_preamble(command.words)
        yield words
        if depth > _NESTING:
            yield None
            return
        if any(word.text.startswith("BASH_ENV=") for word in command.words):
            yield None  # a shell runs the file
        for word in command.words[: len(command.words) - len(words)]:  # programs may run what a variable names
            value = ASSIGNMENT.sub("", word.text, count=1)
            if words and value != word.text and not _HARMLESS_ENVIRONMENT.match(word.text):
                yield from _run_by(read_line(value), depth + 1)
        if words:
            yield from _carried(command, words, depth)


def _carried(command: SimpleCommand, words: tuple[Word, ...], depth: int) -> Iterator[tuple[Word, ...] | None]:
    """Yield the commands that a command runs for others: its arguments, or texts in them."""
    name = _name_of(words)
    if name in (".", "source"):
        yield None
    yield from _read_as_program(command, words, depth)
    if not _runs_others(name) or (name == "command" and words[1:2] and words[1].text in ("-v", "-V")):
        return
    if len(words) > _ARGUMENTS_LIMIT:
        yield None
    programs = 0
    for place in range(1, min(len(words), _ARGUMENTS_LIMIT)):
        if name not in _FINDERS or _EXEC.fullmatch(words[place - 1].text):
            yield from _from_argument(name, words[place:], depth)
            inner = _without_preamble(words[place:])
            programs += _name_of(inner) in SHELLS
            if programs <= _NESTING:
                yield from _read_as_program(command, inner, depth)
    if name == "eval":
        yield from _run_by(read_line(" ".join(word.text for word in words[1:])), depth + 1)


def _read_as_program(command: SimpleCommand, words: tuple[Word, ...], depth: int) -> Iterator[tuple[Word, ...] | None]:
    """Yield what an interpreter or a shell runs that is not in its arguments; None if that is not known."""
    name, arguments = _name_of(words), words[1:]
    if _INTERPRETERS.fullmatch(name) and _is_inline(name, arguments):
        yield None
    if name in _SHELLS_LATER:
        yield None
    if name not in SHELLS:
        yield from ((*words[:1], *_bare([text])) for text in command.inputs)
        return
    for text in command.inputs:
        yield from _run_by(read_line(text), depth + 1)
    given = _program_in(arguments)
    if given is not None:
        yield from _run_by(read_line(given), depth + 1)
    elif not command.inputs:
        yield None


def _is_inline(name: str, arguments: Sequence[Word]) -> bool:
    """Return whether an interpreter gets its program in words, or reads it."""
    script = any(not word.text.startswith("-") or word.text in _NO_PROGRAM for word in arguments)
    return "awk" in name or not script or any(_INLINE.fullmatch(word.text) for word in arguments)


def _from_argument(name: str, words: tuple[Word, ...], depth: int) -> Iterator[tuple[Word, ...] | None]:
    """Yield the commands that begin with this argument, or are the text of it."""
    inner = _without_preamble(words)
    yield inner
    if name in ("xargs", "parallel"):
        yield (*inner, Word(HOLE, HOLE, HOLE, bare=False))
        if _runs_others(_name_of(inner)) or _INTERPRETERS.fullmatch(_name_of(inner)):
            yield None  # the arguments that follow are not known
    text = words[0].text
    if _TEXT_OF_COMMAND.search(text) or HOLE in text:
        nested = read_line(text)
        if nested.doubts:
            yield None
            yield _crude(text)
        yield from _run_by(nested, depth + 1)


def _runs_others(name: str) -> bool:
    return name in RUNNERS or _LOADER.fullmatch(name) is not None


def _name_of(words: Sequence[Word]) -> str:
    words = _without_preamble(words)
    return posixpath.basename(words[0].text).casefold() if words else ""


def _without_preamble(words: Sequence[Word]) -> tuple[Word, ...]:
    """Return words without the assignments and keywords before the command."""
    start = 0
    while start < len(words):
        word = words[start]
        if not (word.text in KEYWORDS or ASSIGNMENT.match(word.source)):
            break
        start += 1
    return tuple(words[start:])
