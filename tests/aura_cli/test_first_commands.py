"""The first commands on a new machine: there is no store yet, and that is no error unless one was named."""

import pytest

from command_line import call_aura, run_aura

LISTS = [
    "task list", "approval list", "agent list", "workspace list", "session list", "events", "usage", "replay",
    "db info",
]  # fmt: skip

CHECKS = ["audit verify", "audit export", "db check", "db rebuild"]


@pytest.fixture(autouse=True)
def new_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AURA_STORE", raising=False)


@pytest.mark.parametrize("command", LISTS)
def test_there_is_nothing_yet(command, tmp_path):
    answer = call_aura(*command.split())
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith(f"no store yet at {tmp_path / 'home' / 'aura.db'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", LISTS)
def test_there_is_nothing_yet_in_json(command, tmp_path):
    answer = call_aura(*command.split(), "--json")
    assert (answer.code, answer.err) == (0, "")
    store = {"id": f"sqlite:///{tmp_path / 'home' / 'aura.db'}", "status": "not_created", "events": 0}
    assert answer.objects == ([store] if command == "db info" else [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", CHECKS)
def test_a_check_of_nothing_does_not_pass(command, tmp_path):
    """As a process, because a cron job looks at nothing else."""
    answer = run_aura(*command.split(), "--quiet", AURA_HOME=str(tmp_path / "home"))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error[store_misconfigured]: ")
    assert "the store does not exist" in answer.err
    assert "AURA_HOME" in answer.err
    assert str(tmp_path) in answer.err
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_notes_it(tmp_path):
    answer = call_aura("doctor")
    assert (answer.code, answer.err) == (0, "")
    assert "no store yet" in answer.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [*LISTS, *CHECKS])
@pytest.mark.parametrize("named", ["option", "environment"])
def test_a_store_that_was_named_has_to_exist(command, named, tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path}/none.db"
    if named == "environment":
        monkeypatch.setenv("AURA_STORE", store)
    answer = call_aura(*command.split(), *(["--store", store] if named == "option" else []))
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error[store_misconfigured]: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["events --follow", "audit checkpoint", "task cancel 01", "approval approve"])
def test_a_command_that_needs_a_store_says_so(command, tmp_path):
    answer = call_aura(*command.split(), "--json")
    assert (answer.code, answer.error["code"]) == (1, "store_misconfigured")
    assert list(tmp_path.iterdir()) == []
