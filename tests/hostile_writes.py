"""What an agent may write where AURA's git works: settings, files, links and marks, in random spellings and numbers.

Everything is written without git, so that it also takes forms that git itself would not write. Paths begin with a
letter for a place: ``T`` the worktree, ``G`` its git directory, ``C`` the one that all worktrees share, ``A`` a folder
of the agent's, ``H`` the user's home, ``U`` folders of the user's.
"""

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dulwich.index import EXTENDED_FLAG_INTEND_TO_ADD, EXTENDED_FLAG_SKIP_WORKTREE, Index, IndexEntry
from hypothesis import strategies as st

Places = Mapping[str, Path]


def placed(places: Places, path: str) -> Path:
    letter, _, rest = path.partition("/")
    return places[letter] / rest


def filled_in(places: Places, text: str) -> str:
    """Return a text with the names of places, such as ``{TRAP}``, replaced."""
    for name, place in places.items():
        text = text.replace(f"{{{name}}}", str(place))
    return text


class Setting(NamedTuple):
    """A setting in a file of configuration. `style` is a number whose bits choose the spelling."""

    file: str
    key: str
    value: str
    style: int

    def write(self, places: Places) -> None:
        text = spelled(filled_in(places, self.key), filled_in(places, self.value), self.style)
        append(placed(places, self.file), text)


class File(NamedTuple):
    """A file with some content, or more of it."""

    path: str
    content: str
    more: bool = False
    mode: int = 0o644

    def write(self, places: Places) -> None:
        file = placed(places, self.path)
        if not self.more:
            clear(file)
        append(file, filled_in(places, self.content))
        if file.is_file():
            file.chmod(self.mode)


class Link(NamedTuple):
    """A symbolic link in place of what is there."""

    path: str
    target: str

    def write(self, places: Places) -> None:
        file, target = placed(places, self.path), filled_in(places, self.target)
        if make_room(file):
            clear(file)
            file.symlink_to(target)


class Gone(NamedTuple):
    """Nothing in place of what is there."""

    path: str

    def write(self, places: Places) -> None:
        clear(placed(places, self.path))


class Repository(NamedTuple):
    """A repository inside the worktree: a copy of one of the user's, with settings of the agent's."""

    path: str
    settings: tuple[tuple[str, str], ...]

    def write(self, places: Places) -> None:
        place = placed(places, self.path)
        if not os.path.lexists(place):
            shutil.copytree(places["U"] / "other", place, symlinks=True)
            for number, (key, value) in enumerate(self.settings):
                Setting(f"{self.path}/.git/config", key, value, number).write(places)
            append(place / "file", "changed\n")


class Marks(NamedTuple):
    """Marks in the index that say of files that they need not be looked at."""

    assumed: bool
    extended: int

    def write(self, places: Places) -> None:
        file = places["G"] / "index"
        if not file.is_file():
            return
        with suppress(Exception):  # it may be damaged
            index = Index(str(file))
            for path, entry in index.items():
                if isinstance(entry, IndexEntry):
                    flags = entry.flags | (0x8000 if self.assumed else 0)
                    index[path] = replace(entry, flags=flags, extended_flags=entry.extended_flags | self.extended)
            index.write()


Write = Setting | File | Link | Gone | Repository | Marks


def make_room(file: Path) -> bool:
    """Make the folder of a file; return whether it is one, and is reached by no link that leads away."""
    if any(folder.is_symlink() for folder in file.parents):
        return False
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return True


def append(file: Path, text: str) -> None:
    """Write to a file as the agent, who can write nothing of the user's."""
    if make_room(file) and not file.is_symlink() and not file.is_dir():
        with file.open("ab") as opened:
            opened.write(os.fsencode(text))


def clear(file: Path) -> None:
    if not make_room(file):
        return
    if file.is_dir() and not file.is_symlink():
        shutil.rmtree(file)
    else:
        file.unlink(missing_ok=True)


# --- Spelling ---------------------------------------------------------------------------------------------------------


def spelled(key: str, value: str, style: int) -> str:
    """Return a setting as a configuration file can have it (git-config(1), "Syntax")."""
    section, _, rest = key.partition(".")
    subsection, dot, name = rest.rpartition(".")
    case = (str, str.upper, str.lower, str.title)[style & 3]
    header = case(section)
    if dot and style & 4 and subsection.isalnum() and subsection.islower():
        header += f".{subsection}"  # the old way
    elif dot:
        header += f' "{escaped(subsection)}"'
    between = (" ", "\n\t", "\r\n", "\n; [core]\n  ")[style >> 5 & 3]
    return f"\n[{header}]{between}{case(name)} = {spelled_value(escaped(value), style >> 3 & 3)}\n"


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def spelled_value(text: str, style: int) -> str:
    if style == 0:
        return f'"{text}"'
    if style == 1:
        return f'"{text[:2]}""{text[2:]}" ; comment'
    if style == 2 or set(text) & set("#;") or text != text.strip():
        return f'"{text}" # comment \\'
    return f"{text[:3]}\\\n{text[3:]}"


