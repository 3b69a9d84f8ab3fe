"""Control groups, where this machine permits them: what leaves its family and its environment is found all the same."""

# ruff: noqa: ASYNC222, ASYNC240 - what blocks here is short, and part of the test

import os
import signal
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from aura_contracts.ports.processes import ExitCause, RunningProcess
from aura_executors.runner.supervised_runner import SupervisedRunner
from aura_executors.supervisor import control_group, run_directory
from aura_executors.supervisor.control_group import ControlGroup, Unavailable, group_at, group_for
from conditions import until
from supervised import alive, first_line, make_runner, program, runner, shell, spec, stdout

__all__ = ["runner"]


def permitted() -> bool:
    """Whether a group can be made here."""
    try:
        group = group_for(f"probe-{uuid4()}")
    except (OSError, Unavailable):
        return False
    pid = sleeper(group)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    group.remove()
    return not group.refused


def sleeper(group: ControlGroup) -> int:
    """Start a process in the group, and return its pid."""
    pid = group.fork()
    if pid == 0:
        os.execv("/bin/sleep", ("sleep", "60"))
    return pid


def add(group: ControlGroup, pid: int) -> None:
    Path(group.path, "cgroup.procs").write_text(str(pid))


needs_groups = pytest.mark.skipif(not permitted(), reason="no control group may be made here")

HIDER = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        script = "trap '' INT TERM; echo $$ > $0.new; mv $0.new $0; while :; do sleep 1; done"
        os.execve("/bin/sh", ["sh", "-c", script, sys.argv[1]], {"PATH": os.environ["PATH"]})
    os._exit(0)
