"""Profiles: named options of executors, in TOML files that build on one another.

    # profiles.toml
    [claude.default]            # every run of the executor claude
    model = "sonnet"

    [claude.careful]            # aura run --executor claude --variant careful
    description = "asks before everything"
    permission_mode = "default"
    env = { BASH_DEFAULT_TIMEOUT_MS = "60000" }

A table names an executor, or an alias of one, and a variant, and holds options of that executor. Files are read in this
order, and later ones override earlier ones: AURA's built-in file, the user's (``profiles.toml`` in AURA's folder), the
project's (``.aura/profiles.toml`` in the repository). The agent's options override the variant's, and the task's
override both. Tables in options (`env`) are merged name by name; everything else is replaced.

A project is the code of other people, and of agents: its file may choose the model and the prompts (`PROJECT_OPTIONS`).
Only the user decides which program runs, what it may do without asking, and where it sends what it reads.
"""

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.executor_names import executor_name
from aura_contracts.secrets import require_no_secrets
from aura_contracts.settled_files import read_settled

DEFAULT = "default"
"""The variant that every run of an executor begins with."""

PROJECT_OPTIONS = frozenset(
    {
        *("model", "reasoning_effort", "reasoning_summary", "think", "temperature", "context_tokens"),
        *("append_prompt", "append_system_prompt", "system_prompt", "max_turns", "max_tokens"),
    }
)
"""Options of any executor that a project's file may set."""

SIZE_LIMIT = 1_048_576
"""Maximum bytes of a file."""


@attrs.frozen
class Profile:
    """A variant of an executor: its options, and the files that they come from."""

    executor: str
    variant: str
    description: str = ""
    options: Mapping[str, Any] = attrs.field(factory=dict)
    sources: tuple[str, ...] = ()


@attrs.frozen
class Profiles:
    """All profiles, merged."""

    _known: Mapping[tuple[str, str], Profile] = attrs.field(factory=dict)

    def __iter__(self) -> Iterator[Profile]:
        return iter(self._known.values())

    def variants(self, executor: str) -> tuple[str, ...]:
        """Return the names of the variants of an executor."""
        return tuple(sorted(variant for name, variant in self._known if name == executor))

    def sources(self, executor: str, variant: str | None, option: str) -> tuple[str, ...]:
        """Return the files whose profiles set an option of a run."""
        profiles = (self._known.get((executor, one or DEFAULT)) for one in (DEFAULT, variant))
        named = (one.sources for one in profiles if one is not None and option in one.options)
        return tuple(dict.fromkeys(source for sources in named for source in sources))

    def options(self, executor: str, variant: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a run: those of the default variant, overridden by the variant's and then by `given`.

        Raises `InvalidInput` for an undefined variant."""
        layers = []
        if (default := self._known.get((executor, DEFAULT))) is not None:
            layers.append(default.options)
        if variant not in (None, "", DEFAULT):
            found = self._known.get((executor, str(variant)))
            if found is None:
                known = ", ".join(self.variants(executor)) or "none"
                remedy = f"there are: {known}; define it in profiles.toml as [{executor}.{variant}]"
                raise InvalidInput(field="variant", reason=f"{executor} has no variant {variant!r}", remedy=remedy)
            layers.append(found.options)
        return _merged(*layers, given)


@attrs.define
class ProfileFiles:
    """The profiles of the user and of a project, read when they are first needed."""

    user: Path | None = None
    project: Path | None = None
    _loaded: Profiles | None = attrs.field(default=None, init=False)

    async def load(self) -> Profiles:
        """Return the profiles, always the same. Raises `InvalidInput` for an invalid file."""
        if self._loaded is None:
            self._loaded = await anyio.to_thread.run_sync(load_profiles, self.user, self.project)
        return self._loaded


def load_profiles(user: Path | None = None, project: Path | None = None) -> Profiles:
    """Return the built-in profiles, overridden by those in these files; a missing file counts as empty.

    Raises `InvalidInput`, which names the file and the field."""
    known: dict[tuple[str, str], Profile] = {}
    built_in = tomllib.loads(files("aura_engine").joinpath("profiles.toml").read_text(encoding="utf-8"))
    _add(known, built_in, "built-in profiles.toml", trusted=True)
    for path, trusted in ((user, True), (project, False)):
        if path is not None and (data := read_file(path)) is not None:
            from aura_engine._profile_file import parse  # noqa: PLC0415 - pydantic, only when a file exists

            _add(known, parse(data, str(path)), str(path), trusted=trusted)
    return Profiles(MappingProxyType(known))


def read_file(path: Path) -> bytes | None:
    """Return the content of a settings file, None if it does not exist. Raises `InvalidInput`."""
    if path.exists() and not path.is_file():  # reading a pipe would not end
        raise InvalidInput(field=str(path), reason="it is not a file")
    try:
        data = read_settled(path, SIZE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidInput(field=str(path), reason=f"it cannot be read: {error.strerror}") from error
    if len(data) > SIZE_LIMIT:
        raise InvalidInput(field=str(path), reason=f"it is larger than {SIZE_LIMIT} bytes")
    return data


def _add(
    known: dict[tuple[str, str], Profile], tables: Mapping[str, Mapping[str, Any]], source: str, *, trusted: bool
) -> None:
    for executor, variants in tables.items():
        for variant, given in variants.items():
            options = {name: value for name, value in given.items() if name != "description"}
            field = f"{source}: {executor}.{variant}"
            require_no_secrets(options, field)
            if not trusted and (named := sorted(options.keys() - PROJECT_OPTIONS)):
                reason = f"a project may only set {', '.join(sorted(PROJECT_OPTIONS))}"
                remedy = "put it into profiles.toml in AURA's own folder, if you trust it"
                raise InvalidInput(field=f"{field}.{named[0]}", reason=reason, remedy=remedy)
            name = executor_name(executor)
            before = known.get((name, variant), Profile(name, variant))
            known[name, variant] = Profile(
                name,
                variant,
                given.get("description") or before.description,
                MappingProxyType(_merged(before.options, options)),
                (*before.sources, source),
            )


def _merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            before = merged.get(name)
            if isinstance(before, Mapping) and isinstance(value, Mapping):
                merged[name] = _merged(before, value)
            else:
                merged[name] = value
    return merged
