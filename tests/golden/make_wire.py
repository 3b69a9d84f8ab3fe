"""Write the golden frames that are missing: one sample of everything that engine and worker say to one another.

    python tests/golden/make_wire.py

A file that is there is never written again: it stands for all the engines and workers out there. When `test_wire.py`
fails on one, the wire format has changed in a way that those cannot speak; raise `PROTOCOL_VERSION`.
"""

import sys
from pathlib import Path
from typing import Any

from make import sample

from aura_contracts.errors import RuleViolated, UnknownMethod
from aura_worker_protocol.frames import REQUEST_CANCELLED
from aura_worker_protocol.json_codec import JsonCodec
from aura_worker_protocol.messages import TO_ENGINE, TO_WORKER, Heartbeat

FOLDER = Path(__file__).parent / "wire"

REQUESTS = {**TO_WORKER, **TO_ENGINE}

_ERROR = RuleViolated(
    aggregate="execution",
    aggregate_id="0192f0c1-2d3e-7abc-8def-0123456789ab",
    command="AppendOutput",
    rule="stale_epoch",
    reason="the lease is in epoch 2",
    remedy="end what still runs of it",
)


def main() -> None:
    """Write a frame of each kind that has none."""
    for name, frame in frames().items():
        path = FOLDER / f"{name}.json"
        if not path.exists():
            path.write_bytes(frame + b"\n")
            sys.stdout.write(f"{path.name} written\n")


def frames() -> dict[str, bytes]:
    """Return name -> frame, for every request and every answer with all their fields, and for the rest."""
    codec = JsonCodec({})
    made = {}
    for method, kind in REQUESTS.items():
        made[f"{method}.request"] = codec.request(7, _sample(kind))
        made[f"{method}.answer"] = codec.answer(7, _sample(kind.result))
    return made | {
        "notification": codec.notification(Heartbeat()),
        "cancellation": codec.cancellation(7),
        "refusal": codec.refusal(7, _ERROR),
        "refusal.unknown_method": codec.refusal(7, UnknownMethod(method="x.y", reason="there is no method 'x.y'")),
        "refusal.cancelled": codec.refusal(7, _ERROR, REQUEST_CANCELLED),
        "refusal.internal": codec.refusal(7, ZeroDivisionError("division by zero")),
    }


def _sample(kind: type[Any]) -> Any:
    return sample(kind)


if __name__ == "__main__":
    main()