os.wait()
signal.signal(signal.SIGINT, signal.SIG_DFL)
print("ready", flush=True)
time.sleep(60)
"""
"""Starts one that has no token, a session of its own, and no parent that is left."""


def hider(there: Path, **fields: object):
    return spec(sys.executable, "-I", "-S", "-c", HIDER, str(there), **fields)


def running_of(home: Path, process: RunningProcess) -> dict[str, object]:
    folder = home / "processes" / process.process.identity.token
    return run_directory.read_json(str(folder / run_directory.RUNNING)) or {}


def group_of(home: Path, process: RunningProcess) -> ControlGroup:
    return ControlGroup(str(running_of(home, process)["control_group"]))


@needs_groups
@pytest.mark.anyio
class TestSupervised:
    @pytest.mark.deep_but_first
    async def test_all_that_an_agent_starts_is_in_its_group(self, runner: SupervisedRunner, tmp_path: Path) -> None:
        process = await runner.start(hider(tmp_path / "there"))
        await until((tmp_path / "there").exists)
        group = group_of(tmp_path, process)
        hidden = int((tmp_path / "there").read_text())
        assert {process.process.identity.pid, hidden} <= set(group.members())
        await process.interrupt()
        assert (await process.wait()).survivors >= 1
        assert not alive(hidden)
        assert not Path(group.path).exists()

    async def test_who_hides_is_found_when_the_supervisor_was_killed(
        self, runner: SupervisedRunner, tmp_path: Path
    ) -> None:
        process = await runner.start(hider(tmp_path / "there"))
        await until((tmp_path / "there").exists)
        group = group_of(tmp_path, process)
        hidden = int((tmp_path / "there").read_text())
        supervisor = running_of(tmp_path, process)["supervisor"]
        os.kill(supervisor[0], signal.SIGKILL)
        ended = await process.wait()
        assert ended.cause == ExitCause.VANISHED
        assert ended.survivors >= 1
        await until(lambda: not alive(hidden))
        assert not Path(group.path).exists()

    async def test_who_hides_is_found_when_the_supervisor_was_killed_and_nobody_was_there(
        self, runner: SupervisedRunner, tmp_path: Path
    ) -> None:
        asked = hider(tmp_path / "there")
        async with make_runner(tmp_path) as before:
            process = await before.start(asked)
            await until((tmp_path / "there").exists)
        group = group_of(tmp_path, process)
        hidden = int((tmp_path / "there").read_text())
        os.kill(running_of(tmp_path, process)["supervisor"][0], signal.SIGKILL)
        again = await runner.start(asked)
        assert (await again.wait()).cause == ExitCause.VANISHED
        await until(lambda: not alive(hidden))
        assert not Path(group.path).exists()

    @pytest.mark.deep
    async def test_groups_below_the_group_are_searched_and_removed(
        self, runner: SupervisedRunner, tmp_path: Path
    ) -> None:
        process = await runner.start(shell("echo ready; read line; sleep 60 & wait", interactive=True))
        await first_line(process)
        group = group_of(tmp_path, process)
        below = ControlGroup(f"{group.path}/a/b")
        Path(below.path).mkdir(parents=True)
        add(below, process.process.identity.pid)
        await process.write(b"\n")
        await until(lambda: len(below.members()) == 2)
        assert set(group.members()) == set(below.members())
        await process.interrupt()
        await process.wait()
        assert not Path(group.path).exists()

    @pytest.mark.deep_but_first
    async def test_processor_time_of_the_group_counts(self, runner: SupervisedRunner) -> None:
        busy = "import time\nwhile time.process_time() < 0.3: pass"
        ended = await (await runner.start(program(busy))).wait()
        assert 0.3 <= (ended.cpu_seconds or 0) < 3

    async def test_what_cannot_be_started_leaves_no_group(self, runner: SupervisedRunner, tmp_path: Path) -> None:
        asked = spec("no-such-program")
        with pytest.raises(Exception, match="not found"):
            await runner.start(asked)
        assert not Path(control_group._own_folder(), f"aura-{asked.token}").exists()

    async def test_an_empty_group_of_the_same_name_is_replaced(self, runner: SupervisedRunner, tmp_path: Path) -> None:
        asked = shell("echo ready; sleep 60")
        Path(control_group._own_folder(), f"aura-{asked.token}").mkdir()
        process = await runner.start(asked)
        assert process.process.identity.pid in group_of(tmp_path, process).members()
        await process.interrupt()
        await process.wait()

    async def test_a_group_in_which_others_live_is_left_alone(self, runner: SupervisedRunner, tmp_path: Path) -> None:
        asked = shell("echo ready; sleep 60")
        group = group_for(asked.token)
        other = sleeper(group)
        try:
            process = await runner.start(asked)
            running = running_of(tmp_path, process)
            assert running["control_group"] == ""
            assert "busy" in str(running["no_control_group"])
            await process.interrupt()
            await process.wait()
            assert group.members() == [other]
        finally:
            group.remove()
            os.waitpid(other, 0)


@pytest.mark.deep
@pytest.mark.anyio
async def test_without_groups_all_is_as_before(tmp_path: Path, runner: SupervisedRunner) -> None:
    async with make_runner(tmp_path, control_groups=False) as plain:
        process = await plain.start(shell("echo hello; sleep 60 & exit 3"))
        assert await stdout(process) == b"hello\n"
        ended = await process.wait()
        assert (ended.exit_code, ended.survivors) == (3, 1)
        assert running_of(tmp_path, process)["control_group"] == ""


def test_the_group_of_another_token_is_not_touched() -> None:
    assert group_at("/groups/aura-1", "2") is None
    assert group_at("", "2") is None
    group = group_at("/groups/aura-2", "2")
    assert group is not None
    assert (group.members(), group.cpu_seconds()) == ([], 0.0)
    group.kill()
    group.remove()


@needs_groups
def test_a_group_kills_and_goes() -> None:
    token = str(uuid4())
    group = group_for(token)
    pid = sleeper(group)
    assert group.members() == [pid]
    with pytest.raises(OSError, match="busy"):
        group_for(token)
    group.kill()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert group.members() == []
    group.remove()
    group.remove()
    assert not Path(group.path).exists()


def test_a_fork_that_is_refused_is_an_ordinary_one() -> None:
    group = ControlGroup("/no/such/group")
    pid = group.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert "No such file" in group.refused


def test_a_system_without_groups_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: str, *_: object, **__: object) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(control_group, "open", missing, raising=False)
    with pytest.raises(Unavailable, match="no control groups"):
        group_for("1")
