"""First use: types are described to msgspec by one thread at a time.

msgspec describes a type when it is first used, and a thread that uses a half-made description crashes the interpreter.
Descriptions are shared, because types contain one another, so the lock is one for the whole process. Invariants:

- Every decoder is made, and every type is first converted to, while `_LOCK` is held; tests look for calls of msgspec
  that do not go by this module.
- Nothing else happens while it is held: no import and no code of others, which could wait for a thread that needs it.
- A described type is used without the lock: its description does not change any more.
- A process does not fork meanwhile: the child would inherit a half-made description, and a lock that is never released.
"""

import os
from threading import Lock
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_LOCK = Lock()
os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)

_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
"""By type, for types that are converted to; only their being there matters then."""


@overload
def json_decoder(kind: type[T]) -> msgspec.json.Decoder[T]: ...
@overload
def json_decoder(kind: Any) -> msgspec.json.Decoder[Any]: ...
def json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return a new decoder of JSON for a type."""
    with _LOCK:
        return msgspec.json.Decoder(kind)


@overload
def decode_json(data: bytes | str, kind: type[T]) -> T: ...
@overload
def decode_json(data: bytes | str, kind: Any) -> Any: ...
def decode_json(data: bytes | str, kind: Any) -> Any:
    """Return a value from JSON. Raises `msgspec.MsgspecError`."""
    return _described(kind).decode(data)


@overload
def convert(value: object, kind: type[T], *, strict: bool = True) -> T: ...
@overload
def convert(value: object, kind: Any, *, strict: bool = True) -> Any: ...
def convert(value: object, kind: Any, *, strict: bool = True) -> Any:
    """Return plain data as a value of a type. Raises `msgspec.ValidationError`."""
    _described(kind)
    return msgspec.convert(value, kind, strict=strict)


def _described(kind: Any) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders.setdefault(kind, json_decoder(kind))
    return decoder
