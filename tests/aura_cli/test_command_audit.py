"""``aura audit``: what an auditor gets. What it finds is in ``tests/functional/test_tamper.py``."""

import json
from base64 import b64decode
from hashlib import sha256
from struct import pack

from command_line import call_aura, run_aura


def test_a_checkpoint_proves_the_log_up_to_it(store):
    (made,) = call_aura("audit", "checkpoint", "--json", "--store", store).objects
    assert made["id"] == f"{made['position']}={made['root']}"
    assert made["position"] == 54
    (report,) = call_aura("audit", "verify", "--root", made["id"], "--json", "--store", store).objects
    assert (report["status"], report["events"], report["checkpoints"]) == ("sound", 55, 2)


def test_a_checkpoint_is_printed_for_copying_with_what_to_do_with_it(store):
    answer = call_aura("audit", "checkpoint", "--store", store)
    kept = answer.out.strip()
    assert f"aura audit verify --root {kept}" in answer.err
    assert call_aura("audit", "verify", "--root", kept, "--store", store).code == 0


def test_another_root_is_refused(store):
    answer = call_aura("audit", "verify", "--root", f"30={'0' * 64}", "--json", "--store", store)
    assert (answer.code, answer.error["facts"]["position"]) == (1, 30)


def test_a_checkpoint_says_who_made_it(store):
    assert run_aura("audit", "checkpoint", "--store", store, AURA_USER="carol").code == 0
    assert call_aura("events", "--since", 54, "--json", "--store", store).objects[0]["actor"] == "human:carol"


def seal(row: dict) -> str:
    """The formula of ``aura audit export --help``, written from it."""
    stream, label = row["stream_id"].encode(), row["type_label"].encode()
    numbers = pack(">QQHH", row["position"], row["version"], len(stream), len(label))
    return sha256(bytes.fromhex(row["previous"]) + numbers + stream + label + b64decode(row["state"])).hexdigest()


def test_an_export_is_enough_to_check_every_seal_without_aura(store):
    rows = call_aura("audit", "export", "--store", store).objects
    assert [row["position"] for row in rows] == list(range(1, 55))
    tips: dict[str, str] = {}
    for row in rows:
        assert row["digest"] == seal(row)
        assert row["previous"] == tips.get(row["stream_id"], "00" * 32)
        tips[row["stream_id"]] = row["digest"]


def test_an_export_says_what_the_rows_say(store):
    rows = call_aura("audit", "export", "--store", store).objects
    events = call_aura("events", "--json", "--store", store).objects
    for row, event in zip(rows, events, strict=True):
        assert row["id"] == event["id"]
        fact = row["fact"]
        assert (fact["type"], fact["time"], fact["fields"]) == (event["type"], event["time"], event["fields"])
        assert json.loads(b64decode(row["state"]))[1] == fact["time"]


def test_an_export_may_be_a_part(store):
    rows = call_aura("audit", "export", "--since", 10, "--upto", 12, "--store", store).objects
    assert [row["position"] for row in rows] == [11, 12]


def test_an_event_that_does_not_decode_is_exported_without_its_fact(store, change_log):
    change_log("UPDATE stored_events SET state = x'5B5D' WHERE rowid = 11")
    rows = call_aura("audit", "export", "--store", store).objects
    assert [row["position"] for row in rows if row["fact"] is None] == [11]
    assert len(rows) == 54
