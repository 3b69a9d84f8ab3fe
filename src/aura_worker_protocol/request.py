"""Request and result: the bases of all messages, which tie each request to its result and to its direction.

What a port returns is a result as it is; results that exist only between engine and worker are based on `Result`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar, get_args

import msgspec

from aura_contracts.plain_data import Plain


class Result(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """Base of results that no port returns; by itself: done."""


R_co = TypeVar("R_co", bound=msgspec.Struct, covariant=True)


class Request(msgspec.Struct, Generic[R_co], frozen=True, kw_only=True):
    """Base of all requests. `method` is the name on the wire; `result` is the type that the request is based on."""

    method: ClassVar[str]
    result: ClassVar[type[msgspec.Struct]]
    lane_field: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        (result,) = get_args(cls.__dict__["__orig_bases__"][0])
        if isinstance(result, type):  # a variable in the two below
            cls.result = result

    @property
    def lane(self) -> str:
        """Requests of one lane run one after another, in the order in which they were sent; empty: at once."""
        return str(getattr(self, self.lane_field)) if self.lane_field else ""


class ToWorker(Request[R_co], frozen=True, kw_only=True):
    """Base of the requests that a worker carries out."""


class ToEngine(Request[R_co], frozen=True, kw_only=True):
    """Base of the requests that an engine carries out."""


def by_method(direction: type[Request[Any]]) -> Mapping[str, type[Request[Any]]]:
    """Return the requests of a direction."""
    return MappingProxyType({kind.method: kind for kind in direction.__subclasses__()})
