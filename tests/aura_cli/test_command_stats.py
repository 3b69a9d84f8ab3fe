"""``aura stats``: the metrics of a real log, as a table, data and a picture."""

import sys
from xml.etree import ElementTree as ET

import pytest

from command_line import call_aura

TITLES = (
    "Tasks created per day",
    "Average time to approval, in hours",
    "Agent utilization",
    "Approval acceptance rate",
    "Task completion rate",
    "Error rate by agent type",
)


def test_it_shows_what_happened(store):
    told = call_aura("stats", "--store", store)
    assert told.code == 0
    for name in ("tasks created per day", "average time to approval", "agent utilization", "task completion rate"):
        assert name in told.out
    (data,) = call_aura("stats", "--json", "--store", store).objects
    tasks = call_aura("task", "list", "--json", "--store", store).objects
    assert data["created"] == len(tasks) > 0
    assert data["completed"] == sum(task["status"] == "completed" for task in tasks)
    assert data["created_per_day"] == pytest.approx(data["created"] / 30)


def test_a_window_without_anything_shows_no_share(store):
    window = ("--since", "2001-01-01", "--until", "2001-01-03")
    (data,) = call_aura("stats", *window, "--json", "--store", store).objects
    assert (data["created"], data["acceptance_rate"], len(data["days"])) == (0, None, 2)
    (line,) = [row for row in call_aura("stats", *window, "--store", store).out.splitlines() if "acceptance" in row]
    assert line.split()[3:] == ["-", "0", "of", "0"]


@pytest.mark.parametrize(
    "window", [("--since", "2026-01-02", "--until", "2026-01-01"), ("--since", "1990-01-01"), ("--since", "57")]
)
def test_an_impossible_window_is_refused(store, window):
    answer = call_aura("stats", *window, "--json", "--store", store)
    assert answer.code in (1, 2)
    assert answer.error["remedy"]


@pytest.mark.deep
def test_a_picture_shows_all_six(store, tmp_path):
    file = tmp_path / "stats.svg"
    assert call_aura("stats", "--plot", str(file), "--store", store).code == 0
    text = file.read_text()
    ET.fromstring(text)
    for title in TITLES:
        assert title in text
    again = tmp_path / "again.svg"
    first = call_aura("stats", "--plot", str(again), "--since", "2001-01-01", "--until", "2001-01-03", "--store", store)
    assert first.code == 0
    assert "nothing yet" in again.read_text()
    image = tmp_path / "stats.PNG"
    assert call_aura("stats", "--plot", str(image), "--store", store).code == 0
    assert image.read_bytes().startswith(b"\x89PNG")
    assert "matplotlib.pyplot" not in sys.modules, "it would look for a screen"


@pytest.mark.parametrize("name", ["stats.pdf", "stats", "missing/stats.svg"])
def test_a_picture_that_cannot_be_drawn_is_refused(store, tmp_path, name):
    answer = call_aura("stats", "--plot", str(tmp_path / name), "--json", "--store", store)
    assert (answer.code, answer.error["code"]) == (1, "invalid_input")