# --- What is drawn ----------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    return text.split()


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


COMMANDS = lines("""
    {TRAP}
    !{TRAP}
    {TRAP} %A %O %B
    sh -c {TRAP}
    {TRAP}; true
    ./trap
    !./trap
    '{TRAP}' %f
    ext::{TRAP}
    $({TRAP})
    `{TRAP}`
    cat | {TRAP}
    file://{TRAP}
""")
VALUES = words("""
    true false x 1 0 {H} {H}/id_rsa {H}/new {U}/other/.git {U}/mine {A}/more /dev/null ../.. rubbish☃ {A}/hooks all none
    evil files:///{A}/refs reftable sha256
""")
NAMES = [*words("x up both default text binary lib origin evil main status we.ird union"), "a b"]
CONFIG_FILES = words("""
    C/config C/config C/config G/config.worktree C/config.worktree A/more T/gitconfig T/.gitmodules T/.gitconfig C/more
    G/config
""")
styles = st.integers(0, 127)


def settings_of(programs: list[str], others: list[str]) -> st.SearchStrategy[Setting]:
    """Draw settings, as `git help --config` names them: those that name programs with a program, mostly."""

    def named(key: str) -> st.SearchStrategy[str]:
        start, mark, rest = key.partition("<")
        end = rest.partition(">")[2]
        if mark:
            return st.sampled_from(NAMES).map(lambda name: f"{start}{name}{end}".replace("*", "helper"))
        return st.sampled_from(NAMES).map(lambda name: key.replace("*", name)) if "*" in key else st.just(key)

    keys = st.sampled_from(programs) | st.sampled_from(programs) | st.sampled_from(others)
    values = st.sampled_from(COMMANDS) | st.sampled_from(COMMANDS) | st.sampled_from(["", *VALUES])
    return st.builds(Setting, st.sampled_from(CONFIG_FILES), keys.flatmap(named), values, styles)


CONDITIONS = words("""
    include.path includeIf.gitdir:**.path includeIf.gitdir/i:{C}/.path includeIf.onbranch:**.path
    includeIf.onbranch:dev.path includeIf.hasconfig:remote.*.url:**.path
""")
includes = st.builds(
    Setting,
    st.sampled_from(words("C/config A/more T/gitconfig")),
    st.sampled_from(CONDITIONS),
    st.sampled_from(words("{A}/more ../gitconfig {T}/gitconfig more {T}/.gitconfig ~/../agent/more")),
    styles,
)
SWITCHES = words("""
    extensions.worktreeConfig extensions.partialClone core.repositoryFormatVersion protocol.ext.allow
    remote.evil.promisor submodule.recurse commit.gpgSign merge.default hook.x.event gpg.format color.ui
    core.symlinks core.splitIndex core.fileMode
""")
switches = st.builds(
    Setting,
    st.just("C/config"),
    st.sampled_from(SWITCHES),
    st.sampled_from(words("true 1 always evil x ssh pre-commit reference-transaction 0 false")),
    styles,
)

HOOKS = words("""
    pre-commit commit-msg post-commit prepare-commit-msg post-checkout post-merge pre-merge-commit reference-transaction
    post-index-change post-rewrite pre-auto-gc fsmonitor-watchman pre-push pre-receive update post-receive post-update
    proc-receive push-to-checkout
""")
hooks = st.builds(
    lambda folder, name: File(f"{folder}/{name}", "#!/bin/sh\nexec {TRAP} hook\n", mode=0o755),
    st.sampled_from(words("C/hooks G/hooks A/hooks T/.git-hooks T/hooks")),
    st.sampled_from(HOOKS),
)

ATTRIBUTES = lines("""
    * filter=x diff=x merge=x
    * filter=up
    *.up filter=x
    m.txt merge=x
    m.txt -merge
    * -diff
    * binary
    * diff=default
    *.txt text eol=crlf ident
    * working-tree-encoding=UTF-16
    * text=auto
    * -text
    [attr]evil filter=x diff=x
    * evil
    * merge=binary
    * !filter
    * conflict-marker-size=2
    evil.txt -diff
    * export-subst
    * whitespace=-trailing
    sub/** filter=evil
    * merge=union
""")


def attributes(files: str) -> st.SearchStrategy[File]:
    return st.builds(
        lambda file, found, end: File(file, "".join(f"{line}{end}" for line in found), more=True),
        st.sampled_from(words(files)),
        st.lists(st.sampled_from(ATTRIBUTES), min_size=1, max_size=4),
        st.sampled_from(["\n", "\r\n", " \n"]),
    )


