"""Service URL: the address of a service with OpenAI's interface, as people write it."""

from urllib.parse import urlsplit

from aura_contracts.errors import InvalidInput

_REMEDY = "give a URL such as http://127.0.0.1:11434/v1"


def base_url_of(url: str, field: str) -> str:
    """Return the base URL of a service; one without a path gets ``/v1``, where such services are found.

    Raises `InvalidInput` about `field` for anything else than a scheme, a host, a port and a path.

    >>> base_url_of("http://127.0.0.1:1234", "option endpoint"), base_url_of("http://gpu/api/", "option endpoint")
    ('http://127.0.0.1:1234/v1', 'http://gpu/api')
    """
    if reason := _unfit(url):
        raise InvalidInput(field=field, reason=reason, remedy=_REMEDY)
    base = url.rstrip("/")
    return base if urlsplit(base).path else f"{base}/v1"


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
