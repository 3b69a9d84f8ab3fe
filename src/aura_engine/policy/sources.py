"""Sources: which policies are in force for a task.

- The user's: ``policies.yaml`` in AURA's folder, for every task.
- The projects': ``.aura/policies.yaml`` of each repository that the task works on, in the checkout of the user. The
  worktree of the agent does not count: no agent writes the policy that it is judged by. Where it works in the checkout
  itself, that file approves nothing; what it said when the work was requested holds with what it says now, and a
  human looks at the changes if the two differ. A link is not followed: it could lead to a file that no human looked at.
- Callables of the embedding program, for what its engine asks.
- AURA's own: a human looks at every change of the folder of a project's policies.

A file is read when a question is asked, and again when it has changed, once it is whole: see
`aura_contracts.settled_files`. One with faults has a human asked each time.
Questions about the same files that are asked at the same time share one reading, in a worker thread.

Invariants of these readings:

- A reading begins after everyone who shares it has asked, so that none of them gets what a file said before.
- `_ahead` has the readings that have not begun, by their files. It changes only in the event loop.
- A reading whose first caller was cancelled, or got an error, gives nothing; the others read again.
"""

import errno
import os
import stat
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import BinaryIO
from unicodedata import category

import anyio
import anyio.lowlevel
import anyio.to_thread
import attrs

from aura_contracts.approval import ApprovalKind, PolicyRef, PolicyVerdict, WaitingTimes
from aura_contracts.errors import Fault, InvalidFile
from aura_contracts.permission import Fit
from aura_contracts.quoting import cut, one_line
from aura_contracts.secrets import redact_text
from aura_contracts.settled_files import FileStamp, read_settled
from aura_contracts.workspace import PolicyText, WorkspaceLayout
from aura_engine.policy.conditions import Condition, PolicySubject
from aura_engine.policy.rulebook import Policy, PolicyCallable, PolicyRule, Rulebook
from aura_engine.record.tally import Tally

USER_FILE = "policies.yaml"
"""In AURA's folder."""

PROJECT_FOLDER = ".aura"
"""In a repository."""

PROJECT_FILE = f"{PROJECT_FOLDER}/policies.yaml"
"""In a repository."""


def is_project_path(path: str) -> bool:
    """Return whether a path in a repository is that folder or in it, on file systems that fold names, too."""
    folder = "".join(letter for letter in path.partition("/")[0] if category(letter) != "Cf")
    return folder.casefold() == PROJECT_FOLDER


def _changes_policies(subject: PolicySubject) -> Fit:
    change = subject.evidence.change
    found = subject.kind is ApprovalKind.CHANGES and change is not None and change.policies > 0
    return Fit.YES if found else Fit.NO


OWN = Policy(
    PolicyRef("aura"),
    (
        PolicyRule(
            name="policies",
            verdict=PolicyVerdict.NEVER,
            conditions=(Condition("paths", {"any": [PROJECT_FOLDER, f"{PROJECT_FOLDER}/*"]}, _changes_policies),),
            because=f"it changes {PROJECT_FOLDER}, where {PROJECT_FILE} decides what needs no human",
        ),
    ),
)
"""AURA's own policy; in force where it matters."""

_CHANGED = Policy(
    PolicyRef("aura"),
    (
        PolicyRule(
            name="policies changed",
            verdict=PolicyVerdict.NEVER,
            conditions=(Condition("kind", (ApprovalKind.CHANGES,), lambda _: Fit.YES),),
            because=f"{PROJECT_FILE} is not as it was before the agent worked in the checkout",
        ),
    ),
)
"""Of work in place: the diff does not show a change of a file that git ignores."""


@attrs.frozen
class PolicyFile:
    """A policy file that is there: its policy, and the errors it has."""

    file: str
    policy: Policy
    faults: tuple[Fault, ...] = ()
    text: str | None = attrs.field(default=None, repr=False)
    """None if it has errors."""