FILES = words("""
    evil.txt sub/x new --output=x HEAD config objects/x refs/x .mailmap .lfsconfig .envrc git.exe .GIT/config
    git~1/config .gitignore info/attributes é a.up sub/b.up :(top)x CON
""")
CONTENTS = ("evil\n", "", 3000 * "x", "\0\1\2", "a\r\nb\r\n", "no end", "$Id$\n", "*\n", "!*\n", "<<<<<<<\n")
PATCH = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
files = st.builds(
    lambda name, content: File(f"T/{name}", content),
    st.sampled_from([*FILES, "a\nb", "\udcff"]),
    st.sampled_from([*CONTENTS, PATCH]),
)
links_in_tree = st.builds(
    Link,
    st.sampled_from(words("T/new T/sub/l T/a.txt T/.gitattributes T/.gitignore T/.gitmodules T/gitconfig T/d")),
    st.sampled_from(words("{H} {H}/id_rsa {U}/mine {C} {C}/config /dev/null a.txt . .. nowhere {A}/a")),
)
INNER = words("""
    core.fsmonitor filter.x.clean core.hooksPath core.worktree diff.external core.sshCommand remote.origin.uploadpack
    alias.status include.path core.bare
""")
inner = st.builds(
    Repository,
    st.sampled_from(words("T/inner T/sub/inner T/lib")),
    st.lists(
        st.tuples(st.sampled_from(INNER), st.sampled_from(words("{TRAP} {A}/hooks {H} {A}/more true"))), max_size=4
    ).map(tuple),
)
submodules = st.sampled_from(
    [
        File("T/.gitmodules", '[submodule "x"]\n\tpath = inner\n\turl = ./inner\n\tupdate = !{TRAP}\n\tignore = all\n'),
        File("T/.gitmodules", '[submodule "../../hooks"]\n\tpath = lib\n\turl = ext::{TRAP}\n'),
    ]
)
removed = st.sampled_from([Gone("T/a.txt"), Gone("T/sub"), Gone("T/.gitignore")])

# --- What may damage the agent's own work, so that AURA may refuse it

GIT_FILES = words("""
    config HEAD index commondir gitdir logs/HEAD COMMIT_EDITMSG ORIG_HEAD MERGE_HEAD MERGE_MSG FETCH_HEAD
    CHERRY_PICK_HEAD BISECT_LOG rebase-merge/head-name sequencer/todo locked shallow packed-refs config.worktree
    info/exclude info/attributes info/grafts info/sparse-checkout objects/info/alternates objects/info/http-alternates
    objects/info/commit-graph refs/heads/work refs/heads/x refs/replace/x refs/stash refs/aura/saved refs/aura/kept
    refs/bisect/x logs/refs/heads/work logs/refs/heads/main logs/refs/aura/saved logs/refs/aura/kept logs/refs/stash
    logs logs/refs logs/refs/heads logs/refs/aura
    index.lock HEAD.lock packed-refs.lock config.lock refs/heads/main.lock aura-merge.lock gc.pid gc.log remotes/evil
    branches/evil worktrees/evil/HEAD worktrees/evil/gitdir worktrees/evil/commondir worktrees/evil/config.worktree
    worktrees/evil/index packed-refs.new sharedindex.x MERGE_RR AUTO_MERGE description next-index-1.lock rr-cache/x
    lfs/x modules/x/config modules/x/HEAD objects/pack/multi-pack-index NOTES_EDITMSG refs/aura/left/x
    rebase-merge rebase-apply sequencer aura-workspace.json aura-aside SQUASH_MSG MERGE_MODE
""")
POINTERS = lines("""
    {U}/other/.git
    {H}
    {C}
    {G}
    ../..
    {U}/mine/.git
    gitdir: {U}/other/.git
    gitdir: {C}
    gitdir: {H}/.git
    ref: refs/heads/main
    ref: refs/heads/dev
    ref: ../../x
    ref: refs/heads/work
    rubbish
    {H}/.git
    {COMMIT}
    {COMMIT} {COMMIT}
    {U}/other/.git/objects
    {COMMIT} refs/heads/work
    {A}
    0000000000000000000000000000000000000000
    {COMMIT} {COMMIT} A <a@b> 1 +0000\tcheckout: moving from {COMMIT} to x
    URL: ext::{TRAP}
    initializing
    [[[
""")
git_paths = st.sampled_from([f"{place}/{name}" for place in "CG" for name in GIT_FILES] + ["T/.git"])
git_files = st.builds(
    lambda path, content, more, end: File(path, f"{content}{end}", more=more),
    git_paths,
    st.sampled_from(POINTERS),
    st.booleans(),
    st.sampled_from(["\n", "", "\r\n", "\n\n"]),
)
TARGETS = words("""
    {H} {U}/logs {H}/new {H}/.profile {H}/id_rsa {H}/empty {U}/other/.git/config {U}/mine/kept {U}/other/file
    {U}/other/.git/packed-refs {U}/mine nowhere {A}/x /dev/null
""")
git_links = st.builds(Link, git_paths, st.sampled_from(TARGETS))
git_gone = git_paths.map(Gone)
marks = st.builds(Marks, st.booleans(), st.sampled_from([0, EXTENDED_FLAG_SKIP_WORKTREE, EXTENDED_FLAG_INTEND_TO_ADD]))
