"""Building blocks for store adapters outside AURA: see `docs/how-to/write-a-store-adapter.md`.

There are two ways to write an adapter. Implement `aura_contracts.ports.EventLog` from scratch, with `FactCodec` for the
bytes and `plan_commit` for versions, positions and seals. Or implement `Recorder`, for SQL on top of `SQLRecorder`, and
`open_recorder` adds group commit, retries, tailing and encryption. `aura_store.testing` proves either.
"""

from aura_store._open import open_recorder, recorder_for
from aura_store.log._codec import FactCodec, require_numbers, require_stream_id
from aura_store.log._decoders import StoredFact
from aura_store.log._event_log import RecorderEventLog
from aura_store.log._patience import Patience
from aura_store.log._recorder import DatabaseAway, FactRow, Recorder, RecordRow, WriteTransaction
from aura_store.log._seal import GENESIS, NO_STREAM, CommitPlan, EncodedAppend, Tip, plan_commit, seal
from aura_store.log._sql_recorder import SQLRecorder

__all__ = [
    "GENESIS",
    "NO_STREAM",
    "CommitPlan",
    "DatabaseAway",
    "EncodedAppend",
    "FactCodec",
    "FactRow",
    "Patience",
    "RecordRow",
    "Recorder",
    "RecorderEventLog",
    "SQLRecorder",
    "StoredFact",
    "Tip",
    "WriteTransaction",
    "open_recorder",
    "plan_commit",
    "recorder_for",
    "require_numbers",
    "require_stream_id",
    "seal",
]