@attrs.define(eq=False)
class _SharedReading:
    """A reading of policy files that callers share."""

    ended: anyio.Event = attrs.field(factory=anyio.Event)
    found: list[PolicyFile] | None = None
    """None until it has ended, and if it gave nothing."""


@attrs.define
class PolicySources:
    """The policies of the user, of projects and of the embedding program."""

    user: Path | None = None
    """The user's file."""
    project: Path | None = None
    """The folder whose file applies to tasks without repositories."""
    calls: Sequence[PolicyCallable] = ()
    tally: Tally | None = None
    """What humans decided about agents' work before; None: the policies do not know."""
    waiting: WaitingTimes = attrs.field(factory=WaitingTimes)
    """How long questions wait where the policies do not say."""
    _read: dict[Path, tuple[FileStamp, PolicyFile]] = attrs.field(factory=dict, init=False)
    _ahead: dict[tuple[Path, ...], _SharedReading] = attrs.field(factory=dict, init=False)

    async def book(self, workspace: WorkspaceLayout | None = None, *, for_call: bool = False) -> Rulebook:
        """Return the policies in force for a task with this workspace, with the record of agents.

        Of these, a tool call has to wait for only if a rule looks at it: agents make many.
        """
        files = await self.files(self._folders(workspace))
        user, projects = _parted(files, self.user)
        if workspace is not None and workspace.in_place:
            projects = self._in_place(workspace, projects)
        calls = (Policy(PolicyRef(name_of(call)), call=call) for call in self.calls)
        book = Rulebook((*user, *projects, *calls), waiting=self.waiting)
        if self.tally is None or (for_call and not book.looks_at("record")):
            return book
        return attrs.evolve(book, verdicts=await self.tally.current())

    async def book_of(self, folders: Sequence[str]) -> Rulebook:
        """Return the policies of files in force for a task on these repositories."""
        return Rulebook(tuple(one.policy for one in await self.files(folders)))

    async def files(self, folders: Sequence[str] | None = None) -> list[PolicyFile]:
        """Return the user's file and those of projects, by their folders; only those that exist.

        None means the folder that applies to tasks without repositories."""
        wanted = self._folders(None) if folders is None else folders
        paths = [*([] if self.user is None else [self.user]), *(Path(folder) / PROJECT_FILE for folder in wanted)]
        return await self._together(tuple(dict.fromkeys(paths)))

    async def _together(self, paths: tuple[Path, ...]) -> list[PolicyFile]:
        """Read files together with all who want the same ones before the reading begins."""
        while (reading := self._ahead.get(paths)) is not None:
            await reading.ended.wait()
            if reading.found is not None:
                return reading.found
        reading = self._ahead[paths] = _SharedReading()
        try:
            try:
                await anyio.lowlevel.checkpoint()
            finally:
                del self._ahead[paths]
            reading.found = await anyio.to_thread.run_sync(self._files, paths)
        finally:
            reading.ended.set()
        return reading.found

    async def texts(self, layout: WorkspaceLayout) -> tuple[PolicyText, ...]:
        """Return the policies of the projects that a workspace will be about."""
        files = await self.files(self._folders(layout))
        return tuple(PolicyText(one.file, one.text) for one in files if one.file != str(self.user))

    def _in_place(self, workspace: WorkspaceLayout, now: Sequence[Policy]) -> list[Policy]:
        """Return the policies of projects before the agent came and `now`; a human looks if they differ."""
        before = [self._said(one) for one in workspace.policies]
        refs = [policy.ref for policy in before]
        added = [policy for policy in now if policy.ref not in refs]
        changed = [] if refs == [policy.ref for policy in now] else [_CHANGED]
        every = [attrs.evolve(one, rules=_without_approval(one.rules)) for one in (*before, *added)]
        return [*every, *changed]

    def _said(self, one: PolicyText) -> Policy:
        path = Path(one.file)
        if one.text is None:
            broken = "the policy file had faults when the work was requested"
            return Policy(PolicyRef(str(path), str(path)), broken=broken)
        return _parsed(one.text.encode(), path, self._name(path)).policy

    async def require(self, folders: Sequence[str]) -> None:
        """Raise `InvalidFile` if the user's file or that of a project has faults: a run would stop at each question."""
        for one in await self.files(folders):
            if one.policy.broken:
                raise InvalidFile(field=one.file, faults=one.faults, remedy=f"see `aura policy validate {one.file}`")

    def _folders(self, workspace: WorkspaceLayout | None) -> list[str]:
        if workspace is None:
            return [] if self.project is None else [str(self.project)]
        return [repository.path for repository in workspace.repositories] or [workspace.root]

    def _files(self, paths: Sequence[Path]) -> list[PolicyFile]:
        return [found for path in paths if (found := self._file(path)) is not None]

    def _file(self, path: Path) -> PolicyFile | None:
        opened = partial(_opened, path, follow=path == self.user)
        try:
            with opened() as file:
                status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return _unreadable(path, "it is not a file")
            stamp = FileStamp.of(status)
            known = self._read.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            content = read_settled(opened, READ_LIMIT)
        except (FileNotFoundError, NotADirectoryError):
            if path == self.user:
                return _unreadable(path, "it is a link that leads to no file") if os.path.lexists(path) else None
            return _unreadable(path, _LINKED) if path.parent.is_symlink() else None
        except OSError as error:
            return _unreadable(path, _LINKED if error.errno == errno.ELOOP else f"{error.strerror or error}")
        found = _parsed(content, path, self._name(path))
        self._read[path] = (stamp, found)
        return found

    def _name(self, path: Path) -> str:
        return "user" if path == self.user else path.parent.parent.name or "project"


