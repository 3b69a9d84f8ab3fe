"""The registry of executors: found by the entry point group ``aura.executors``, or given in code.

A plugin is imported when it is first requested. One that cannot be imported, or is not an executor, does not affect the
others: it is listed as unavailable, with the reason, and only a request for it by name raises an error.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from threading import Lock

from aura_contracts.errors import InvalidInput, UnknownExecutor
from aura_contracts.executor_names import EXECUTOR_ALIASES, executor_name
from aura_contracts.ports.executors import Availability, Capability, Executor, ExecutorInfo

GROUP = "aura.executors"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

_OWN = "aura-core"
"""AURA's own distribution; no other package replaces its executors."""


class ExecutorRegistry:
    """Finds executors by name. Those `given` in code go before those of installed packages.

    `plugins` are the entry points to use; None looks them up in the environment when they are first needed, which
    reads the metadata of all installed packages. May be used from several threads.
    """

    def __init__(self, given: Iterable[Executor] = (), *, plugins: Iterable[EntryPoint] | None = None) -> None:
        self._loaded: dict[str, Executor] = {}
        self._broken: dict[str, str] = {}
        self._plugins = None if plugins is None else _by_name(plugins)
        self._lock = Lock()
        for executor in given:
            if reason := _unfit(executor):
                raise InvalidInput(field="executors", reason=reason)
            if executor.name in self._loaded:
                raise InvalidInput(field="executors", reason=f"two executors are named {executor.name!r}")
            self._loaded[executor.name] = executor

    def names(self) -> tuple[str, ...]:
        """Return the names of all executors, sorted; those of broken plugins are among them."""
        return tuple(sorted({*self._loaded, *self._found()}))

    def get(self, name: str) -> Executor:
        """Return the executor of this name or alias. Raises `UnknownExecutor`, also when its plugin is broken."""
        name = executor_name(name)
        executor = self._load(name)
        if executor is not None:
            return executor
        known = tuple(other for other in self.names() if other not in self._broken)
        if reason := self._broken.get(name):
            raise UnknownExecutor(name=name, known=known, remedy=f"{reason}; repair or remove that package")
        close = get_close_matches(name.strip().lower(), (*known, *EXECUTOR_ALIASES), n=1)
        remedy = f"did you mean {executor_name(close[0])!r}?" if close else "`executors.list()` lists them"
        raise UnknownExecutor(name=name, known=known, remedy=remedy)

    def describe(self, names: Iterable[str] = (), *, environment: Mapping[str, str]) -> tuple[ExecutorInfo, ...]:
        """Describe the executors of these `names`, or all, for agents in this `environment`.

        Blocks: agents are looked up.

        Raises `UnknownExecutor` for an unknown name; broken plugins are described as unavailable.
        """
        return tuple(self._described(name, environment) for name in (tuple(names) or self.names()))

    def _described(self, name: str, environment: Mapping[str, str]) -> ExecutorInfo:
        name = executor_name(name)
        executor = self._load(name)
        if executor is None and name in self._broken:
            remedy = "repair or remove the package that offers it"
            lacking = Availability(available=False, reason=self._broken[name], remedy=remedy)
            return ExecutorInfo(name=name, summary="", capability=Capability(plan=False), availability=lacking)
        executor = executor or self.get(name)
        try:
            availability = executor.availability(environment)
        except Exception as error:  # noqa: BLE001 - a plugin's fault must not break listing the others
            availability = Availability(available=False, reason=f"the check failed: {_described_error(error)}")
        return ExecutorInfo(
            name=executor.name, summary=executor.summary, capability=executor.capability, availability=availability
        )

    def _found(self) -> Mapping[str, tuple[EntryPoint, ...]]:
        if self._plugins is None:
            self._plugins = _by_name(entry_points(group=GROUP))
        return self._plugins

    def _load(self, name: str) -> Executor | None:
        """Return the executor; None if the name is unknown or its plugin broken; the reason is recorded then."""
        with self._lock:
            if name not in self._loaded and name not in self._broken and name in self._found():
                try:
                    self._loaded[name] = _executor_of(name, self._found()[name])
                except _BrokenPlugin as broken:
                    self._broken[name] = str(broken)
            return self._loaded.get(name)


class _BrokenPlugin(Exception):
    pass


def _by_name(plugins: Iterable[EntryPoint]) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for plugin in plugins:
        found[plugin.name] = (*found.get(plugin.name, ()), plugin)
    return found


def _executor_of(name: str, plugins: tuple[EntryPoint, ...]) -> Executor:
    """Import the executor that the entry points of this name offer: a class, something else to call, or the object."""
    own = [plugin for plugin in plugins if plugin.dist is not None and plugin.dist.name == _OWN]
    values = sorted({plugin.value for plugin in own or plugins})
    if len(values) > 1:
        raise _BrokenPlugin(f"several packages offer it: {', '.join(values)}")
    plugin = next(plugin for plugin in own or plugins)
    try:
        offered = plugin.load()
        executor = offered if isinstance(offered, Executor) else offered()
    except (Exception, SystemExit) as error:  # whatever a plugin does when it is imported
        raise _BrokenPlugin(f"{plugin.value} could not be loaded: {_described_error(error)}") from error
    if reason := _unfit(executor):
        raise _BrokenPlugin(f"{plugin.value}: {reason}")
    if executor.name != name:
        raise _BrokenPlugin(f"{plugin.value}: it names itself {executor.name!r}, its entry point {name!r}")
    return executor


def _unfit(executor: object) -> str:
    """Return why `executor` is not usable, or an empty text."""
    if not isinstance(executor, Executor):
        return f"{executor!r} is not an Executor"
    name = getattr(executor, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return f"{name!r} is not a name: use lower-case letters, digits and hyphens, at most 64"
    return ""


def _described_error(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
