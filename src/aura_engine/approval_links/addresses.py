"""Addresses: where the pages of links are. Pure.

A token says nothing about the place it is opened at: the same one opens the page behind any proxy, at any prefix of the
path, whether or not the proxy removes that prefix.
"""

from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from aura_contracts.errors import InvalidInput

FOLDER = "links"
"""The part of the path before the token."""

_REMEDY = "give the address of this installation, such as https://aura.example.org/team"


def base_url_of(text: str, field: str = "base_url") -> str:
    """Return a base URL without a slash at its end. Raises `InvalidInput`.

    It is https; http is for this machine alone, because everyone on the way could read the link and use it.
    """
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port out of range
    except ValueError as error:
        raise InvalidInput(field=field, reason=f"it is not a URL: {error}", remedy=_REMEDY) from None
    if problem := _problem(text, parts):
        raise InvalidInput(field=field, reason=problem, remedy=_REMEDY)
    return text.rstrip("/")


def _problem(text: str, parts: SplitResult) -> str | None:
    if not text.isprintable() or " " in text or not parts.hostname or parts.scheme not in ("http", "https"):
        return "it is not a URL that begins with https:// and a host"
    if parts.scheme == "http" and not is_local(parts.hostname):
        return "with http, everyone on the way could read a link and use it"
    if "@" in parts.netloc:
        return "it has a name or a password in it"
    if "?" in text or "#" in text:
        return "it has a query or a fragment"
    return None


def is_local(host: str) -> bool:
    """Whether a host is this machine: what is sent there cannot be read on the way."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(base_url: str, token: str) -> str:
    """Return the URL at which a link is opened."""
    return f"{base_url}/{FOLDER}/{token}"


def token_in(text: str) -> str:
    """Return the token in a URL, in the path of one, or as it is; whatever a mail program put around it."""
    bare = text.strip().strip("<>\"'")
    if "/" not in bare:
        return unquote(bare)
    path = bare.partition("?")[0].partition("#")[0]
    return unquote(path.rstrip("/").rpartition("/")[2])
