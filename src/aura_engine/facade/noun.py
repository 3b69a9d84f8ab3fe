"""Noun: a part of the engine's facade, imported and made when it is first used."""

from importlib import import_module
from typing import Any, Generic, Self, TypeVar, overload

N = TypeVar("N")


class Noun(Generic[N]):
    """An attribute of `Engine`: the class `Tasks` of the module `tasks`, made once for the engine's core."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, engine: None, owner: type) -> Self: ...
    @overload
    def __get__(self, engine: object, owner: type) -> N: ...
    def __get__(self, engine: Any, owner: type) -> Any:
        if engine is None:
            return self
        module = import_module(f"{__package__}.{self._name}")
        noun = getattr(module, self._name.capitalize())(vars(engine)["_core"])
        vars(engine)[self._name] = noun  # where the next look-up finds it
        return noun
