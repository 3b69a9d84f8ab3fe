"""Profiles: files over files, the variant over the default, the task over all."""

import os

import pytest

from aura_contracts.errors import InvalidInput
from aura_engine.profiles import load_profiles


def write(path, text):
    path.write_text(text)
    return path


@pytest.fixture
def user(tmp_path):
    text = '[claude.default]\nmodel = "sonnet"\nenv = { A = "1", B = "1" }\n[claude.plan]\nmodel = "opus"\n'
    return write(tmp_path / "profiles.toml", text)


def test_each_layer_goes_over_those_before(user, tmp_path):
    project = write(tmp_path / "project.toml", '[claude.plan]\nmodel = "haiku"\n[claude.mine]\nmax_turns = 3\n')
    profiles = load_profiles(user, project)
    assert profiles.options("claude", "plan", {}) == {
        "model": "haiku",
        "env": {"A": "1", "B": "1"},
        "permission_mode": "plan",
    }
    given = {"model": "mine", "env": {"B": "2"}}
    assert profiles.options("claude", "mine", given) == {"model": "mine", "env": {"A": "1", "B": "2"}, "max_turns": 3}
    assert profiles.options("codex", None, {"x": 1}) == {"x": 1}
    (plan,) = (one for one in profiles if (one.executor, one.variant) == ("claude", "plan"))
    assert plan.sources == ("built-in profiles.toml", str(user), str(project))


def test_files_that_are_not_there_are_none(tmp_path):
    profiles = load_profiles(tmp_path / "no", tmp_path / "nor" / "this")
    assert "yolo" in profiles.variants("claude")


def test_an_unknown_variant_is_refused_and_the_known_ones_are_named(user):
    with pytest.raises(InvalidInput, match=r"no variant 'careless'.*accept-edits, default, plan, yolo"):
        load_profiles(user).options("claude", "careless", {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[claude.default\n", "not valid TOML"),
        ("[claude]\nmodel = 'x'\n", "claude.model"),
        ("[Claude.default]\n", "Claude"),
        ("[claude.default]\ndescription = 5\n", "claude.default.description"),
        ("[claude.default]\n'Bad Name' = 5\n", "claude.default"),
        ("[claude.default]\nsince = 2026-01-01\n", "claude.default.since"),
        ("[claude.default.env]\nANTHROPIC_API_KEY = 'sk-test'\n", "ANTHROPIC_API_KEY"),
        ("\udcff", "not valid TOML"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_file_and_field(tmp_path, text, told):
    path = tmp_path / "profiles.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput) as refused:
        load_profiles(path)
    assert told in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    "option",
    [
        *("executable = 'x'", "base_command = 'x'", "params = ['x']", "env = { A = '1' }", "npx = true"),
        *("yolo = true", "permission_mode = 'bypassPermissions'", "deny_tools = []", "mcp_config = 'x'"),
        *("endpoint = 'https://example.org'", "api_key_env = 'X'", "unheard_of = 1"),
    ],
)
def test_a_project_does_not_say_what_is_run_and_may_be_done(tmp_path, option):
    project = write(tmp_path / "profiles.toml", f"[claude.default]\nmodel = 'haiku'\n{option}\n")
    with pytest.raises(InvalidInput, match="a project may only set") as refused:
        load_profiles(None, project)
    assert f"claude.default.{option.split()[0]}" in str(refused.value)
    assert load_profiles(project).variants("claude")


def test_a_file_of_any_size_is_not_read(tmp_path):
    with pytest.raises(InvalidInput, match="larger"):
        load_profiles(write(tmp_path / "profiles.toml", "#" * 1_048_577))


def test_a_table_may_name_an_executor_by_its_alias(user, tmp_path):
    user.write_text('[qwen.default]\nmodel = "a"\n[qwen-code.default]\nmax_turns = 3\n[cursor.fast]\nmodel = "b"\n')
    profiles = load_profiles(user)
    assert profiles.options("qwen-code", None, {}) == {"model": "a", "max_turns": 3}
    assert "fast" in profiles.variants("cursor-agent")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "profiles.toml")
    with pytest.raises(InvalidInput, match="not a file"):
        load_profiles(None, tmp_path / "profiles.toml")
