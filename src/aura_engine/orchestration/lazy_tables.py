"""Lazy tables: what expressions read part by part, without a copy of all of it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import attrs


class Lazy(ABC):
    """A table whose parts are found when they are read."""

    @abstractmethod
    def names(self) -> Sequence[str]:
        """Return the names of its parts."""

    @abstractmethod
    def part(self, name: str) -> object:
        """Return a part: plain data, a `Lazy`, or an `AbsentValue`. Raises KeyError for unknown names."""

    def hint(self, name: str) -> str:
        """Return why a name is unknown; empty if there is nothing to add."""
        return ""


@attrs.frozen
class AbsentValue:
    """The output of a step that has none: to test for it is possible, to use it is not."""

    source: str
    """The address of the step."""
    status: str
