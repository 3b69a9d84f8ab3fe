"""The supervisor as a process: what it costs, what it shows, and what it survives."""

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import supervised_worker
from aura_contracts.process_table import kill_processes_with_token, processes_with_token
from aura_executors.runner.new_supervisor import NewSupervisor, Supervisors
from aura_executors.supervisor import run_directory
from aura_executors.supervisor.launch import encode_request
from supervised import PATH, alive, supervisors
from supervised_worker import kept

WORKER = Path(supervised_worker.__file__)
ROUNDS = int(os.environ.get("AURA_ROUNDS", "4"))
TOKEN = f"token-of-a-test-{os.getpid()}"  # other runs of these tests end what has theirs
SECRET = "sesame-open"


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    try:
        yield
        hold(lambda: not supervisors(tmp_path))
        assert processes_with_token(TOKEN) == []
    finally:
        for pid in supervisors(tmp_path):
            os.kill(pid, signal.SIGKILL)
        kill_processes_with_token(TOKEN, timeout=1)


def hold(condition: Callable[[], object], patience: float = 60) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it does not hold"
        time.sleep(0.005)


def order(folder: Path, *argv: str, **content: object) -> bytes:
    fields = {
        "folder": str(folder),
        "token": TOKEN,
        "argv": argv,
        "cwd": "/",
        "env": {"PATH": PATH, "SECRET": SECRET},
        "interactive": False,
        "first_record": 1,
        "timeout": None,
        "idle_timeout": None,
        "grace": 30,
        "output_limit": 1 << 20,
        "after_interrupt": 0.2,
        "after_terminate": 0.2,
        "socket": "control",
        "unacknowledged": 1 << 20,
        "segment_size": 1 << 20,
        "drain_time": 0.2,
        "control_group": True,
        **content,
    }
    return encode_request(fields, None)


def supervise(folder: Path, given: bytes) -> dict[str, object]:
    """Start a supervisor as a worker does, and return what it reports; nothing when it reports nothing."""
    folder.mkdir(exist_ok=True)
    lock = run_directory.try_lock(str(folder))
    assert lock is not None
    try:
        new = NewSupervisor(sys.executable, folder.parent, {})
        new.hand_over(lock, given)
    finally:
        os.close(lock)
    report, complaint = new.report()
    assert complaint == b""
    return json.loads(report or b"{}")


def waiting_in(home: Path) -> int:
    """Return the supervisor that waits, as soon as it is detached."""
    hold(lambda: any(os.getpgid(pid) != pid for pid in supervisors(home)))
    return next(pid for pid in supervisors(home) if os.getpgid(pid) != pid)


def start(starter: Supervisors, folder: Path) -> dict[str, object]:
    """Have a process started that ends at once, and return what its supervisor reports."""
    folder.mkdir()
    lock = run_directory.try_lock(str(folder))
    assert lock is not None
    try:
        report, complaint = starter.start(lock, order(folder, "true"))
    finally:
        os.close(lock)
    assert complaint == b""
    return json.loads(report)


def pid_of(report: dict[str, object], who: str = "supervisor") -> int:
    pid: int = report[who][0]
    return pid


def exit_of(folder: Path) -> dict[str, object]:
    hold((folder / run_directory.EXIT).exists)
    return json.loads((folder / run_directory.EXIT).read_text())


def test_it_is_detached_small_and_discreet(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    began = time.monotonic()
    report = supervise(folder, order(folder, "sh", "-c", "sleep 60; true", SECRET))
    took = time.monotonic() - began
    pid = pid_of(report)
    proc = Path("/proc", str(pid))
    status = dict(line.split(":\t", 1) for line in proc.joinpath("status").read_text().splitlines() if ":\t" in line)
    fields = proc.joinpath("stat").read_text().rpartition(")")[2].split()
    assert int(fields[1]) != os.getpid(), "its parent"
    assert int(fields[3]) not in (os.getsid(0), pid), "its session, which is neither ours nor one it leads"
    assert int(fields[4]) == 0, "its terminal"
    assert int(status["Threads"]) == 1
    assert int(status["VmHWM"].split()[0]) < 16_000, "KiB"
    assert took < 30, "tens of milliseconds, on a machine that has nothing else to do"
    assert SECRET not in proc.joinpath("environ").read_text()
    assert SECRET not in proc.joinpath("cmdline").read_text()
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o077 == 0
        assert file.is_socket() or SECRET not in file.read_text()
    files = {str(file.readlink()) for file in proc.joinpath("fd").iterdir()}
    assert {"/dev/null", str(folder / "lock"), str(folder / "supervisor.log")} <= files
    os.kill(pid, signal.SIGTERM)
    assert exit_of(folder)["cause"] == "interrupted"
    assert (folder / run_directory.LOG).read_text() == ""


def test_one_that_waits_is_used_or_ends(tmp_path: Path) -> None:
    supervisors_here = Supervisors(sys.executable, tmp_path, {})
    for _ in range(2):
        supervisors_here.start_ahead()
    waiting = waiting_in(tmp_path)
    report = start(supervisors_here, tmp_path / "a")
    assert pid_of(report) == waiting
    assert exit_of(tmp_path / "a")["exit_code"] == 0
    supervisors_here.start_ahead()
    supervisors_here.dismiss()
    hold(lambda: not supervisors(tmp_path))


def test_one_that_was_killed_while_it_waited_is_replaced(tmp_path: Path) -> None:
    supervisors_here = Supervisors(sys.executable, tmp_path, {})
    supervisors_here.start_ahead()
    waiting = waiting_in(tmp_path)
    os.kill(waiting, signal.SIGKILL)
    hold(lambda: not alive(waiting))
    assert pid_of(start(supervisors_here, tmp_path / "a")) != waiting
    assert exit_of(tmp_path / "a")["exit_code"] == 0


def test_one_that_waits_ends_with_its_worker(tmp_path: Path) -> None:
    source = "import sys; from pathlib import Path; from aura_executors.runner.new_supervisor import Supervisors\n"
    source += f"waiting = Supervisors(sys.executable, Path({str(tmp_path)!r}), {{}}); waiting.start_ahead(); input()"
    with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE) as program:
        hold(lambda: supervisors(tmp_path))
        program.kill()