READ_LIMIT = 2_000_000
"""Bytes of a policy file that are read; `aura_engine.yaml_document` refuses fewer."""

_LINKED = "it is a link, or in one, which is not followed"


def _opened(path: Path, *, follow: bool) -> BinaryIO:
    """Open a file. Raises `OSError` if it or its folder is a link, unless with `follow`."""
    if follow:
        return path.open("rb")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    folder = os.open(path.parent, flags | os.O_DIRECTORY)
    try:
        return os.fdopen(os.open(path.name, flags, dir_fd=folder), "rb")
    finally:
        os.close(folder)


def _unreadable(path: Path, why: str) -> PolicyFile:
    fault = Fault(file=str(path), line=1, column=1, code="unreadable", message=why)
    return PolicyFile(str(path), _broken(path, [fault]), (fault,))


@lru_cache(16)
def _parsed(content: bytes, path: Path, name: str) -> PolicyFile:
    from aura_engine.policy.policy_file import read_policy  # noqa: PLC0415 - pydantic, only when a file exists

    read = read_policy(content, str(path), name)
    text = None if read.policy is None else content.decode()
    return PolicyFile(str(path), read.policy or _broken(path, read.faults), read.faults, text)


def _broken(path: Path, errors: Sequence[Fault]) -> Policy:
    return Policy(PolicyRef(str(path), str(path)), broken=f"the policy file has faults: {errors[0]}")


def _parted(files: Sequence[PolicyFile], user: Path | None) -> tuple[list[Policy], list[Policy]]:
    own = [one.policy for one in files if one.file == str(user)]
    return own, [one.policy for one in files if one.file != str(user)]


def _without_approval(rules: Sequence[PolicyRule]) -> tuple[PolicyRule, ...]:
    return tuple(rule for rule in rules if rule.verdict is not PolicyVerdict.APPROVE)


def name_of(call: PolicyCallable) -> str:
    """Return the name under which a callable is recorded."""
    return cut(one_line(redact_text(str(getattr(call, "__name__", type(call).__name__)))))
