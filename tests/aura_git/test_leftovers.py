"""What a killed caller's git left running: only what keeps the lock that is waited for is ended."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from aura_git.commandline._leftovers import VARIABLE, end_holders_left_by_the_dead, this_process

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere, it is not found")

DEAD = "999999999-1-0"
"""The token of a call whose caller has ended: no system has so many processes."""

Start = Callable[[Path, Mapping[str, str]], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that holds a lock and has the given environment."""
    with ExitStack() as ends:

        def started(lock: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
            with lock.open("w") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                process = subprocess.Popen(["/bin/sleep", "600"], env=environment, pass_fds=[file.fileno()])
            ends.callback(process.wait)
            ends.callback(process.kill)
            return process

        yield started


def test_who_holds_another_lock_goes_on(start: Start, tmp_path: Path) -> None:
    mine = start(tmp_path / "mine", {VARIABLE: DEAD})
    other = start(tmp_path / "other", {VARIABLE: DEAD})
    end_holders_left_by_the_dead(str(tmp_path / "mine"))
    assert mine.wait(10) == -9
    assert other.poll() is None


@pytest.mark.parametrize(
    "environment",
    [
        {"ELSEWHERE": f"{VARIABLE}={DEAD}"},
        {VARIABLE: ""},
        {VARIABLE: "a-b-c"},
        {VARIABLE: "9--"},
        {VARIABLE: f"{'9' * 30}--0"},
        {VARIABLE: f"{'9' * 5000}-1-0"},
        {VARIABLE: f"{this_process()}-0"},
        {VARIABLE: f"{os.getpid()}--0"},
    ],
)
def test_who_was_not_started_by_a_dead_caller_goes_on(
    start: Start, tmp_path: Path, environment: Mapping[str, str]
) -> None:
    holder = start(tmp_path / "lock", environment)
    left = start(tmp_path / "lock", {VARIABLE: DEAD})
    end_holders_left_by_the_dead(str(tmp_path / "lock"))
    assert left.wait(10) == -9, "what others have in their environment does not keep it"
    assert holder.poll() is None


def test_a_lock_whose_file_is_gone_has_no_holders(start: Start, tmp_path: Path) -> None:
    left = start(tmp_path / "lock", {VARIABLE: DEAD})
    end_holders_left_by_the_dead(str(tmp_path / "gone"))
    assert left.poll() is None
