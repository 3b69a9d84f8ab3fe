"""Opening a log from a URL: the only module that knows all adapters."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aura_contracts.catalogue import CATALOGUE, EventCatalogue
from aura_contracts.errors import StoreMisconfigured
from aura_contracts.ports import Clock
from aura_contracts.store_url import Compression, StoreUrl
from aura_store.log._codec import EVENT_LIMIT, Cipher, Compressor, FactCodec
from aura_store.log._event_log import RecorderEventLog
from aura_store.log._patience import OUTAGE_TIMEOUT, Patience
from aura_store.log._recorder import LOCK_TIMEOUT, Recorder

FORMAT = "1"
"""The version of the tables and their contents, as recorded in ``log_meta``."""


DEFAULT_PATIENCE = Patience(random=random.random)


def utc_now() -> datetime:
    """Return the current time of the machine's clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_log(
    url: str | StoreUrl,
    *,
    encryption_key: str | None = None,
    compression: Compression | None = None,
    catalogue: EventCatalogue = CATALOGUE,
    read_only: bool = False,
    auditing: bool = False,
    event_limit: int = EVENT_LIMIT,
    outage_timeout: float = OUTAGE_TIMEOUT,
    clock: Clock = utc_now,
) -> AsyncIterator[RecorderEventLog]:
    """Open the event log at `url`, and create it if it does not exist.

    See `StoreUrl` for valid URLs. Several processes may have the same SQLite file or PostgreSQL database open.

    `encryption_key` is 16, 24 or 32 bytes in base64 (AES-GCM; extra ``encryption``); `compression` is ``"zlib"`` or
    ``"zstd"`` (extra ``zstd``). Both are chosen when a log is created, and required each time it is opened.
    `event_limit` is in bytes per event. `outage_timeout` is the number of seconds that callers wait for a database that
    is locked or down.

    `auditing` opens the log for `aura_store.audit.verify`: read-only, damaged or not, with or without the key. Without
    the key, checkpoints in the log cannot be read; those kept elsewhere can still be checked.

    Raises `StoreMisconfigured` for a URL, key or compression that does not fit the log, `StoreReadOnly`,
    `StoreUnavailable`, and `LogDamaged` for a file that is not a database or has lost events at its end.
    """
    recorder = recorder_for(url, read_only=read_only or auditing, lock_timeout=outage_timeout)
    async with open_recorder(
        recorder,
        encryption_key=encryption_key,
        compression=compression,
        catalogue=catalogue,
        auditing=auditing,
        event_limit=event_limit,
        patience=Patience(outage_timeout=outage_timeout, random=random.random),
        clock=clock,
    ) as log:
        yield log


@asynccontextmanager
async def open_recorder(
    recorder: Recorder,
    *,
    encryption_key: str | None = None,
    compression: Compression | None = None,
    catalogue: EventCatalogue = CATALOGUE,
    auditing: bool = False,
    event_limit: int = EVENT_LIMIT,
    patience: Patience = DEFAULT_PATIENCE,
    clock: Clock = utc_now,
) -> AsyncIterator[RecorderEventLog]:
    """Open the event log that `recorder` stores: `open_log` without the choice of the adapter."""
    store = recorder.name
    cipher = _cipher(store, encryption_key)
    codec = FactCodec(catalogue, compressor=_compressor(store, compression), cipher=cipher, event_limit=event_limit)
    meta = {"format": FORMAT, "compression": compression or "none", "encryption": "aes-gcm" if cipher else "none"}
    if cipher is not None:
        meta["key_check"] = cipher.encrypt(b"aura").hex()
    log = RecorderEventLog(recorder, codec, clock, patience)
    try:
        found = await log.patiently(lambda: recorder.open(meta))
        _require_format(recorder.name, found)
        if not auditing:
            _require_same(recorder.name, found, meta, cipher)
            await log.check_ends()
        yield log
    finally:
        await log.aclose()


def recorder_for(url: str | StoreUrl, *, read_only: bool = False, lock_timeout: float = LOCK_TIMEOUT) -> Recorder:
    """Return the recorder for `url`, not yet opened. Adapters are only imported here, when they are needed.

    One attempt to write waits for other processes for at most `lock_timeout` seconds, and never more than a few.
    """
    where = StoreUrl.parse(str(url))
    lock_timeout = max(min(lock_timeout, LOCK_TIMEOUT), 0.001)
    if where.path is not None:
        from aura_store.sqlite._sqlite_recorder import SQLiteRecorder  # noqa: PLC0415

        return SQLiteRecorder(where.path, read_only=read_only or where.read_only, lock_timeout=lock_timeout)
    if where.kind == "memory":
        from aura_store.log._memory import MemoryRecorder  # noqa: PLC0415

        return MemoryRecorder(where.text)
    try:
        from aura_store.postgres._postgres_recorder import PostgresRecorder  # noqa: PLC0415
    except ImportError as error:
        raise _missing("postgres", where.kind, error) from error
    return PostgresRecorder(where.text, read_only=read_only, lock_timeout=lock_timeout)


def _cipher(url: str, key: str | None) -> Cipher | None:
    if key is None:
        return None
    try:
        from eventsourcing.cryptography import AESCipher  # noqa: PLC0415
        from eventsourcing.utils import Environment  # noqa: PLC0415
    except ImportError as error:
        raise _missing("encryption", url, error) from error
    try:
        return AESCipher(Environment(env={"CIPHER_KEY": key}))
    except ValueError as error:
        remedy = "give 16, 24 or 32 random bytes in base64"
        raise StoreMisconfigured(store=url, reason=f"the encryption key is unusable: {error}", remedy=remedy) from error


def _compressor(url: str, compression: str | None) -> Compressor | None:
    if compression is None:
        return None
    if compression == "zlib":
        from eventsourcing.compressor import ZlibCompressor  # noqa: PLC0415

        return ZlibCompressor()
    if compression == "zstd":
        try:
            from aura_store.log._zstd import ZstdCompressor  # noqa: PLC0415
        except ImportError as error:
            raise _missing("zstd", url, error) from error
        return ZstdCompressor()
    raise StoreMisconfigured(
        store=url, reason=f"{compression!r} is not a compression", remedy="use 'zlib', 'zstd' or None"
    )


def _missing(extra: str, store: str, error: ImportError) -> StoreMisconfigured:
    remedy = f"pip install 'aura-core[{extra}]'"
    return StoreMisconfigured(store=store, reason=f"a package is missing: {error}", remedy=remedy)


def _require_format(store: str, found: Mapping[str, str]) -> None:
    if found.get("format") != FORMAT:
        raise StoreMisconfigured(
            store=store,
            reason=f"the log has format {found.get('format')!r}, this program supports {FORMAT!r}",
            remedy="open it with the version of AURA that created it",
        )


def _require_same(store: str, found: Mapping[str, str], asked: Mapping[str, str], cipher: Cipher | None) -> None:
    """Refuse to open a log with other settings than it was created with: its new events could not be read later."""
    for setting in ("compression", "encryption"):
        if found.get(setting) != asked[setting]:
            raise StoreMisconfigured(
                store=store,
                reason=f"the log was created with {setting} {found.get(setting)!r}, not {asked[setting]!r}",
                remedy=f"open it with the original {setting}",
            )
    if cipher is not None:
        try:
            cipher.decrypt(bytes.fromhex(found.get("key_check", "")))
        except ValueError as error:
            reason = "the log was created with another encryption key"
            raise StoreMisconfigured(store=store, reason=reason, remedy="use the original key") from error
