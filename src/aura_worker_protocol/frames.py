"""Frames: JSON-RPC 2.0 as bytes (https://www.jsonrpc.org/specification). One frame is one object, in UTF-8.

    request        {"jsonrpc": "2.0", "id": 7, "method": "process.await", "params": {...}}
    notification   {"jsonrpc": "2.0", "method": "worker.heartbeat", "params": {...}}
    answer         {"jsonrpc": "2.0", "id": 7, "result": {...}}
    refusal        {"jsonrpc": "2.0", "id": 7, "error": {"code": -32000, "message": "...", "data": {...}}}

Parameters are always an object. Batches (arrays of objects) are refused: a transport that wants to save frames may join
them itself. Parameters and results stay bytes here until their type is known.
"""

from typing import Any, Literal

import msgspec

from aura_worker_protocol.codec import RequestId

FRAME_LIMIT = 16 * 1024 * 1024
"""Bytes of one frame. A batch of output is 1 MiB of raw bytes, which JSON makes 6 MiB at worst."""

CANCEL = "$/cancelRequest"
"""Notification: the answer is no longer waited for. As in the Language Server Protocol 3.17, with its parameters."""

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800
"""As in the Language Server Protocol 3.17."""
AURA_ERROR = -32000
"""An `AuraError`; `data` holds its code, facts and remedy."""

NOTHING = msgspec.Raw(b"")
"""A missing result; one that is present has at least one byte."""

_NO_PARAMS = msgspec.Raw(b"{}")


class ErrorObject(msgspec.Struct, frozen=True, kw_only=True):
    """The member `error` of a refusal (JSON-RPC 2.0, section 5.1)."""

    code: int
    message: str
    data: dict[str, Any] | None = None


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """Any frame, as read."""

    jsonrpc: Literal["2.0"]
    id: RequestId | msgspec.UnsetType | None = msgspec.UNSET
    method: str | None = None
    params: msgspec.Raw = _NO_PARAMS
    result: msgspec.Raw = NOTHING
    error: ErrorObject | None = None


class SentFrame(msgspec.Struct, frozen=True, kw_only=True):
    """Any frame, as written: what is unset is left out. `id` is None where that of a refused request is unknown."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: RequestId | msgspec.UnsetType | None = msgspec.UNSET
    method: str | msgspec.UnsetType = msgspec.UNSET
    params: object = msgspec.UNSET
    result: object = msgspec.UNSET
    error: ErrorObject | msgspec.UnsetType = msgspec.UNSET
