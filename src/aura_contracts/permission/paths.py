"""Paths: the files that calls name, against the files that rules name. Pure.

A rule's path is relative to the agent's **working folder**, unless it begins with ``/`` or ``~/``. It is about the
place where a path leads: a path is allowed if both the path as written and the place behind all symbolic links are, and
refused if either is. The links are resolved on the worker, where the files are (`Places`).

    .env          to allow: this file in the working folder; to refuse: in any folder below it
    ./.env        in the working folder only
    **/.env       in any folder, also in the working folder itself
    secrets/      the folder with everything in it; to refuse, ``secrets`` says the same
    src/*.py      ``*`` is any text, also with ``/``
    *.{js,ts}     either
    ~/.ssh/*      below the home folder of the agent
    /etc/*        absolute, and so is //etc/*
"""

import posixpath
import re
from collections.abc import Iterator
from unicodedata import normalize
from urllib.parse import unquote

import msgspec

from aura_contracts.file_paths import relative
from aura_contracts.permission.wildcards import HOLE, Fit, fits, match
from aura_contracts.quoting import is_visible


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where the paths of a call and of the rules lead, as the worker found when the agent asked.

    `real` has the real path for each path as it is written in the call, for the beginning of each rule up to its first
    wildcard, and for the folders themselves.
    """

    folder: str
    """The agent's working folder."""
    home: str = ""
    """The home folder of the agent's user; empty: unknown."""
    real: dict[str, str] = {}

    def below(self, path: str) -> str:
        """Return `path` as an absolute one, without resolving it; one of an unknown home stays as it is."""
        if path == "~" or path.startswith("~/"):
            path = posixpath.join(self.home, path[1:].lstrip("/")) if self.home else path
        whole = _without_magic(posixpath.join(self.folder, path), self.folder)
        return f"/{whole.lstrip('/')}" if whole.startswith("/") else whole  # which `posixpath` leaves at two slashes


NOWHERE = Places(folder="/")
"""Where nothing is known: every path is written from the root, and no allow rule about a path applies."""

_MAGIC = re.compile(r"/+proc/+(?:self|thread-self|[0-9]+)(?:/+task/+[0-9]+)?/+(root|cwd)(?=/|$)")
"""Links that lead somewhere else for each process."""

_UNCLEAR = re.compile(rf"[\\{HOLE}\x01-\x1f\x7f]|^~|^[A-Za-z][\w+.-]*://")
_WILD = re.compile(r"[*?{]")
_MARKS = re.compile(r"^(?:@|file:(?://)?)", re.IGNORECASE)
_HOME = re.compile(r"^\$(?:HOME\b|\{HOME\})")


def _without_magic(path: str, folder: str) -> str:
    while found := _MAGIC.search(path):
        path = ("" if found[1] == "root" else folder) + path[found.end() :]
    return path or "/"


def prefix_of(subject: str) -> str:
    """Return the part of a rule's path before its first wildcard that is a path itself.

    >>> prefix_of("src/gen*/x"), prefix_of("~/.ssh/*"), prefix_of("*.py")
    ('src', '~/.ssh', '')
    """
    wild = _WILD.search(subject)
    return subject.rstrip("/") if wild is None else subject[: wild.start()].rpartition("/")[0]


# --- Allowing ---------------------------------------------------------------------------------------------------------


def allows_path(subject: str, path: str, places: Places) -> bool:
    """Return whether a rule with this `subject` allows a path: as written, and where it leads."""
    real = places.real.get(path)
    if real is None or _UNCLEAR.search(path) or not is_visible(path) or "%2" in path:  # %2e, %2F
        return False
    base = _base_of(subject, places)
    if base is None:
        return False
    written_base, wanted = base
    real_base = places.real.get(written_base, written_base)
    written = posixpath.normpath(places.below(path))
    return any(
        (_within(written, written_base, pattern) or _within(written, real_base, pattern))
        and _within(real, real_base, pattern)
        for one in alternatives(wanted)
        for pattern in _allowed(one)
    )


def _base_of(subject: str, places: Places) -> tuple[str, str] | None:
    """Return the folder that a rule starts from, and the rest of it."""
    if subject.startswith("/"):
        return "/", subject.lstrip("/")
    if subject == "~" or subject.startswith("~/"):
        return (places.home, subject[2:].lstrip("/")) if places.home else None
    return posixpath.normpath(places.folder), subject


def _within(path: str, base: str, pattern: str) -> bool:
    rest = relative(path, base)
    if rest is None or not fits(rest, pattern):
        return False
    return ".git" in pattern.casefold().split("/") or ".git" not in rest.casefold().split("/")


def _allowed(pattern: str) -> Iterator[str]:
    """Yield the pattern of a relative path: normalised, with ``**/`` as no folder too, and a folder as all below."""
    folder = pattern.endswith("/")
    plain = normal(pattern)
    for one in _any_depth(plain):
        yield f"{one}/*" if folder else one
    if folder or plain == ".":
        yield "*" if plain == "." else plain


def _any_depth(pattern: str) -> Iterator[str]:
    yield pattern
    start, found, rest = pattern.partition("**/")
    if found and (not start or start.endswith("/")):
        yield from _any_depth(start + rest)
    if pattern.endswith("/**"):
        yield pattern.removesuffix("/**")


