"""Values: the types of arguments, for `argparse`. Each raises `ArgumentTypeError` with what was expected."""

from argparse import ArgumentTypeError


def count(text: str) -> int:
    """Return a number from 0 up, such as a position of the log."""
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def number(text: str) -> int:
    """Return a number from 1 up."""
    if count(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def seconds(text: str) -> float:
    """Return a time in seconds, above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


def pair(text: str) -> tuple[str, str]:
    """Return a name and a value that are written ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ArgumentTypeError(f"{text!r} is not written NAME=VALUE")
    return name.strip(), value


def setting(text: str) -> tuple[str, object]:
    """Return a name and a value that are written ``NAME=VALUE``: a value that is JSON is decoded."""
    import msgspec

    name, value = pair(text)
    try:
        decoded: object = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value
    return name, decoded


def truth(text: str) -> bool:
    """Return what ``true`` and ``false`` mean."""
    if text not in ("true", "false"):
        raise ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"
