"""Fingerprints: by what a tool call is known again, when an agent asks for the same one after a restart."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec


def fingerprint_of(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return the digest of a call: the same for the same tool and arguments, in whatever order they are given.

    `arguments` are JSON values, and only what the call is about: no ids or times that differ when it is asked again.

    >>> fingerprint_of("Bash", {"a": 1, "b": 2}) == fingerprint_of("Bash", {"b": 2, "a": 1})
    True
    """
    return sha256(msgspec.json.encode([tool, dict(arguments)], order="sorted")).hexdigest()[:32]