def normal(pattern: str) -> str:
    """Return a relative pattern without ``.`` and empty parts.

    >>> normal("./a//b/./c/"), normal("./")
    ('a/b/c', '.')
    """
    return "/".join(part for part in pattern.split("/") if part not in ("", ".")) or "."


def alternatives(pattern: str) -> list[str]:
    """Return what braces stand for.

    >>> alternatives("*.{js,ts}"), alternatives("{}"), alternatives("a")
    (['*.js', '*.ts'], ['{}'], ['a'])
    """
    found = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if found is None or pattern.count("{") > 4:
        return [pattern]
    start, end = pattern[: found.start()], pattern[found.end() :]
    return [one for choice in found[1].split(",") for one in alternatives(start + choice + end)]


# --- Refusing ---------------------------------------------------------------------------------------------------------


def refuses_path(
    subject: str, path: str, places: Places, glob: str = "", *, searched: bool = False, emptied: bool = False
) -> Fit:
    """Return whether a rule with this `subject` refuses a path, as written or where it leads.

    `glob` is the path with holes where wildcards of a shell are. Of a path that is `searched`, everything below counts;
    of one that is `emptied`, what the rule names below it.
    A relative rule is about the working folder; about a file elsewhere that fits it otherwise, a human is asked.
    """
    if "\\" in subject:  # before a bracket, or instead of a slash
        other = (subject.replace("\\", mark) for mark in ("", "/"))
        return max(refuses_path(one, path, places, glob, searched=searched, emptied=emptied) for one in other)
    written = [_folded(places.below(one)) for one in {path, glob or path, path.replace("\\", "/"), _loose(path)}]
    real = places.real.get(path)
    found = Fit.NO
    for place in [*written, *([_folded(real)] if real else [])]:
        found = max(found, *(_refuses_place(one, place, places) for one in alternatives(subject)))
    if (searched or emptied) and not found:
        held = any(_may_hold(subject, place, places, anywhere=searched) for place in written)
        found = Fit.MAYBE if held else Fit.NO
    return found


def _loose(path: str) -> str:
    """Return a path as a lenient tool may take it: an address, with a variable or a mark before it, or invisible signs.

    >>> _loose("file:///etc/a%20b"), _loose(" @.env"), _loose("$HOME/.ssh")
    ('/etc/a b', '.env', '~/.ssh')
    """
    seen = "".join(char for char in unquote(path) if is_visible(char) or char == HOLE)
    return _HOME.sub("~", _MARKS.sub("", seen.strip()))


def _folded(path: str) -> str:
    """Return a path as file systems that ignore case compare it."""
    return normalize("NFC", posixpath.normpath(path)).casefold()


def _refuses_place(subject: str, place: str, places: Places) -> Fit:
    if normal(subject) in ("*", "**"):
        return Fit.YES
    found = max(_below(place, pattern) for pattern in _refused(subject, places))
    if found is Fit.YES or subject.startswith(("/", "~")):
        return found
    relative_rule = normal(subject).casefold()
    elsewhere = max(_below(place, f"*/{one}") for one in _any_depth(relative_rule))
    return max(found, Fit.MAYBE if elsewhere and relative_rule.strip("*/.") else Fit.NO)


def _below(place: str, pattern: str) -> Fit:
    """Return whether a place, or a folder that holds it, matches an absolute pattern, in both readings of brackets."""
    both = max(match(place, pattern), match(place, f"{pattern.rstrip('/')}/*"))
    if both is not Fit.YES and "[" in pattern:
        return Fit.YES if fits(place, pattern.replace("[^", "[!"), classes=True) else both
    return both


def _refused(subject: str, places: Places) -> Iterator[str]:
    """Yield the absolute patterns, in lower case, that a rule stands for: as written, and where its beginning leads."""
    folder = posixpath.normpath(places.folder)
    bases = {folder, places.real.get(folder, folder)}
    if subject.startswith("~"):
        starts = {f"{places.home.rstrip('/')}/"} if places.home else {"*/home/*/", "*/root/", "*/users/*/", "*/~/"}
        starts |= {f"{places.real[places.home].rstrip('/')}/"} if places.home in places.real else set()
        rest = subject.lstrip("~/")
    elif subject.startswith("/"):
        starts = {"/", *(f"{base.rstrip('/')}/" for base in bases)}  # some agents read /src as a part of the project
        rest = subject.lstrip("/")
    else:
        starts = {f"{base.rstrip('/')}/" for base in bases}
        if not subject.startswith("./"):
            starts |= {f"{start}*/" for start in starts}
        rest = subject
    for one in _any_depth(normal(rest)):
        for start in starts:
            yield _pattern(start, one)
    prefix = prefix_of(subject)
    if prefix and (real := places.real.get(prefix)):
        tail = subject[len(prefix) :].strip("/")
        for one in _any_depth(normal(tail)) if tail else (".",):
            yield _pattern(f"{real.rstrip('/')}/", one)


def _pattern(start: str, pattern: str) -> str:
    whole = (start.rstrip("/") or "/") if pattern == "." else start + pattern
    return normalize("NFC", whole).casefold()


def _may_hold(subject: str, place: str, places: Places, *, anywhere: bool) -> bool:
    """Return whether something that a rule refuses may be below a folder: `anywhere` there, or where the rule says."""
    inside = place.rstrip("/") + "/"
    for pattern in _refused(subject, places):
        start = pattern.split("*", 1)[0]
        if start.startswith(inside) or (anywhere and inside.startswith(start)):
            return True
    return False
