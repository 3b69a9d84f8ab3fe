"""Errors on the wire: code, facts and remedy, out of which the other side makes the same error again.

Nothing is pickled and no class is named: an error is made by the class that has its `code` here, if its facts are of
the types they have here. Everything else becomes a `RemoteError` that keeps what came. Only blame turns round on the
way: what one side calls local is remote to the other.
"""

from collections.abc import Iterator
from typing import Any, get_type_hints

import msgspec

from aura_contracts.errors import (
    AuraError,
    FrameTooLarge,
    LocalProtocolError,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    UnknownMethod,
)
from aura_contracts.first_use import convert
from aura_worker_protocol.frames import AURA_ERROR, INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, ErrorObject

INTERNAL = "internal"
"""Code of what is not an `AuraError`: a program error."""

_NUMBERS: dict[type[AuraError], int] = {
    UnknownMethod: METHOD_NOT_FOUND,
    FrameTooLarge: INVALID_REQUEST,
    LocalProtocolError: INVALID_REQUEST,
    RemoteProtocolError: INVALID_REQUEST,
    ProtocolError: INVALID_REQUEST,
}

_SEEN_FROM_HERE = {
    LocalProtocolError.code: RemoteProtocolError.code,
    RemoteProtocolError.code: LocalProtocolError.code,
}
"""The code that an error of the other side has on this one, where that is another."""

UNENCODABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
"""What encoding raises for a value that JSON cannot hold."""


def error_object(error: BaseException, number: int | None = None) -> ErrorObject:
    """Return `error` as it travels; `number` is JSON-RPC's own code, where there is one that says more."""
    if not isinstance(error, AuraError):
        text = storable_text(f"{type(error).__name__}: {error}")
        return ErrorObject(code=number or INTERNAL_ERROR, message=text, data={"code": INTERNAL})
    facts = _storable(msgspec.to_builtins(error.facts(), enc_hook=str))
    data = {"code": error.code, "facts": facts, "remedy": storable_text(error.remedy)}
    if isinstance(error, RemoteError):  # passed on, it stays what it was
        data = {"code": error.remote_code, "facts": _storable(error.details), "remedy": storable_text(error.remedy)}
    number = number or _NUMBERS.get(type(error), AURA_ERROR)
    return ErrorObject(code=number, message=storable_text(error.message()), data=data)


def error_of(received: ErrorObject) -> AuraError:
    """Return the error that the other side had."""
    data = received.data or {}
    code, facts, remedy = data.get("code", str(received.code)), data.get("facts", {}), data.get("remedy", "")
    if isinstance(code, str) and isinstance(facts, dict) and isinstance(remedy, str):
        made = (_made(kind, facts, remedy) for kind in _kinds_of(_SEEN_FROM_HERE.get(code, code)))
        error = next((error for error in made if error is not None), None)
        return error or RemoteError(remote_code=code, reason=received.message, details=facts, remedy=remedy)
    return RemoteError(remote_code=str(received.code), reason=received.message, details=data)


def unsendable(error: BaseException, cause: BaseException) -> LocalProtocolError:
    """Return the error to send in place of `error`, which could not be sent because of `cause`."""
    return LocalProtocolError(reason=f"an error could not be sent: {type(error).__name__}: {type(cause).__name__}")


def unknown_method(method: str) -> UnknownMethod:
    return UnknownMethod(method=method, reason=f"there is no method {method!r} on this side")


def storable_text(text: str) -> str:
    r"""Return `text` with everything that is not a character (bytes of a file name, say, that are not UTF-8) escaped.

    >>> storable_text("caf\udce9")
    'caf\\xe9'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(_escaped(character) for character in text)
    return text


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return f"\\u{ord(character):04x}" if "\ud800" <= character <= "\udfff" else character


def _storable(value: object) -> Any:
    match value:
        case str():
            return storable_text(value)
        case dict():
            return {storable_text(str(name)): _storable(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_storable(inner) for inner in value]
        case _:
            return value


def _kinds_of(code: str) -> Iterator[type[AuraError]]:
    """Yield the classes of this code, those of the contracts first: an edge may use a code for an error of its own.

    Looked up again each time: a plugin may have brought its own.
    """
    found: list[type[AuraError]] = [AuraError]
    for kind in found:
        found += kind.__subclasses__()
    fitting = [kind for kind in found if kind.code == code]
    yield from sorted(fitting, key=lambda kind: not kind.__module__.startswith("aura_contracts."))


def _made(kind: type[AuraError], facts: dict[str, object], remedy: str) -> AuraError | None:
    """Return the error; None if the facts are not those that `kind` needs."""
    hints = get_type_hints(kind)
    try:
        fields = {name: convert(value, hints[name]) for name, value in facts.items() if name in kind.fact_names}
        error = kind(**fields, remedy=remedy)
    except (msgspec.ValidationError, TypeError):
        return None
    for name in facts.keys() - set(kind.fact_names):
        error.add_note(f"{name}: {facts[name]!r}")
    return error