def test_a_terminal_does_not_disturb_it(tmp_path: Path) -> None:
    report = supervise(tmp_path / "p", order(tmp_path / "p", "sleep", "0.3"))
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(pid_of(report), number)
    ended = exit_of(tmp_path / "p")
    assert (ended["cause"], ended["exit_code"]) == ("own", 0)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("cut", [0, 5, 100, -1])
def test_an_order_that_is_not_whole_starts_nothing(tmp_path: Path, cut: int) -> None:
    folder = tmp_path / "p"
    assert supervise(folder, order(folder, "touch", str(tmp_path / "ran"))[:cut]) == {}
    lock = None
    while lock is None:
        lock = run_directory.try_lock(str(folder))
    os.close(lock)
    assert not (folder / run_directory.RUNNING).exists()
    assert not (tmp_path / "ran").exists()
    report = supervise(folder, order(folder, "touch", str(tmp_path / "ran")))
    assert exit_of(folder)["exit_code"] == 0
    assert report["token"] == TOKEN
    assert (tmp_path / "ran").exists()


def test_it_holds_the_lock_as_long_as_it_lives(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    report = supervise(folder, order(folder, "sleep", "60"))
    assert run_directory.try_lock(str(folder)) is None
    os.kill(pid_of(report), signal.SIGKILL)
    hold(lambda: not alive(pid_of(report)) and not alive(pid_of(report, "agent")))
    with (folder / "lock").open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_failure_of_its_own_ends_the_agent_and_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    report = supervise(folder, order(folder, "sleep", "60", drain_time="not a number", timeout=0.1))
    ended = exit_of(folder)
    assert ended["cause"] == "vanished"
    assert "TypeError" in ended["message"]
    assert "TypeError" in (folder / run_directory.LOG).read_text()
    assert not alive(pid_of(report, "agent"))


def worker(home: Path, file: Path, *argv: str) -> "subprocess.Popen[str]":
    command = (sys.executable, str(WORKER), str(home), TOKEN, str(file), *argv)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


PRINTER = """
import os, sys, time
number = 0
while not os.path.exists(sys.argv[1]):
    for _ in range(40):
        print(number, "x" * 50, flush=True)
        number += 1
    time.sleep(0.002)
print(number, "x" * 50, flush=True)  # so that something comes after the last worker was killed
"""


@pytest.mark.deep
def test_a_worker_is_killed_while_output_comes_and_none_is_lost_or_doubled(tmp_path: Path) -> None:
    file, enough = tmp_path / "kept", tmp_path / "enough"
    command = (sys.executable, "-c", PRINTER, str(enough))
    dice = random.Random(4)
    seen = [0]
    for _ in range(ROUNDS):
        running = worker(tmp_path, file, *command)
        assert [line_of(running), line_of(running)] == ["starting", "started"]
        hold(lambda: file.stat().st_size > 0)
        time.sleep(dice.random() * 0.2)
        kill(running)
        seen.append(kept(file)[0])
    enough.touch()
    last = worker(tmp_path, file, *command)
    assert last.communicate()[0].splitlines() == ["starting", "started", "own 0"]
    lines = kept(file)[2].splitlines()
    assert lines == [b"%d %s" % (n, b"x" * 50) for n in range(len(lines))]
    assert 0 < seen[1] <= seen[-1] < kept(file)[0]


@pytest.mark.deep
def test_a_starter_is_killed_at_any_moment_and_one_agent_runs(tmp_path: Path) -> None:
    dice = random.Random(5)
    for number in range(ROUNDS):
        home = tmp_path / str(number)
        ran = tmp_path / f"ran-{number}"
        command = ("sh", "-c", f"echo ran >> {ran}; exit 3")
        first = worker(home, tmp_path / f"a-{number}", *command)
        assert line_of(first) == "starting"
        time.sleep(dice.random() * 0.06)
        kill(first)
        second = worker(home, tmp_path / f"b-{number}", *command)
        assert second.communicate()[0].splitlines() == ["starting", "started", "own 3"]
        assert ran.read_text() == "ran\n"
