"""Fingerprints: they identify a tool call, so that the same call is recognised after a restart."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec


def fingerprint_of(tool: str, arguments: Mapping[str, object]) -> str:
    """Return the digest of a call: equal for the same tool and arguments, regardless of their order.

    `arguments` are JSON values. Leave out anything that differs when the agent asks again, such as ids and times.

    >>> fingerprint_of("Bash", {"a": 1, "b": 2}) == fingerprint_of("Bash", {"b": 2, "a": 1})
    True
    """
    return sha256(msgspec.json.encode([tool, dict(arguments)], order="sorted")).hexdigest()[:32]
