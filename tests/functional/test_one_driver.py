"""One driver at a time: commands at one moment on one task, and a driver that is stopped, cancelled or loses its place.

Each command is a process of its own.
"""

import os
import shutil
import signal
import subprocess

import pytest

from command_line import Answer, run_aura
from conditions import until
from repositories import content, git
from sites import AURA, PATIENCE, made_site, wait

pytestmark = pytest.mark.anyio

GATE = "echo ran >> $OUT/times; until [ -e $OUT/gate ]; do sleep 0.05; done; echo done > done.txt"


@pytest.fixture
def anyio_backend():
    """The commands run in processes of their own."""
    return "asyncio"


@pytest.fixture
def site(tmp_path):
    words = ["--executor", "custom", "--base-command", "sh", "--param", "-c", "--prompt", "Work", "--attempts", "1"]
    with made_site(tmp_path, [*words, "--approval", "auto"]) as made:
        made.variables["OUT"] = str(tmp_path)
        yield made


def starts(site):
    """Return how many times the agent was started."""
    file = site.root / "times"
    return file.read_text().count("ran") if file.exists() else 0


def at_once(site, *commands):
    """Start commands; return their processes."""
    started = [
        subprocess.Popen(
            [AURA, *command],
            cwd=site.repository,
            env=site.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    site.started += started
    return started


def answer_of(process):
    out, err = process.communicate(timeout=PATIENCE)
    return Answer(process.returncode, out, err)


def aura(site, *words, **variables):
    return run_aura(*words, cwd=site.repository, **{**site.environment, **variables})


async def driven(site, script=GATE, **variables):
    """Start a run; return its process and the task's id once its agent works."""
    site.variables |= variables
    process = site.run("--param", script)
    await until(lambda: starts(site) == 1)
    (task,) = aura(site, "task", "list", "--json").objects
    return process, task["id"]


async def test_one_key_at_one_moment_is_one_run_and_all_say_what_became_of_it(site):
    words = ["run", "--no-tui", *site.words, "--param", GATE, "--key", "K"]
    processes = at_once(site, *[words] * 3)
    await until(lambda: starts(site))
    late = at_once(site, words)
    (site.root / "gate").touch()
    answers = [answer_of(process) for process in (*processes, *late)]
    assert [answer.code for answer in answers] == [0] * 4
    assert starts(site) == 1
    for answer in answers:
        told = [line for line in answer.out.splitlines() if "merged into" in line or "worktree" in line]
        assert all(line.endswith("-work") or "merged into main: " in line for line in told), told
        assert "Traceback" not in answer.err
    assert sum("merged into main" in answer.out for answer in answers) >= 3


async def test_a_run_that_is_cancelled_elsewhere_ends_its_agent_and_says_so(site):
    process, task_id = await driven(site, "echo ran >> $OUT/times; exec sleep 1000")
    assert aura(site, "task", "cancel", task_id).code == 0
    assert wait(process) == 1
    assert "error[run_cancelled]" in site.said
    await site.is_quiet()


@pytest.mark.deep
@pytest.mark.parametrize("stopped", [False, True], ids=["alive", "stopped"])
async def test_what_a_living_process_drives_is_left_to_it(site, stopped):
    """Also in another time zone, and while it is stopped for long: locks know no time."""
    process, task_id = await driven(site, TZ="Pacific/Kiritimati")
    if stopped:
        os.kill(process.pid, signal.SIGSTOP)
    resumed = aura(site, "task", "resume", task_id, TZ="America/Adak")
    assert (resumed.code, "another process drives the task" in resumed.err) == (0, True)
    retried = aura(site, "task", "retry", task_id)
    assert (retried.code, "error[wrong_state]" in retried.err) == (1, True)
    aura(site, "doctor", "--fix")
    (site.root / "gate").touch()
    if stopped:
        os.kill(process.pid, signal.SIGCONT)
    assert wait(process) == 0
    assert starts(site) == 1
    assert content(site.repository, "main", "done.txt") == "done"
    assert aura(site, "task", "resume", task_id).code == 0
    assert starts(site) == 1


@pytest.mark.deep
async def test_of_retries_at_one_moment_one_begins_and_the_others_are_told(site):
    first = site.run("--param", f"test -e $OUT/times || {{ echo ran >> $OUT/times; exit 3; }}; {GATE}")
    assert wait(first) == 3
    (task,) = aura(site, "task", "list", "--json").objects
    processes = at_once(site, *[["task", "retry", task["id"]]] * 4)
    await until(lambda: sum(process.poll() is not None for process in processes) == 3)
    await until(lambda: starts(site) == 2)
    (site.root / "gate").touch()
    answers = [answer_of(process) for process in processes]
    assert sorted(answer.code for answer in answers) == [0, 1, 1, 1]
    refused = [answer.err for answer in answers if answer.code]
    assert all("error[wrong_state]" in text and "in_progress" in text for text in refused)
    assert starts(site) == 2
    assert content(site.repository, "main", "done.txt") == "done"


def make_folder(place, aside):
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()


def make_file(place, aside):
    shutil.rmtree(place, ignore_errors=True)
    place.touch()


def make_link(place, aside):
    shutil.rmtree(place, ignore_errors=True)
    place.symlink_to(aside)


@pytest.mark.deep
@pytest.mark.parametrize("where", ["aura.db.locks", "home/locks"])
@pytest.mark.parametrize("made", [make_file, make_link])
async def test_a_folder_of_locks_that_is_none_is_an_error_of_its_own(site, where, made):
    words = ("run", "--no-tui", *site.words, "--param", "echo more >> more.txt")
    assert aura(site, *words).code == 0
    made(site.root / where, site.root / "nowhere")
    before = git(site.repository, "rev-parse", "main")
    answer = aura(site, *words)
    assert "Traceback" not in answer.err
    if answer.code:
        assert answer.code == 1
        assert "error[" in answer.err
        assert str(site.root / where) in answer.err
        assert git(site.repository, "rev-parse", "main") == before
    assert not (site.root / "nowhere").is_file()


@pytest.mark.deep
async def test_a_lock_that_was_replaced_by_a_folder_or_a_link_does_not_start_the_agent_again(site):
    process, task_id = await driven(site)
    locks = list((site.root / "aura.db.locks").iterdir())
    assert locks
    for number, lock in enumerate(locks):
        lock.unlink()
        make_link(lock, site.root / "nowhere") if number % 2 else make_folder(lock, None)
    other = aura(site, "task", "resume", task_id)
    assert "Traceback" not in other.err
    for lock in locks:
        lock.rmdir() if lock.is_dir() and not lock.is_symlink() else lock.unlink(missing_ok=True)
    (site.root / "gate").touch()
    wait(process)
    assert aura(site, "task", "resume", task_id).code == 0
    assert starts(site) == 1
    assert content(site.repository, "main", "done.txt") == "done"
    assert "Traceback" not in site.said
