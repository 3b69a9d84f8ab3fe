"""Endpoints: the URL of a service that speaks OpenAI's protocol."""

from urllib.parse import urlsplit

from aura_contracts.errors import InvalidInput

ENDPOINT_VARIABLE = "OPENAI_BASE_URL"
"""Names the endpoint where no option does, as for OpenAI's own clients."""


def endpoint_url(url: str, option: str) -> str:
    """Return `url`, with ``/v1`` added if it has no path. Raises `InvalidInput` about `option` for a malformed one.

    >>> endpoint_url("http://127.0.0.1:11434", "endpoint")
    'http://127.0.0.1:11434/v1'
    >>> endpoint_url("http://127.0.0.1:8080/api", "endpoint")
    'http://127.0.0.1:8080/api'
    """
    if reason := _unfit(url):
        raise InvalidInput(field=f"option {option}", reason=reason, remedy="such as http://127.0.0.1:11434/v1")
    return f"{url.rstrip('/')}/v1" if urlsplit(url).path in {"", "/"} else url


def _unfit(url: str) -> str:
    """Return why `url` cannot be an endpoint, or an empty text."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        return "is not a URL that begins with http:// or https:// and a host"
    if parts.username is not None or parts.query or parts.fragment:
        return "has more than scheme, host, port and path"
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "holds characters that a URL may not hold"
    return ""
