"""Environments are merged, and secrets neither shown nor stored."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.processes import merged_environment
from aura_contracts.secrets import REDACTED, holds_secret, redact, require_no_secret, require_no_secrets, secret_in

SECRET = [
    "GITHUB_TOKEN",
    "token",
    "ACCESS_TOKENS",
    "OPENAI_API_KEY",
    "openaiApiKey",
    "x-api-key",
    "APIKEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "DB_PASSWORD",
    "PGPASSWORD",
    "MYSQL_PWD",
    "SMTP_PASS",
    "SSHPASS",
    "passphrase",
    "client.secret",
    "Authorization",
    "Proxy-Authorization",
    "Cookie",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "SSH_PRIVATE_KEY",
    "AURA_STORE_KEY",
    "SENTRY_DSN",
    "NPM_AUTH",
]
HARMLESS = [
    "PATH",
    "HOME",
    "PWD",
    "OLDPWD",
    "KEYBOARD",
    "SSH_AUTH_SOCK",
    "max_tokens",
    "TOKENIZERS_PARALLELISM",
    "token_limit",
    "TOKEN_FILE",
    "api_key_env",
    "PGPASSFILE",
    "sort_key",
    "public-key",
    "GIT_CONFIG_KEY_0",
    "GIT_AUTHOR_NAME",
    "MONKEY",
    "BYPASS",
    "AURA_PROMPT",
    "",
]
VALUES = st.text("abc $-_=:/@", max_size=12)


@pytest.mark.parametrize("name", SECRET)
def test_names_of_secrets(name: str):
    assert holds_secret(name)
    assert holds_secret(name.lower())


@pytest.mark.parametrize("name", HARMLESS)
def test_names_of_other_things(name: str):
    assert not holds_secret(name)


def test_the_last_change_wins_and_none_removes():
    base = {"A": "1", "B": "2", "C": "3"}
    assert merged_environment(base, {"A": None, "B": "x"}, {"B": "y", "D": "4", "E": None}) == {
        "B": "y",
        "C": "3",
        "D": "4",
    }
    assert base == {"A": "1", "B": "2", "C": "3"}
    assert merged_environment({}) == {}


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.none() | st.text()))
def test_merging_is_looking_in_the_changes_first(base: dict[str, str], change: dict[str, str | None]):
    both = merged_environment(base, change)
    for name in {*base, *change}:
        assert both.get(name) == (change[name] if name in change else base[name])


def test_issued_keys_are_not_shown_whatever_they_are_called():
    key = "sk-abcdefghijklmnopqrstuvwxyz012345"
    assert redact({"command": f"curl -d {key} x", "list": [key]}) == {
        "command": f"curl -d {REDACTED} x",
        "list": [REDACTED],
    }


def test_secrets_are_not_shown_at_any_depth():
    shown = redact(
        {
            "HOME": "/homes/ada",
            "GITHUB_TOKEN": "hush",
            "EMPTY_TOKEN": "",
            "DATABASE_URL": "postgres://ada:hush@db/aura",
            "nested": {"password": "hush", "list": [{"apiKey": "hush"}, "plain", 5]},
            "credentials": {"user": "ada", "value": "hush"},
            "params": ("--token", "hush", "--api-key=hush", "Authorization: Bearer hush", "TOKEN=hush", "--verbose"),
        }
    )
    assert "hush" not in json.dumps(shown)
    assert shown["HOME"] == "/homes/ada"
    assert shown["EMPTY_TOKEN"] == ""
    assert shown["DATABASE_URL"] == f"postgres://ada:{REDACTED}@db/aura"
    assert shown["nested"]["list"][1:] == ["plain", 5]
    assert shown["params"] == (
        "--token",
        REDACTED,
        f"--api-key={REDACTED}",
        f"Authorization: {REDACTED}",
        f"TOKEN={REDACTED}",
        "--verbose",
    )


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"api_key": "sk-1"}, "options.api_key"),
        ({"env": {"GITHUB_TOKEN": "ghp"}}, "options.env.GITHUB_TOKEN"),
        ({"params": ["--verbose", "--api-key", "sk-1"]}, "options.params[2]"),
        ({"params": ["--api-key=sk-1"]}, "options.params[0]"),
        ({"params": ["-H", "Authorization: Bearer sk-1"]}, "options.params[1]"),
        ({"params": ["-c", "API_TOKEN=sk-1 agent"]}, "options.params[1]"),
        ({"endpoint": "https://ada:hush@host/v1"}, "options.endpoint"),
        ({"rounds": [[{"spawn": ["--password", "hush"]}]]}, "options.rounds[0][0].spawn[1]"),
        ({"tokens": {"access_token": "hush"}}, "options.tokens.access_token"),
    ],
)
def test_settings_with_a_secret_are_refused_before_they_are_stored(options: dict[str, object], field: str):
    with pytest.raises(InvalidInput) as caught:
        require_no_secrets(options)
    assert caught.value.field == field
    assert "set it in the environment of the worker" in caught.value.remedy
    assert "sk-1" not in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"api_key": ""},
        {"api_key": "$OPENAI_API_KEY"},
        {"max_tokens": 100, "token_limit": "many", "use_token": True, "password": None},
        {"params": ["-lc", "echo out_line; echo err_line 1>&2"]},
        {"params": ["-c", 'curl -H "Authorization: Bearer $TOKEN" https://x']},
        {"params": ["--token", "$TOKEN", "--token=$TOKEN", "--api-key", "--verbose"]},
        {"params": ["git", "clone", "https://ada:$TOKEN@host/x"]},
        {"params": ["--token-file", "/run/secrets/token"]},
        {"endpoint": "https://host:8080/v1@2"},
        {"params": ["sed", "s/token=1/token=2/"]},
    ],
)
def test_settings_without_secrets_pass(options: dict[str, object]):
    require_no_secrets(options)


@given(st.dictionaries(st.sampled_from([*SECRET, *HARMLESS]), VALUES | st.lists(VALUES, max_size=3)))
def test_what_is_redacted_holds_no_secrets_any_more(values: dict[str, object]):
    shown = redact(values)
    assert shown.keys() == values.keys()
    assert redact(shown) == shown
    for name, value in values.items():
        assert shown[name] in (REDACTED, "") or not holds_secret(name)
        assert holds_secret(name) or isinstance(shown[name], type(value))


# --- In texts ---------------------------------------------------------------------------------------------------------

ISSUED = [
    "sk-abcdefghijklmnopqrstuvwxyz012345",
    "sk-ant-api03-abcdefghijklmnopqrstuvwxyz",
    "sk-proj-abcdefghijklmnopqrstuvwxyz",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijklmnopqrstuvwxyz",
    "glpat-abcdefghijklmnopqrst",
    "xoxb-123456789012-abcdefghijkl",
    "AKIAABCDEFGHIJKLMNOP",
    "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
    "hf_abcdefghijklmnopqrstuvwxyz01234567",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "sk_live_abcdefghijklmnopqrst",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "postgresql://ada:hunter2hunter2@localhost/x",
]


@pytest.mark.parametrize("key", ISSUED)
def test_issued_keys_are_found_in_prose(key: str):
    assert secret_in(f"use the key {key}, please")
    assert secret_in(f"KEY='{key}'", commands=True)


@pytest.mark.parametrize(
    "command",
    [
        "export OPENAI_API_KEY=abc123def456",
        "FOO=1 DB_PASSWORD='hunter22' make",
        'export "GITHUB_TOKEN=abc123def456"',
        "curl -H 'Authorization: Bearer abc123def456' x",
        'curl -H "X-Api-Key: abc123def456" x',
        "curl -u ada:hunter22 x",
        "curl --user=ada:hunter22 x",
        "tool --api-key abc123def456",
        "tool --api-key=abc123def456",
        "tool --password 'hunter22'",
        "a && (b; SECRET_KEY=abc123def456 c)",
    ],
)
def test_secrets_given_to_commands_are_found(command: str):
    assert secret_in(command, commands=True)
    with pytest.raises(InvalidInput, match="would be stored forever"):
        require_no_secret(command, "setup", commands=True)


@pytest.mark.parametrize(
    "command",
    [
        "export OPENAI_API_KEY=$OPENAI_API_KEY",
        'curl -H "Authorization: Bearer $TOKEN" x',
        "tool --api-key ${KEY:?}",
        "tool --api-key $(pass show key)",
        "POSTGRES_PASSWORD=postgres make test",
        "API_KEY=test-key pytest",
        "API_KEY=<your key> make",
        "API_TOKEN=... make",
        "MAX_TOKENS=1000000 make",
        "pytest --token-limit 100000",
        "git log --author ada",
        "sed -i s/sk-/pk-/ file",
        "docker run -u 1000:1000 image",
        "ls task-abcdefghijklmnopqrstuvwxyz",
    ],
)
def test_other_commands_pass(command: str):
    assert secret_in(command, commands=True) is None


@pytest.mark.parametrize("text", ["rename API_KEY=abc123def456 to TOKEN", "explain sk-... keys", "Authorization: ask"])
def test_prose_about_secrets_passes(text: str):
    assert secret_in(text) is None
