"""Option reader: validates options of executors by name and type. Pure."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.first_use import convert

T = TypeVar("T", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$\.?(?P<place>.*)`$")
"""Where msgspec reports a value of the wrong type: ``Expected `str`, got `int` - at `$.params[0]```."""


def read_options(executor: str, options: Mapping[str, object], kind: type[T]) -> T:
    """Return `options` as a `kind`, a struct whose fields are the executor's options with their defaults.

    Raises `InvalidInput` that names the option if it is unknown (with a suggestion), missing, or of the wrong type.
    """
    fields = {field.name: field.required for field in msgspec.structs.fields(kind)}
    for name in options:
        if name not in fields:
            raise _unknown(executor, name, list(fields))
    for name, required in fields.items():
        if required and name not in options:
            reason = f"executor {executor} requires it"
            raise InvalidInput(field=f"option {name}", reason=reason, remedy=f"add {name} to the options")
    try:
        return convert(dict(options), kind)
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        field = f"option {place['place']}" if place else "options"
        reason = _PLACE.sub("", str(error)).replace("`", "")
        raise InvalidInput(field=field, reason=reason[:1].lower() + reason[1:]) from error


def _unknown(executor: str, name: str, known: list[str]) -> InvalidInput:
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    remedy = f"{meant}its options are {', '.join(known)}" if known else "leave it out; it has no options"
    return InvalidInput(field=f"option {name}", reason=f"executor {executor} has no such option", remedy=remedy)
