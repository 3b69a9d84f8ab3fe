"""Scopes: what a token says, and that no other one is believed."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_engine.agent_tools.access import (
    ScopeEnded,
    TaskScope,
    TokenRefused,
    key_of,
    read_key,
    scope_of,
    token_for,
    tools_for,
)
from aura_engine.bootstrap.worker import tools_factory

SECRET = bytes(range(32))
SCOPE = TaskScope(task_id="0192f0c1-2d3e-7abc-8def-000000000001", execution_id="0192f0c1-2d3e-7abc-8def-000000000002")
TOKEN = token_for(SECRET, SCOPE)


@given(st.binary(min_size=32, max_size=32), st.uuids(), st.uuids(), st.booleans())
def test_a_token_says_what_it_was_made_for(secret, task_id, execution_id, has_callables):
    scope = TaskScope(task_id=str(task_id), execution_id=str(execution_id), has_callables=has_callables)
    token = token_for(secret, scope)
    assert scope_of(secret, token) == scope
    assert token_for(secret, scope) == token
    with pytest.raises(TokenRefused, match="another secret"):
        scope_of(bytes([secret[0] ^ 1, *secret[1:]]), token)


def test_a_token_can_be_written_anywhere():
    assert TOKEN.startswith("aura1.")
    assert set(TOKEN) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert len(TOKEN) == 94


@given(st.data())
def test_a_token_that_was_changed_is_refused(data):
    place = data.draw(st.integers(0, len(TOKEN) - 1))
    change = data.draw(st.sampled_from(["", "A", "z", "-", ".", "=", "é", "\udc80", "\0", " ", TOKEN]))
    forged = TOKEN[:place] + change + TOKEN[place + 1 :]
    if forged != TOKEN:
        with pytest.raises(TokenRefused):
            scope_of(SECRET, forged)


@given(st.text())
@pytest.mark.parametrize("beginning", ["", "aura1.", "aura2.", "aura1.." + "A" * 43])
def test_anything_else_is_refused(beginning, text):
    with pytest.raises(TokenRefused):
        scope_of(SECRET, beginning + text)


@pytest.mark.parametrize("end", range(0, len(TOKEN), 7))
def test_a_token_that_is_cut_is_refused(end):
    with pytest.raises(TokenRefused):
        scope_of(SECRET, TOKEN[:end])


def test_refusals_say_what_to_do():
    with pytest.raises(TokenRefused) as refused:
        scope_of(SECRET, "")
    assert "AURA_TASK_TOKEN" in str(refused.value)
    assert TOKEN not in str(refused.value)
    assert "has ended (Done)" in str(ScopeEnded(execution_id="1", status="Done"))


def test_a_secret_of_another_length_is_a_defect():
    with pytest.raises(ValueError, match="32"):
        token_for(b"short", SCOPE)


# --- The secret -------------------------------------------------------------------------------------------------------


def test_a_secret_is_made_once_for_its_user_alone(tmp_path):
    home = tmp_path / "new" / "home"
    assert read_key(home) is None
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: key_of(home), range(32)))
    assert made == {read_key(home)}
    assert [path.name for path in home.iterdir()] == ["secret"]
    assert (home / "secret").stat().st_mode & 0o777 == 0o600


def test_a_damaged_secret_is_said_to_be_one(tmp_path):
    (tmp_path / "secret").write_bytes(b"half")
    with pytest.raises(InvalidInput, match="4 bytes"):
        key_of(tmp_path)


# --- What an agent is given -------------------------------------------------------------------------------------------


def given_with(**fields):
    return tools_for(TOKEN, **{"python": "py", "home": Path("/data"), "folder": Path("/here"), **fields})


@pytest.mark.parametrize(
    ("store", "named"),
    [
        ("sqlite:///aura.db", "sqlite:////here/aura.db"),
        ("sqlite:////there/aura.db", "sqlite:////there/aura.db"),
        ("postgresql://ada@db/aura", "postgresql://ada@db/aura"),
    ],
)
def test_the_server_finds_the_store_from_anywhere(store, named):
    tools = given_with(store=store)
    assert tools.environment["AURA_STORE"] == named
    assert tools.server.environment == tuple(tools.environment)


def test_secrets_are_in_the_environment_alone():
    tools = given_with(store="sqlite:///aura.db", encryption_key="k3y", compression="zstd")
    assert tools.environment["AURA_TASK_TOKEN"] == TOKEN
    assert tools.environment["AURA_ENCRYPTION_KEY"] == "k3y"
    assert (tools.environment["AURA_COMPRESSION"], tools.environment["AURA_HOME"]) == ("zstd", "/data")
    assert "k3y" not in repr(tools)
    assert TOKEN not in repr(tools)
    assert tools.server.command == ("py", "-P", "-m", "aura_cli", "mcp")


def test_what_was_not_given_does_not_come_from_around():
    assert given_with(store="sqlite:///a.db").environment.items() >= {
        ("AURA_COMPRESSION", "none"),
        ("AURA_ENCRYPTION_KEY", ""),
    }


def test_a_store_in_memory_is_out_of_reach():
    with pytest.raises(InvalidInput, match="memory"):
        given_with(store="memory:")


def test_the_folder_is_found_from_anywhere():
    assert given_with(store="sqlite:///a.db", home=Path("data")).environment["AURA_HOME"] == "/here/data"


@pytest.mark.parametrize("policies", [[], [print]])
def test_the_token_of_an_engine_says_whether_it_has_callables(tmp_path, policies):
    given = SimpleNamespace(url="sqlite:///a.db", encryption_key=None, compression=None, policies=policies)
    tools = tools_factory(given, tmp_path, tmp_path)(SCOPE.task_id, SCOPE.execution_id)
    scope = scope_of(key_of(tmp_path), tools.environment["AURA_TASK_TOKEN"])
    assert scope == attrs.evolve(SCOPE, has_callables=bool(policies))
