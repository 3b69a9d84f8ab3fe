"""Noun: a part of the engine's facade, imported and made when it is first used."""

from importlib import import_module
from typing import Any, Generic, Self, TypeVar, overload

N = TypeVar("N")


class Noun(Generic[N]):
    """An attribute of the engine, or of a noun that uses another (`_tasks`): the class `Tasks` of the module `tasks`.

    It is made once for each core, on which all nouns of an engine work.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.lstrip("_")

    @overload
    def __get__(self, user: None, owner: type) -> Self: ...
    @overload
    def __get__(self, user: object, owner: type) -> N: ...
    def __get__(self, user: Any, owner: type) -> Any:
        if user is None:
            return self
        core = user._core  # noqa: SLF001 - the engine and its nouns have one
        if self._name not in core.nouns:
            module = import_module(f"{__package__}.{self._name}")
            core.nouns[self._name] = getattr(module, self._name.capitalize())(core)
        return core.nouns[self._name]
