"""Opening an engine: every argument is checked before anything is opened."""

import os
import subprocess
import sys

import pytest

from aura_contracts.errors import InvalidInput
from aura_engine import Host, RunRequest, open_engine, open_engine_sync

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", 5),
        ("url", ""),
        ("url", "sqlite:///\ud800"),
        ("user", ""),
        ("user", " "),
        ("user", 5),
        ("user", "\ud800"),
        ("user", "a:b"),
        ("home", 5),
        ("home", ""),
        ("project", 5),
        ("executors", "custom"),
        ("executors.0", ["custom"]),
        ("executions", 0),
        ("executions", -1),
        ("executions", "a"),
        ("executions", True),
        ("executions_of", 5),
        ("executions_of.custom", {"custom": 0}),
        ("grace", float("nan")),
        ("grace", -1),
        ("grace", "x"),
        ("grace", 10**9),
        ("drive_all", 1),
        ("read_only", "yes"),
        ("encryption_key", ""),
        ("encryption_key", 5),
        ("compression", 5),
        ("outage_timeout", "x"),
        ("outage_timeout", -1),
        ("host", 5),
    ],
)
async def test_a_bad_argument_is_refused_with_field_reason_and_remedy(tmp_path, field, value):
    url = f"sqlite:///{tmp_path / 'aura.db'}"
    arguments = {"url": url, "home": tmp_path / "home", field.partition(".")[0]: value}
    with pytest.raises(InvalidInput) as refused:
        async with open_engine(**arguments):
            pass
    assert refused.value.field == field
    assert refused.value.reason
    assert refused.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hindrance", ["read_only", "record_only", "auditing"])
async def test_an_engine_that_drives_nothing_cannot_drive_all(tmp_path, hindrance):
    with pytest.raises(InvalidInput) as refused:
        async with open_engine("memory:", home=tmp_path, drive_all=True, **{hindrance: True}):
            pass
    assert refused.value.field == "drive_all"


@pytest.mark.parametrize("arguments", [{"drive_all": True}, {"agents": {"helper": print}}])
async def test_an_observer_drives_nothing_and_runs_no_agents(tmp_path, arguments):
    host = Host(environment={"AURA_USER": "carol", "AURA_ROLE": "observer", "PATH": "/usr/bin:/bin"})
    with pytest.raises(InvalidInput, match="carol is an observer") as refused:
        async with open_engine("memory:", home=tmp_path, host=host, **arguments):
            pass
    assert refused.value.field in arguments
    async with open_engine("memory:", home=tmp_path, host=host) as engine:
        assert engine.user == "carol"


async def test_aura_user_is_checked_like_the_argument(tmp_path):
    with pytest.raises(InvalidInput, match="AURA_USER"):
        async with open_engine("memory:", home=tmp_path, host=Host(environment={"AURA_USER": "a:b"})):
            pass


def test_the_synchronous_engine_checks_too(tmp_path):
    with pytest.raises(InvalidInput, match="executions"):
        open_engine_sync("memory:", home=tmp_path, executions=0)


async def test_a_read_only_url_names_its_file(tmp_path):
    url = f"sqlite:///{tmp_path / 'aura.db'}"
    async with open_engine(url, home=tmp_path, user="alice") as engine:
        await engine.tasks.create("one")
    async with open_engine(f"{url}?mode=ro", home=tmp_path, user="alice") as engine:
        assert (await engine.store.get()).bytes["file"] > 0


NAMELESS = """
import os, sys
from aura_contracts.errors import InvalidInput
from aura_engine import open_engine_sync
os.setresuid(54321, 0, 0)  # the login name is that of the real user; files are accessed as the effective one
url, home = sys.argv[1:]
with open_engine_sync(url, home=home, read_only=True) as engine:
    print(len(engine.tasks.list().rows))
    try:
        engine.user
    except InvalidInput as error:
        print(error.field)
try:
    open_engine_sync(url, home=home)
except InvalidInput as error:
    print(error.field)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without a name")
def test_a_read_only_engine_needs_no_name_of_the_user(tmp_path):
    url = f"sqlite:///{tmp_path / 'aura.db'}"
    with open_engine_sync(url, home=tmp_path / "home", user="alice") as engine:
        engine.tasks.create("one")
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", NAMELESS, url, tmp_path / "home"],
        env=environment, cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["1", "AURA_USER", "AURA_USER"], done.stderr


async def test_an_invalid_profile_file_stops_commands_and_not_reading(tmp_path):
    url = f"sqlite:///{tmp_path / 'aura.db'}"
    async with open_engine(url, home=tmp_path, user="alice") as engine:
        task = await engine.tasks.create("one")
    (tmp_path / "profiles.toml").write_text("[custom\n")
    with pytest.raises(InvalidInput, match=r"profiles\.toml"):
        async with open_engine(url, home=tmp_path, user="alice"):
            pass
    async with open_engine(url, home=tmp_path, user="alice", read_only=True) as engine:
        assert not (await engine.attach(task.id)).driven
        assert "custom" in [executor.name for executor in await engine.executors.list()]
        (finding,) = [one for one in await engine.doctor.list() if one.status == "wrong"]
        assert (finding.kind, finding.id) == ("profiles", str(tmp_path / "profiles.toml"))
        with pytest.raises(InvalidInput, match=r"profiles\.toml"):
            await engine.executors.check(RunRequest(prompt="Go", executor="custom"))


def test_a_folder_that_was_removed_is_told(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with pytest.raises(InvalidInput, match="the current folder: it was removed"):
        Host()
