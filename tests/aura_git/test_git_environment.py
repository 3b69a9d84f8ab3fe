"""Git runs in an environment that holds nothing of git's but what says where the user's configuration is."""

from pathlib import Path

from hostile_world import World

from aura_git import CommandLineGit
from aura_git.commandline._environment import (
    git_environment,
    repository_settings,
    with_settings,
    without_filters,
    without_hooks,
)
from aura_git.commandline._output import ConfigEntry


def settings_of(environment: dict[str, str]) -> dict[str, str]:
    count = int(environment["GIT_CONFIG_COUNT"])
    return {environment[f"GIT_CONFIG_KEY_{n}"]: environment[f"GIT_CONFIG_VALUE_{n}"] for n in range(count)}


def test_variables_that_point_git_elsewhere_are_dropped() -> None:
    dropped = (
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_WORK_TREE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_TRACE",
        "GIT_CONFIG_PARAMETERS",
    )
    made = git_environment({"HOME": "/homes/una", "PATH": "/bin", "LANGUAGE": "de", **dict.fromkeys(dropped, "x")})
    assert not {*dropped, "LANGUAGE"} & set(made)
    assert (made["HOME"], made["PATH"], made["LC_ALL"]) == ("/homes/una", "/bin", "C")


def test_where_the_users_configuration_is_stays() -> None:
    given = {"GIT_CONFIG_GLOBAL": "/x", "GIT_CONFIG_SYSTEM": "/y", "GIT_CONFIG_NOSYSTEM": "1"}
    assert given.items() <= git_environment(given).items()


def test_configuration_in_the_environment_stays_but_does_not_win() -> None:
    given = {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_CONFIG_KEY_1": "core.hooksPath",
        "GIT_CONFIG_VALUE_1": "/hooks",
    }
    settings = settings_of(git_environment(given))
    assert settings["safe.directory"] == "*"
    assert settings["core.hooksPath"] == "/dev/null"


def test_configuration_that_is_damaged_is_dropped() -> None:
    plain = git_environment({})
    for count in ("x", "-1", "3", "99999999999", ""):
        assert git_environment({"GIT_CONFIG_COUNT": count}) == plain


def test_settings_are_added_at_the_end() -> None:
    made = with_settings(with_settings({}, {"a.b": "1"}), {"a.b": "2", "c.d": "3"})
    assert made["GIT_CONFIG_COUNT"] == "3"
    assert settings_of(made) == {"a.b": "2", "c.d": "3"}


def test_only_the_repository_says_what_line_ends_are() -> None:
    entries = [("global", "core.autocrlf", "true"), ("local", "core.eol", "lf"), ("command", "core.eol", "crlf")]
    known = [ConfigEntry(scope, "file:x", key, value) for scope, key, value in entries]
    assert repository_settings(known) == {"core.autocrlf": "false", "core.eol": "lf"}


def test_filters_can_be_switched_off_one_by_one() -> None:
    keys = ("filter.lfs.clean", "filter.a.b.smudge", "filter.a.b.required", "core.filter")
    settings = without_filters(ConfigEntry("global", "file:x", key, "x") for key in keys)
    assert {name.rpartition(".")[0] for name in settings} == {"filter.lfs", "filter.a.b"}
    assert (settings["filter.a.b.process"], settings["filter.a.b.required"]) == ("", "false")


def test_hooks_that_are_configured_are_switched_off_by_name() -> None:
    keys = ("hook.x.command", "hook.x.event", "hook.a b=c.d.command", "hook.jobs", "core.hookspath")
    settings = without_hooks(ConfigEntry("global", "file:x", key, "x") for key in keys)
    assert settings == {"hook.x.enabled": "false", "hook.a b=c.d.enabled": "false"}


def test_git_with_configured_hooks_runs_every_command_without_them(tmp_path: Path) -> None:
    """The program reports the version that has them, and says how often they were switched off."""
    world = World(tmp_path)
    program, seen = tmp_path / "git-2.54", tmp_path / "seen"
    program.write_text(
        f"""#!/bin/sh
case "$*" in
    *--version) echo git version 2.54.0; exit ;;
    *'config --list'*) ;;
    *) env | grep -c '=hook.my one=.x.enabled$' >> {seen} ;;
esac
exec git "$@"
"""
    )
    program.chmod(0o755)
    world.sh(world.repo, "git config --global 'hook.my one=.x.command' $TRAP")
    world.git = CommandLineGit(str(program), environment=world.environment, pins=tmp_path / "pins")
    world.begin()
    world.sh(world.tree, "echo x > b.txt")
    seen.unlink()
    world.finish()
    assert set(seen.read_text().split()) == {"1"}
