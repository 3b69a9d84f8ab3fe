"""The wire format cannot drift unseen: what was said by those who are out there is still said, and understood.

The files are written by `make_wire.py`, once, and never changed.
"""

import msgspec
import pytest
from make_wire import FOLDER, REQUESTS, frames

from aura_contracts.errors import AuraError, RuleViolated
from aura_worker_protocol.codec import Call, Cancellation, Notification, Refusal, Response
from aura_worker_protocol.json_codec import JsonCodec

CODEC = JsonCodec(REQUESTS)
FILES = {path.stem: path.read_bytes().removesuffix(b"\n") for path in sorted(FOLDER.glob("*.json"))}

every_method = pytest.mark.parametrize("method", REQUESTS)


@every_method
def test_a_request_is_read_and_written_as_ever(method):
    frame = FILES[f"{method}.request"]
    asked = CODEC.decode(frame)
    assert isinstance(asked, Call), asked
    assert type(asked.request) is REQUESTS[method]
    _require_all_of(frame, CODEC.request(7, asked.request))


@every_method
def test_an_answer_is_read_and_written_as_ever(method):
    frame = FILES[f"{method}.answer"]
    answered = CODEC.decode(frame)
    assert isinstance(answered, Response), answered
    kind = REQUESTS[method]
    result = msgspec.json.decode(answered.result, type=kind.result)
    _require_all_of(frame, CODEC.answer(7, result))


def _require_all_of(before: bytes, now: bytes) -> None:
    """Everything that was said is still said, in the same words; fields may have been added."""
    _require_within(msgspec.json.decode(before), msgspec.json.decode(now))


def _require_within(before, now):
    if isinstance(before, dict):
        assert before.keys() <= now.keys()
        for name, value in before.items():
            _require_within(value, now[name])
    elif isinstance(before, list):
        for one, other in zip(before, now, strict=True):
            _require_within(one, other)
    else:
        assert now == before


def test_the_rest_is_read_as_ever():
    assert isinstance(CODEC.decode(FILES["notification"]), Notification)
    assert CODEC.decode(FILES["cancellation"]) == Cancellation(7)
    refused = CODEC.decode(FILES["refusal"])
    assert isinstance(refused, Refusal)
    assert isinstance(refused.error, RuleViolated)
    assert refused.error.rule == "stale_epoch"
    for name in FILES.keys() - {"refusal"}:
        if name.startswith("refusal"):
            other = CODEC.decode(FILES[name])
            assert isinstance(other, Refusal)
            assert isinstance(other.error, AuraError)


def test_everything_that_is_said_has_a_file():
    assert FILES.keys() == frames().keys(), "run: python tests/golden/make_wire.py"
