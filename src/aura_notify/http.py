"""HTTP: a POST that ends, and that reaches no address within the network unless that is allowed.

The address is judged where the connection is made, not where its name was looked up before: a name that means another
address at the second look-up, and a redirect, are judged like the first address (server-side request forgery, OWASP).
Of the answer only the beginning is read, so that one without an end holds up nothing.
"""

import ssl
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from datetime import datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from socket import SOCK_STREAM
from typing import cast
from urllib.parse import urljoin, urlsplit

import anyio
import anyio.to_thread
import attrs
import httpcore2

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.quoting import cut, one_line
from aura_contracts.secrets import redact_text
from aura_notify.masked import secrets_mask

REDIRECT_LIMIT = 3
"""Redirects that are followed."""

READ_LIMIT = 1024
"""Bytes of the answer that are read."""

RETRY_LIMIT = 24 * 3600.0
"""Seconds; a longer Retry-After counts as this."""

_SAME_METHOD = (307, 308)
"""The redirects after which a POST stays a POST (RFC 9110, sections 15.4.8 and 15.4.9)."""

_LATER = (408, 425, 429)
"""The statuses of requests that may succeed later; besides 5xx."""

_NAT64 = IPv6Network("64:ff9b::/96")

ERRORS = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.ProxyError,
    OSError,
    UnicodeError,
)
"""What a connection may raise; a UnicodeError for a name that cannot be a host's."""


@attrs.frozen
class HttpAnswer:
    """What the other side answered, as far as it is read."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, if the answer says so (RFC 9110, section 10.2.3)."""
        given = self.headers.get("retry-after", "").strip()
        if given.isascii() and given.isdecimal():
            return min(float(given[:9]), RETRY_LIMIT)
        moment, now = _date(given), _date(self.headers.get("date", ""))
        if moment is None or now is None:
            return None
        return min(max((moment - now).total_seconds(), 0.0), RETRY_LIMIT)


@attrs.frozen
class HttpSender:
    """Sends to one place. `private` allows addresses within the network; `ca` is a file of certificates to trust."""

    channel: str
    url: str = attrs.field(repr=False)
    private: bool = False
    ca: str | None = None
    _contexts: list[ssl.SSLContext] = attrs.field(factory=list, init=False, repr=False)
    """The one that was made, if any: reading all certificates of a system takes a while."""

    async def post(self, headers: Mapping[str, str], content: bytes) -> HttpAnswer:
        """Send a POST; return the answer if it is a success (2xx).

        Raises `DeliveryFailed` and `DeliveryRefused`, which do not name the address: it may be secret.
        """
        url = self.url
        for _ in range(REDIRECT_LIMIT + 1):
            answer = await self._attempt(url, headers, content)
            if answer.status not in _SAME_METHOD:
                break
            url = self._moved(url, answer)
        else:
            raise self._refused(f"it was redirected more than {REDIRECT_LIMIT} times")
        if 200 <= answer.status < 300:
            return answer
        raise self._error(url, answer)

    async def _attempt(self, url: str, headers: Mapping[str, str], content: bytes) -> HttpAnswer:
        guard = _Guard(self.channel, private=self.private)
        given = [("User-Agent", "AURA"), *headers.items(), ("Connection", "close")]
        try:
            context = await self._context() if urlsplit(url).scheme == "https" else None
            async with (
                httpcore2.AsyncConnectionPool(ssl_context=context, network_backend=guard) as pool,
                pool.stream("POST", url, headers=given, content=content) as response,
            ):
                body = b"" if 200 <= response.status < 300 else await _beginning(response)
        except ERRORS as error:
            raise DeliveryFailed(channel=self.channel, reason=_reason(error)) from error
        except httpcore2.UnsupportedProtocol:
            raise self._refused("its address is not one of http or https") from None
        names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return HttpAnswer(response.status, names, body)

    async def _context(self) -> ssl.SSLContext:
        if not self._contexts:
            self._contexts.append(await anyio.to_thread.run_sync(lambda: ssl.create_default_context(cafile=self.ca)))
        return self._contexts[0]

    def _moved(self, url: str, answer: HttpAnswer) -> str:
        target = urljoin(url, answer.headers.get("location", ""))
        if urlsplit(url).scheme == "https" and urlsplit(target).scheme != "https":
            raise self._refused("it was redirected from https to another protocol")
        return target

    def _error(self, url: str, answer: HttpAnswer) -> DeliveryFailed:
        shown, _ = secrets_mask((self.url, url)).split(b"", answer.body)  # before the body is cut: it may end in one
        body = redact_text(shown.decode("utf-8", "replace")).strip()
        said = f": {cut(one_line(body), 200)}" if body else ""
        status = answer.status
        if status in _LATER or status >= 500:
            reason = f"the other side answered {status}{said}"
            return DeliveryFailed(channel=self.channel, reason=reason, retry_after=answer.retry_after)
        if status == 410:
            return self._refused(f"the other side answered 410, there is no receiver any more{said}")
        if 300 <= status < 400:
            return self._refused(
                f"the other side answered {status}, which turns a POST into a GET; name the new address"
            )
        return self._refused(f"the other side answered {status}{said}")

    def _refused(self, reason: str) -> DeliveryRefused:
        return DeliveryRefused(channel=self.channel, reason=reason)


async def _beginning(response: httpcore2.Response) -> bytes:
    """Return the first bytes of a body."""
    found = b""
    async with aclosing(response.aiter_stream()) as chunks:
        async for chunk in chunks:
            found += chunk
            if len(found) >= READ_LIMIT:
                break
    return found[:READ_LIMIT]


def _any_network() -> httpcore2.AsyncNetworkBackend:
    return cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())  # its types allow for anyio to be missing


@attrs.define
class _Guard(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were judged, never to a name."""

    channel: str
    private: bool
    _network: httpcore2.AsyncNetworkBackend = attrs.field(factory=_any_network, init=False)
    """Works on trio, too."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of the library
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        found = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
        addresses = dict.fromkeys(str(one[4][0]) for one in found)
        allowed = [address for address in addresses if self.private or is_public(address)]
        if not allowed:
            reason = "its address, or one that it was redirected to, is within the network"
            remedy = "set `private: true` at the channel if it may be"
            raise DeliveryRefused(channel=self.channel, reason=reason, remedy=remedy)
        for address in allowed[:-1]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore2.ConnectError:
                continue
        return await self._network.connect_tcp(allowed[-1], port, timeout, local_address, socket_options)


def is_public(address: str) -> bool:
    """Whether an IP address can be reached by everyone, whichever way it is written."""
    found = ip_address(address.partition("%")[0])
    return all(one.is_global and not one.is_multicast for one in (found, *_embedded(found)))


def _embedded(found: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address leads to: mapped, by 6to4, by Teredo or by NAT64."""
    if isinstance(found, IPv4Address):
        return []
    inner = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
    if found in _NAT64:
        inner.append(IPv4Address(int(found) & 0xFFFF_FFFF))
    return [one for one in inner if one is not None]


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _reason(error: BaseException) -> str:
    return one_line(str(error) or type(error).__name__)
