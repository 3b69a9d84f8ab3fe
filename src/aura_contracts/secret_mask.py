"""Masking: known secret values are replaced in output before it is recorded. Pure.

The values are those of variables that hold secrets by their name, and passwords in URLs. What an agent or a script
writes in another way (encoded in base64, or character by character) is not recognised.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import TypeVar
from urllib.parse import quote

import msgspec

from aura_contracts.first_use import convert
from aura_contracts.output import Chunk, OutputSource
from aura_contracts.secrets import REDACTED, holds_secret, passwords_in

SHORTEST = 8
"""Characters of a value that is masked: shorter ones occur by chance."""

_UNSAFE = re.compile("[<>&]")
_UNSAFE_PLUS = re.compile("[<>&+'\"]")
_HEXADECIMAL = re.compile("%[0-9A-F]{2}")

_HEAD = 6
"""Characters of a secret at the end of a chunk that are taken for the beginning of it."""

T = TypeVar("T", bound=msgspec.Struct)


class SecretMask:
    """Masks the secrets of an environment.

    >>> SecretMask.of({"API_TOKEN": "3f9c2b7e1d"}).text("it is 3f9c2b7e1d")
    'it is [redacted]'
    """

    def __init__(self, values: Iterable[str], *, shortest: int = SHORTEST) -> None:
        known = {form for value in values for form in _forms(value) if len(form) >= shortest}
        self._texts = tuple(sorted(known, key=lambda text: (-len(text), text)))
        self._bytes = tuple(text.encode("utf-8", "surrogateescape") for text in self._texts)
        self._longest = max(map(len, self._bytes), default=0)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "SecretMask":
        """Return the mask for the secrets of `environment`."""
        values = [value for name, value in environment.items() if holds_secret(name) and not _is_path(value)]
        return cls([*values, *(one for value in environment.values() for one in passwords_in(value))])

    def __bool__(self) -> bool:
        return bool(self._texts)

    def text(self, text: str) -> str:
        """Return `text` without the secrets."""
        for secret in self._texts:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text

    def plain(self, value: object) -> object:
        """Return a JSON value without the secrets, in names too."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.plain(name): self.plain(one) for name, one in value.items()}
            case list():
                return [self.plain(one) for one in value]
        return value

    def struct(self, value: T) -> T:
        """Return a struct of plain data without the secrets."""
        if not self._texts:
            return value
        encoded = msgspec.json.encode(value)
        if not any(secret in encoded for secret in self._bytes):
            return value
        return convert(self.plain(msgspec.json.decode(encoded)), type(value))

    def raw(self, data: bytes) -> bytes:
        """Return bytes without the secrets."""
        for secret in self._bytes:
            if secret in data:
                data = data.replace(secret, REDACTED.encode())
        return data

    def split(self, before: bytes, data: bytes) -> tuple[bytes, bytes]:
        """Return `data`, which follows `before`, without the secrets, and what to give as `before` the next time.

        A secret that is split over several is masked in each part but the first, and there too unless that is short.
        """
        whole = before + data
        ends = [
            start + len(secret)
            for secret in self._bytes
            for start in range(len(before))
            if whole.startswith(secret, start)
        ]
        if end := max(ends, default=0):
            before, data = b"", REDACTED.encode() + whole[end:]
        masked = self.raw(data)
        joined = before + masked
        for length in range(min(self._longest - 1, len(joined)), 0, -1):
            head = joined[-length:]
            if any(secret.startswith(head) and len(secret) > length for secret in self._bytes):
                shown = masked[: max(0, len(masked) - length)]
                return (shown + REDACTED.encode() if length >= _HEAD and masked else masked), head
        return masked, b""


class OutputMask:
    """Masks the output of one process, chunk by chunk."""

    def __init__(self, mask: SecretMask) -> None:
        self._mask = mask
        self._before: dict[OutputSource, bytes] = {}

    def chunks(self, chunks: tuple[Chunk, ...]) -> tuple[Chunk, ...]:
        """Return the next chunks without the secrets: as many, with the same sources and times."""
        return tuple(self._chunk(chunk) for chunk in chunks) if self._mask else chunks

    def _chunk(self, chunk: Chunk) -> Chunk:
        raw = chunk.raw
        masked, self._before[chunk.source] = self._mask.split(self._before.get(chunk.source, b""), raw)
        return chunk if masked == raw else Chunk.of(chunk.source, chunk.time, masked)


def _forms(value: str) -> set[str]:
    """Return the ways in which a secret is written: see `_written`; of one with several lines, each line too."""
    lines = [line.strip() for line in value.splitlines()]
    found = {value, *lines} if len(lines) > 1 else {value}
    found |= {written for text in found for written in _written(text)}
    return {text for text in found if not text.startswith("-----")}


def _written(text: str) -> Iterator[str]:
    """Yield a secret in JSON (also within a text in JSON), in a URL, in HTML, and as a literal of a language."""
    in_json = json.dumps(text)[1:-1]
    yield from (in_json, json.dumps(in_json)[1:-1], in_json.replace("/", "\\/"))  # the last one by PHP
    yield _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", in_json)  # by Go
    yield _UNSAFE_PLUS.sub(lambda found: f"\\u{ord(found[0]):04X}", text.replace("\\", "\\\\"))  # by .NET
    yield from (escape(text), escape(text, quote=False), text.replace("\\", "\\\\"))
    if text.isascii():
        for whole in (quote(text, safe=""), quote(text)):
            yield from (whole, _HEXADECIMAL.sub(lambda found: found[0].lower(), whole))


def _is_path(value: str) -> bool:
    """Whether a variable that is named after a secret names the file that holds it."""
    last = value.rpartition("/")[2]
    return value.startswith(("/", "./", "~/")) and "." in last.strip(".")
