"""``aura workflow schedule``: schedules added, listed, shown, paused, resumed and removed."""

import json

import pytest

from command_line import call_aura

CLEAN = """\
name: clean
inputs:
  days: {type: integer, default: 30}
  place: {type: string, default: here}
steps:
  - {id: clean, type: command, run: "true"}
"""


@pytest.fixture
def stored(place):
    (place / "clean.yaml").write_text(CLEAN)
    assert call_aura("workflow", "create", "clean.yaml").code == 0


def aura(*words):
    return call_aura("workflow", "schedule", *words)


def test_a_schedule_through_its_life(stored):
    made = aura("add", "nightly", "clean", "30 2 * * *", "--var", "days=14", "--var", "place=1", "--json")
    assert made.code == 0
    plan = json.loads(made.out)["plan"]
    assert plan["inputs"] == {"days": 14, "place": "1"}
    assert (plan["missed"], plan["overlap"], plan["zone"]) == ("once", "skip", "UTC")
    shown = aura("show", "nightly", "--next", "3").out.splitlines()
    assert shown[0] == "schedule nightly is active: clean at 30 2 * * * in UTC"
    assert [line.endswith("02:30 UTC") for line in shown[1:]] == [True] * 3
    assert "nightly" in aura("list", "--definition", "clean").out
    assert "is paused" in aura("pause", "nightly", "--reason", "holidays").out
    assert "paused   holidays" in aura("show", "nightly").out
    assert "is active" in aura("resume", "nightly").out
    assert "is removed" in aura("remove", "nightly").out
    assert "nightly" not in aura("list").out
    assert "nightly" in aura("list", "--all").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nightly", "clean", "0 25 * * *"), "column 3, hour '25'"),
        (("nightly", "clean", "@daily", "--zone", "Europe/Berln"), "no time zone"),
        (("nightly", "claen", "@daily"), "claen"),
        (("nightly", "clean", "@daily", "--var", "days=many"), "inputs.days"),
        (("nightly", "clean", "@daily", "--missed", "all"), "overlap"),
    ],
)
def test_what_is_refused_says_why(stored, words, says):
    refused = aura("add", *words)
    assert refused.code != 0
    assert says in refused.err
    assert "nightly" not in aura("list", "--all").out
