"""The base of all errors: facts by name, one sentence for people, a code for programs."""

from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, Self, dataclass_transform

from aura_contracts.quoting import bounded


@dataclass_transform(kw_only_default=True, eq_default=False)
class _Facts(Exception):
    """Facts, declared as annotations and given by name, as in a dataclass. Texts are bounded (`ERROR_LIMIT`).

    One initialiser serves all classes: there are many, and every command would pay for generating theirs. A class is
    refused with a TypeError if a fact has the name of anything else in it, or a mutable default that they would share.
    """

    fact_names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        declared = [name for name, kind in cls.__annotations__.items() if "ClassVar" not in str(kind)]
        for name in declared:
            if name not in cls.fact_names and hasattr(cls.__base__, name):
                raise TypeError(f"{cls.__name__}.{name} cannot be a fact: every error has a {name} of its own")
            if getattr(cls, name, None).__hash__ is None:
                raise TypeError(f"the default of {cls.__name__}.{name} is mutable; require the fact, or use a tuple")
        cls.fact_names = tuple(dict.fromkeys((*cls.fact_names, *declared)))

    def __init__(self, **facts: object) -> None:
        super().__init__()
        unknown = facts.keys() - set(self.fact_names)
        missing = [name for name in self.fact_names if name not in facts and not hasattr(type(self), name)]
        if unknown or missing:
            wrong = [f"does not have {', '.join(sorted(unknown))}"] if unknown else []
            wrong += [f"needs {', '.join(missing)}"] if missing else []
            raise TypeError(f"{type(self).__name__} {' and '.join(wrong)}")
        self.__dict__.update({name: _bounded(value) for name, value in facts.items()})


def _bounded(fact: object) -> object:
    """Return a fact; of a long text, such as the output of a program, both ends."""
    return bounded(fact) if isinstance(fact, str) else fact


class _Anything:
    """Stands for the value of a fact, whatever its type."""

    def __format__(self, spec: str) -> str:
        return ""

    def __getattr__(self, name: str) -> "_Anything":
        return self

    def __getitem__(self, key: object) -> "_Anything":
        return self


_ANYTHING = _Anything()


class Recovery(Enum):
    """What it takes for the same request to succeed after an error."""

    LATER = "later"
    """Time: it may succeed without changes."""
    HUMAN = "human"
    """A human who removes the cause: a retry without one is futile."""
    UNKNOWN = "unknown"


class AuraError(_Facts):
    """Base of all of AURA's errors. A subclass names its code and declares its facts:

    class DiskSlow(AuraError, code="disk_slow"):
        summary = "{path} took {seconds:.1f} s"
        path: str
        seconds: float
    """

    code: ClassVar[str] = "aura"
    """A stable name for programs, never renamed and never reused."""
    recovery: ClassVar[Recovery] = Recovery.UNKNOWN
    summary: ClassVar[str] = ""
    """The message, with the facts in braces."""
    remedy: str = ""

    def __init_subclass__(cls, *, code: str) -> None:
        super().__init_subclass__()
        cls.code = code
        try:
            cls.summary.format_map(dict.fromkeys(cls.fact_names, _ANYTHING))
        except (KeyError, ValueError) as error:
            raise TypeError(f"{cls.__name__}.summary must have facts in braces, not {cls.summary!r}: {error}") from None

    def message(self) -> str:
        """Return what happened, without the remedy."""
        return self.summary.format_map(self.facts()) or self.code

    def facts(self) -> dict[str, Any]:
        """Return the error's facts by name, without the remedy, for programs and for ``--json``."""
        return {name: getattr(self, name) for name in self.fact_names if name != "remedy"}

    def __str__(self) -> str:
        return f"{self.message()}; {self.remedy}" if self.remedy else self.message()

    def __repr__(self) -> str:
        facts = {**self.facts(), "remedy": self.remedy}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in facts.items())})"

    def __reduce__(self) -> tuple[Callable[..., "AuraError"], tuple[object, ...]]:
        """Support `pickle` and `copy`, which by default would call the class with positional arguments."""
        return _made_again, (type(self), self.__dict__)

    def replaced(self, **facts: Any) -> Self:
        """Return a copy with other facts, or another remedy. Raises TypeError for names that it does not have."""
        return type(self)(**{name: getattr(self, name) for name in self.fact_names} | facts)


def _made_again(kind: type[AuraError], fields: dict[str, object]) -> AuraError:
    error = kind.__new__(kind)
    error.__dict__.update(fields)
    return error
