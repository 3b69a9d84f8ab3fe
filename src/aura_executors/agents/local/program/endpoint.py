"""Asks a server for chat completions over HTTP. One attempt at a time; `model_client` retries."""

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from aura_executors.agents.local.program.replies import BadReply, Collector, ModelReply, ServerError, message_of

ERROR_LIMIT = 65_536
"""Bytes of the body of an error that are read."""

LINE_LIMIT = 16 * 1024 * 1024
REPLY_LIMIT = 64 * 1024 * 1024
"""Bytes of a line, and of a whole answer. No model writes as much; a broken server may."""

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_OVERFLOW = re.compile(
    r"context.{0,3}(?:length|window|size)|maximum context|prompt is too long|too many (?:input )?tokens"
    r"|exceed\w* .{0,40}context",
    re.IGNORECASE,
)


class ModelFailed(Exception):
    """No answer. `again`: another attempt may bring one, `retry_after` seconds later if the server says when."""

    def __init__(
        self, message: str, *, status: int | None = None, again: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.again = again
        self.retry_after = retry_after

    @property
    def overflow(self) -> bool:
        """Whether the conversation is too long for the model."""
        return self.status in {None, 400, 413, 422, 500} and bool(_OVERFLOW.search(str(self)))


class Endpoint:
    """A server at a base URL such as ``http://127.0.0.1:11434/v1``. `timeout`: seconds without a byte from it."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        self._url = urlsplit(url)
        self._timeout = timeout
        self._headers = {"Content-Type": "application/json", "User-Agent": "aura", "Accept-Encoding": "identity"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def models(self) -> list[str]:
        """Return the names of the models that the server offers. Raises `ModelFailed`."""
        try:
            with self._response("GET", "/models") as response:
                offered = json.loads(_read(response, REPLY_LIMIT))
        except (BadReply, ValueError, RecursionError) as error:
            raise ModelFailed("the server's list of models cannot be read; give the option model") from error
        listed = offered.get("data") if isinstance(offered, dict) else None
        entries = listed if isinstance(listed, list) else []
        return [entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]

    def complete(self, body: dict[str, Any], tools: frozenset[str], keep_alive: Callable[[], None]) -> ModelReply:
        """Return the model's answer. Raises `ModelFailed`. `keep_alive` is called for each piece that arrives."""
        collector = Collector()
        try:
            with self._response("POST", "/chat/completions", json.dumps(body).encode()) as response:
                if "json" in response.headers.get("content-type", "").lower():
                    collector.feed(_read(response, REPLY_LIMIT))
                    collector.feed(b"[DONE]")
                else:
                    for data in _events(response):
                        collector.feed(data)
                        keep_alive()
            return collector.reply(tools)
        except BadReply as error:
            raise ModelFailed(str(error), again=True) from error
        except ServerError as error:
            again = error.status is None or error.status in _AGAIN
            raise ModelFailed(str(error), status=error.status, again=again) from error

    @contextmanager
    def _response(self, method: str, path: str, body: bytes | None = None) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        try:
            connection.request(method, self._url.path.rstrip("/") + path, body, self._headers)
            with connection.getresponse() as response:
                if response.status != 200:
                    raise self._failed(response)
                yield response
        except ssl.SSLCertVerificationError as error:
            raise ModelFailed(f"{self._url.geturl()}: its certificate is not valid: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise ModelFailed(f"{self._url.geturl()} cannot be reached: {reason}", again=True) from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._timeout)

    def _failed(self, response: http.client.HTTPResponse) -> ModelFailed:
        data = response.read(ERROR_LIMIT)
        try:
            said = message_of(json.loads(data))
        except (ValueError, RecursionError):
            said = data[:500].decode("utf-8", "replace").strip() or response.reason
        message = f"HTTP status {response.status}: {said}"
        if response.status == 404:
            message += f" (asked {self._url.geturl()}; most servers have their API under /v1)"
        after = seconds_until(response.headers.get("retry-after"), time.time())
        return ModelFailed(message, status=response.status, again=response.status in _AGAIN, retry_after=after)


def seconds_until(given: str | None, now: float) -> float | None:
    """Return what a header ``Retry-After`` says (RFC 9110, section 10.2.3), in seconds.

    >>> seconds_until("120", 0), seconds_until("Thu, 01 Jan 1970 00:01:00 GMT", 0), seconds_until("soon", 0)
    (120.0, 60.0, None)
    """
    if given is None:
        return None
    if given.strip().isdecimal() and len(given) < 12:
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _events(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yield the data of server-sent events (HTML standard, section 9.2.6); a bare object in a line counts as well."""
    data: list[bytes] = []
    read = 0
    while line := response.readline(LINE_LIMIT + 1):
        read += len(line)
        if len(line) > LINE_LIMIT or read > REPLY_LIMIT:
            raise BadReply(f"the server sent more than {LINE_LIMIT if len(line) > LINE_LIMIT else REPLY_LIMIT} bytes")
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line.startswith(b"{"):
            data.append(line)
        elif not line and data:
            yield b"\n".join(data)
            data.clear()
    if data:
        yield b"\n".join(data)


def _read(response: http.client.HTTPResponse, limit: int) -> bytes:
    data = response.read(limit + 1)
    if len(data) > limit:
        raise BadReply(f"the server sent more than {limit} bytes")
    return data
