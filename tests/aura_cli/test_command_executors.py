"""``aura executors``: what can be run."""

from command_line import call_aura


def test_executors_are_listed_without_a_store(place):
    rows = call_aura("executors", "--json").objects
    assert {"custom", "scripted"} <= {row["id"] for row in rows}
    assert all(row["status"] in ("available", "unavailable") for row in rows)
    assert not (place.parent / "aura.db").exists()
    assert call_aura("executors").out.startswith("name")


def test_one_is_shown(place):
    (row,) = call_aura("executors", "custom", "--json").objects
    assert (row["id"], row["status"], row["capability"]["fork"]) == ("custom", "available", False)
    assert call_aura("executors", "custom").out.startswith("custom  available\n")


def test_a_name_that_nobody_offers_is_an_error(place):
    answer = call_aura("executors", "custon", "--json")
    assert (answer.code, answer.error["code"]) == (1, "unknown_executor")
    assert "custom" in answer.error["remedy"]
