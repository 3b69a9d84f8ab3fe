"""One repository or worktree, seen through git commands: objects, refs and history, and who commits."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import copy2
from tempfile import TemporaryDirectory

from aura_contracts.errors import GitFailed, RefChanged, UnknownRevision
from aura_contracts.ports.git import Identity
from aura_git import _layout
from aura_git._branch_names import is_valid_ref
from aura_git._command import Command, Completed
from aura_git._environment import repository_settings
from aura_git._parsing import parse_config, paths

_SINGLE = re.compile(r"[^\x00\n]+")


def message_bytes(message: str) -> bytes:
    """Return `message` as it is stored. What was no UTF-8 when it was read is that again."""
    try:
        return message.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which no bytes stand for
        return message.encode("utf-8", "replace")


@dataclass(frozen=True)
class Repository:
    """A repository at `path`, for the length of one call of the port: what is read of its configuration is kept."""

    command: Command
    path: str
    identity: Identity

    def git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        codes: Collection[int] = (0,),
        variables: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> Completed:
        """Run a git command that reads or writes objects and refs."""
        return self.command.run(self.path, *arguments, stdin=stdin, codes=codes, variables=variables, limit=limit)

    def on_files(
        self,
        *arguments: str,
        stdin: bytes = b"",
        codes: Collection[int] = (0,),
        variables: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> Completed:
        """Run a git command that compares, merges or writes files.

        With the line ends that the repository itself asks for, and without anybody's merge drivers.
        """
        return self._files_command.run(
            self.path, *arguments, stdin=stdin, codes=codes, variables=variables, limit=limit
        )

    def at(self, path: str) -> "Repository":
        """Return another worktree."""
        return Repository(self.command, path, self.identity)

    # --- Configuration ------------------------------------------------------------------------------------------------

    @cached_property
    def _config(self) -> list[tuple[str, str, str]]:
        return parse_config(self.git("config", "--list", "-z", "--show-scope").out)

    @cached_property
    def _files_command(self) -> Command:
        return self.command.configured(repository_settings(self._config))

    @cached_property
    def author(self) -> dict[str, str]:
        """Environment variables that say who commits: the configured user; AURA where there is none."""
        known = {key: value for _, key, value in self._config if value}
        whole = "user.name" in known and "user.email" in known
        name = known["user.name"] if whole else self.identity.name
        email = known["user.email"] if whole else self.identity.email
        return {
            "GIT_AUTHOR_NAME": known.get("author.name", name),
            "GIT_AUTHOR_EMAIL": known.get("author.email", email),
            "GIT_COMMITTER_NAME": known.get("committer.name", name),
            "GIT_COMMITTER_EMAIL": known.get("committer.email", email),
        }

    # --- Places -------------------------------------------------------------------------------------------------------

    @cached_property
    def git_dir(self) -> str:
        return _layout.git_dir(self.path)

    @cached_property
    def common_dir(self) -> str:
        return _layout.common_dir(self.git_dir)

    # --- Objects and history ------------------------------------------------------------------------------------------

    def resolve(self, revision: str) -> str:
        if not _SINGLE.fullmatch(revision) or revision.startswith("-"):
            raise UnknownRevision(repository=self.path, revision=revision)
        done = self.git("rev-parse", "--verify", "-q", "--end-of-options", f"{revision}^{{commit}}", codes=range(256))
        if done.code == 0:
            return done.text
        failure = self.command.failure(self.path, ["rev-parse"], done)
        if done.code == 1 or (type(failure) is GitFailed and not failure.remedy):
            raise UnknownRevision(repository=self.path, revision=revision)
        raise failure

    def tree(self, commit: str) -> str:
        """Return the tree of a commit."""
        return self.git("rev-parse", "--verify", "-q", "--end-of-options", f"{commit}^{{tree}}").text

    def head(self) -> str | None:
        """Return the commit of HEAD, None when there is none yet."""
        done = self.git("rev-parse", "--verify", "-q", "HEAD^{commit}", codes=(0, 1))
        return done.text if done.code == 0 else None

    def empty_tree(self) -> str:
        return self.git("hash-object", "-t", "tree", "-w", "--stdin").text

    def commit_tree(self, tree: str, parents: Iterable[str], message: str) -> str:
        """Write a commit in the name of the configured user, or of AURA."""
        arguments = [argument for parent in parents for argument in ("-p", parent)]
        text = message_bytes(message)
        return self.git("commit-tree", tree, *arguments, "-F", "-", stdin=text, variables=self.author).text

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the best common ancestor of two commits that are known to exist."""
        done = self.git("merge-base", one, other, codes=(0, 1))
        return done.text if done.code == 0 else None

    def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        """Whether one commit that is known to exist contains another."""
        return self.git("merge-base", "--is-ancestor", ancestor, descendant, codes=(0, 1)).code == 0

    def changed_paths(self, old: str, new: str, kinds: str = "") -> list[str]:
        """Return the paths of files that differ between two trees; `kinds` as in ``--diff-filter``."""
        chosen = [f"--diff-filter={kinds}"] if kinds else []
        return paths(self.git("diff-tree", "-r", "-z", "--no-renames", "--name-only", *chosen, old, new).out)

    # --- Refs ---------------------------------------------------------------------------------------------------------

    def require_ref(self, ref: str) -> None:
        """Raise unless `ref` is the full name of a ref (or HEAD)."""
        if not (ref == "HEAD" or (ref.startswith("refs/") and is_valid_ref(ref))):
            raise GitFailed(
                repository=self.path,
                command="git update-ref",
                reason=f"{ref!r} is not the full name of a ref",
                remedy="give a name such as refs/heads/main",
            )

    def find_ref(self, ref: str) -> str | None:
        done = self.git("show-ref", "--verify", "--hash", "--", ref, codes=(0, 128))
        if done.code == 0:
            return done.text
        if "not a valid ref" in done.err:
            return None
        raise self.command.failure(self.path, ["show-ref"], done)

    def list_refs(self, prefix: str) -> dict[str, str]:
        folder = prefix.rpartition("/")[0]
        listed = self.git("for-each-ref", "--format=%(objectname) %(refname)", *([folder] if folder else []))
        pairs = (line.split(" ", 1) for line in listed.text.split("\n") if line)
        return {name: target for target, name in pairs if name.startswith(prefix)}

    def update_ref(self, ref: str, new: str | None, expected: str | None, message: str) -> None:
        """Move `ref` from `expected` to `new` by compare-and-swap; None: no such ref. Raises `RefChanged`."""
        note = " ".join(message.split()) or "aura"
        if new is None and expected is None:
            actual = self.find_ref(ref)
            if actual is not None:
                raise RefChanged(repository=self.path, ref=ref, expected=None, actual=actual)
            return
        change = [ref, new, expected or ""] if new is not None else ["-d", ref, expected or ""]
        done = self.git("update-ref", "--no-deref", "-m", note, *change, codes=range(256), variables=self.author)
        if done.code == 0:
            return
        actual = self.find_ref(ref)
        if actual != expected:
            raise RefChanged(repository=self.path, ref=ref, expected=expected, actual=actual)
        if "nonexistent object" in done.err or "not a valid SHA1" in done.err or "non-commit object" in done.err:
            raise UnknownRevision(repository=self.path, revision=new or "")
        raise self.command.failure(self.path, ["update-ref"], done)

    # --- The index ----------------------------------------------------------------------------------------------------

    @contextmanager
    def scratch_index(self) -> Iterator[dict[str, str]]:
        """Give environment variables with which git works on a copy of the index.

        The copy keeps the time of the original, by which git knows which files it must look into.
        """
        with TemporaryDirectory(prefix="aura-index-") as folder:
            copy = Path(folder) / "index"
            original = Path(self.git_dir) / "index"
            if original.exists():
                copy2(original, copy)
            yield {"GIT_INDEX_FILE": str(copy)}

    @contextmanager
    def scratch_objects(self) -> Iterator[dict[str, str]]:
        """Give environment variables with which new objects are written to a place that is removed at the end.

        It is called so that ``git gc`` removes what a crash leaves of it.
        """
        objects = str(Path(self.common_dir) / "objects")
        with TemporaryDirectory(prefix="tmp_objdir-aura-", dir=objects) as folder:
            escaped = objects.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield {"GIT_OBJECT_DIRECTORY": folder, "GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{escaped}"'}
