"""What holds for every command, as scripts rely on it: options, exit codes, streams, errors. Real processes."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aura_cli
from aura_cli.arguments.program import COMMANDS
from aura_contracts import __version__
from command_line import AURA, ENVIRONMENT, call_aura, run_aura, running_aura

LISTS = [("events",), ("replay",), ("replay", "--diff", "30"), ("audit", "verify"), ("audit", "export"), ("db", "info")]


def test_the_version_is_that_of_the_package():
    answer = run_aura("--version")
    assert (answer.code, answer.out, answer.err) == (0, f"aura {__version__}\n", "")


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS), ("audit", "export")])
def test_help_is_for_people(words):
    answer = call_aura(*words, "--help")
    assert answer.code == 0
    assert answer.out.startswith("usage: aura")
    assert "--store URL" in answer.out
    assert answer.err == ""


# --- Start-up ---------------------------------------------------------------------------------------------------------


def seconds(*command: str) -> float:
    """Return how long a command takes."""
    start = time.perf_counter()
    subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def test_starting_costs_little_more_than_the_interpreter():
    """The quickest of up to 40 runs each, in turns: other work on the machine only ever makes them slower."""
    bare = ours = float("inf")
    for _ in range(40):
        bare = min(bare, seconds(sys.executable, "-c", "pass"))
        ours = min(ours, seconds(AURA, "--version"))
        if ours < 2.5 * bare:
            break
    assert ours < 3 * bare


def test_the_version_is_told_without_importing_anything_of_weight():
    code = "import sys; from aura_cli.main import main; main(['--version']); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"msgspec", "attrs", "anyio", "asyncio", "aura_contracts", "logging", "typing", "importlib.metadata"}
    before = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not heavy & set(done.stdout.split()) - set(before.stdout.split())


READING = [("task", "list"), ("approval", "list"), ("agent", "list"), ("session", "list"), ("events",), ("replay",)]

NOT_FOR_READING = (
    *("aura_executors", "aura_git", "aura_worker", "aura_worker_protocol", "aura_workspace", "aura_store.postgres"),
    *("aura_engine.agent_tools", "aura_engine.blocking", "aura_engine.inputs", "aura_engine.profiles"),
    *("aura_engine.bootstrap.services", "aura_engine.bootstrap.worker"),
    *("aura_engine.decisions.deciders", "aura_engine.decisions.task"),
    *("aura_engine.runtime.driver", "aura_engine.runtime.follower", "aura_engine.runtime.gateway"),
    *("aura_engine.facade.doctor", "aura_engine.facade.placement", "aura_engine.facade.watch"),
    *("aura_contracts.ports.executors", "aura_contracts.secrets"),
    *("difflib", "dulwich", "eventsourcing", "getpass", "importlib.metadata", "jinja2", "json", "pydantic", "tomllib"),
)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads_imports_nothing_that_drives_tasks(command, store):
    code = "import sys; from aura_cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    words = [sys.executable, "-c", code, *command, "--quiet", "--store", store]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert not [
        name for name in done.stderr.split() if f"{name}.".startswith(tuple(f"{one}." for one in NOT_FOR_READING))
    ]


# --- Exit codes and errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("events", "--since", "minus one"),
        ("events", "--since", "-1"),
        ("events", "--tas", "x"),
        ("replay", "--at", "yesterday"),
        ("replay", "--at", "2026-01-04T10:00:00"),
        ("replay", "--at", "2026-02-30"),
        ("usage", "--since", "2026-1-4"),
        ("run", "--executor", "custom"),
        ("run", "--executor", "custom", "--prompt", "a", "--prompt-file", "b"),
        ("audit",),
        ("audit", "verify", "--root", "57"),
        ("audit", "verify", "--root", f"0={'0' * 64}"),
        ("--compression", "rar", "events"),
    ],
)
def test_wrong_usage_is_2(words):
    answer = call_aura(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert "error[usage]: " in answer.err
    assert "--help" in answer.err


@pytest.mark.parametrize("words", [("--version",), ("--version", "demo"), ("--version", "events", "--since", "0")])
def test_the_version_is_told_and_nothing_is_run(words):
    answer = call_aura(*words)
    assert (answer.code, answer.out, answer.err) == (0, f"aura {__version__}\n", "")
    for line in (("--json", *words), (*words, "--json")):
        assert call_aura(*line).objects == [{"id": "aura", "version": __version__}]


def test_wrong_usage_is_an_object_with_json():
    answer = run_aura("events", "--since", "x", "--json")
    assert (answer.code, answer.out) == (2, "")
    assert answer.error["code"] == "usage"
    assert answer.error["remedy"] == "see aura events --help"


@pytest.mark.parametrize("command", LISTS)
def test_a_store_that_is_not_there_is_an_error_and_is_not_made(command, tmp_path):
    answer = call_aura(*command, "--store", f"sqlite:///{tmp_path}/none.db")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error[store_misconfigured]: ")
    assert "\n  hint: " in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("audit", "checkpoint"), ("db", "rebuild")])
def test_a_command_that_writes_does_not_make_an_empty_store(command, tmp_path):
    answer = call_aura(*command, "--json", "--store", f"sqlite:///{tmp_path}/none.db")
    assert (answer.code, answer.error["code"]) == (1, "store_misconfigured")
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_an_object_on_stderr_with_json(store):
    answer = call_aura("--json", "events", "--task", "0000", "--store", store)
    assert (answer.code, answer.out) == (1, "")
    assert answer.error == {
        "code": "not_found",
        "message": "there is no task 0000",
        "remedy": "`aura task list` lists the tasks",
        "facts": {"aggregate": "task", "aggregate_id": "0000", "command": "find"},
    }


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    path = tmp_path / "aura.db"
    path.write_text("not a database, but long enough to look like one might " * 20)
    answer = run_aura("events", "--store", f"sqlite:///{path}")
    assert answer.code == 1
    assert answer.err.startswith("error[log_damaged]: ")
    assert "Traceback" not in answer.err


def test_a_defect_shows_its_traceback_only_when_asked(store):
    words = ("events", "--store", store)
    broken = f"import sys; sys.modules['anyio'] = None; from aura_cli.main import main; sys.exit(main({words!r}))"
    for debug in ("", "1"):
        done = subprocess.run(
            [sys.executable, "-c", broken],
            env=ENVIRONMENT | {"AURA_DEBUG": debug},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "error[internal]: " in done.stderr
        assert ("Traceback" in done.stderr) is bool(debug)


# --- Streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@pytest.mark.parametrize("command", [*LISTS, *READING, ("usage",), ("workspace", "list"), ("executors",)])
def test_json_is_one_object_a_line_and_nothing_else(command, store):
    """As a process, which writes what it has buffered before it ends without ceremony."""
    answer = run_aura(*command, "--json", "--store", store)
    assert (answer.code, answer.err) == (0, "")
    assert answer.objects or command not in LISTS  # in the story no question is open, and no session was reported
    assert all(isinstance(each, dict) and each["id"] for each in answer.objects)
    if command != ("executors",):  # which depends on the programs of the machine at that moment
        assert answer == call_aura(*command, "--json", "--store", store)


@pytest.mark.parametrize("command", LISTS)
def test_options_of_every_command_stand_before_or_after_it(command, store):
    before = call_aura("--store", store, "--json", *command)
    assert before == call_aura(*command, "--store", store, "--json")
    assert before.code == 0


@pytest.mark.parametrize("command", LISTS)
def test_quiet_leaves_stderr_empty(command, store):
    answer = call_aura(*command, "--quiet", "--store", store)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == call_aura(*command, "--store", store).out


def test_the_store_may_come_from_the_environment(store):
    assert run_aura("events", AURA_STORE=store).out == call_aura("events", "--store", store).out


def test_the_store_is_in_the_folder_that_aura_home_names(told, tmp_path):
    (tmp_path / "aura.db").write_bytes(told.read_bytes())
    assert call_aura("events", "--json", AURA_HOME=str(tmp_path)).code == 0
    assert run_aura("events", "--json", cwd=tmp_path, AURA_HOME=".").code == 0


def test_the_store_is_in_the_users_data_folder_otherwise(tmp_path):
    (store,) = call_aura("db", "info", "--json", HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path / "data")).objects
    assert store["id"].startswith(f"sqlite:///{tmp_path}")


@pytest.mark.deep
def test_an_encrypted_compressed_store_is_read_with_its_key_and_audited_without(tmp_path):
    store = f"sqlite:///{tmp_path}/aura.db"
    key = {"AURA_ENCRYPTION_KEY": "MDEyMzQ1Njc4OWFiY2RlZg=="}
    assert run_aura("demo", "--store", store, "--compression", "zlib", **key).code == 0
    assert call_aura("events", "--store", store, AURA_COMPRESSION="zlib", **key).code == 0
    refused = call_aura("events", "--store", store, "--json")
    assert (refused.code, refused.error["code"]) == (1, "store_misconfigured")
    assert key["AURA_ENCRYPTION_KEY"] not in refused.err
    reading = key | {"AURA_COMPRESSION": "zlib"}
    with_key, without = (
        call_aura("audit", "verify", "--store", store, "--json", **e).objects[0] for e in (reading, {})
    )
    assert (with_key["checkpoints"], with_key["unread"]) == (1, 0)
    assert (without["checkpoints"], without["unread"]) == (0, 1)
    assert with_key["root"] == without["root"]
    assert "AURA_ENCRYPTION_KEY" in call_aura("audit", "verify", "--store", store).err


def test_text_that_would_move_the_cursor_is_escaped(tmp_path):
    from aura_contracts.quoting import printable

    assert printable("a\x1b[2Jb\rc\u202ed\ne") == "a\\x1b[2Jb\\rc\\u202ed\ne"
    assert printable("Grüße, 日本 → ok") == "Grüße, 日本 → ok"


def test_output_that_the_encoding_cannot_express_is_escaped(store):
    answer = run_aura("replay", "--diff", "40", "--store", store, PYTHONIOENCODING="ascii")
    assert answer.code == 0
    assert "\\u2192" in answer.out


# --- Colour -----------------------------------------------------------------------------------------------------------


def on_a_terminal(*words: str, **environment: str) -> str:
    """Return what the command writes on a terminal."""
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen([AURA, *words], env=ENVIRONMENT | {"TERM": "xterm"} | environment, stdout=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while block := os.read(ours, 65536):
                seen += block
        except OSError:  # Linux says so when the other end is closed
            pass
        os.close(ours)
        assert process.wait(60) == 0
    return seen.decode()


@pytest.mark.deep
def test_colour_is_for_terminals_that_want_it(store):
    words = ("audit", "verify", "--store", store)
    assert "\x1b[" in on_a_terminal(*words)
    assert "\x1b[" not in on_a_terminal(*words, NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(*words, TERM="dumb")
    assert "\x1b[" not in on_a_terminal(*words, "--no-color")
    assert "\x1b[" not in run_aura(*words).out


# --- Pipes and signals ------------------------------------------------------------------------------------------------


def test_a_closed_pipe_ends_the_command_quietly(store):
    with subprocess.Popen(
        [AURA, "audit", "export", "--store", store], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


def test_a_full_disk_is_an_error(store):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [AURA, "events", "--store", store],
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error[system]: ")


def test_closed_streams_do_no_harm(store):
    done = subprocess.run(f"exec {AURA} events --store {store} >&- 2>&-", shell=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0


@pytest.mark.deep
def test_follow_shows_what_another_process_records_until_it_is_interrupted(store):
    head = run_aura("events", "--json", "--store", store).objects[-1]["position"]
    with running_aura("events", "--follow", "--json", "--store", store, "--since", head - 1) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["position"] == head
        assert run_aura("audit", "checkpoint", "--store", store).code == 0
        seen = json.loads(process.stdout.readline())
        assert (seen["position"], seen["type"]) == (head + 1, "ledger.checkpointed")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


INTERRUPTED_IMPORT = """
import os, signal, sys
from importlib.abc import MetaPathFinder
module = sys.argv.pop(1)
class Interrupter(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupter())
from aura_cli.main import program
program()
"""


@pytest.mark.parametrize(
    "module", ["argparse", "aura_cli.commands.task", "aura_contracts", "msgspec", "anyio", "aura_engine"]
)
def test_an_interrupt_while_the_program_is_loaded_is_no_error(store, module):
    command = [sys.executable, "-c", INTERRUPTED_IMPORT, module, "task", "list", "--store", store]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr in {"interrupted\n", ""}, "nothing is left to say of a command that has begun"


def test_an_interrupted_demo_leaves_nothing_behind(tmp_path):
    with running_aura("demo", TMPDIR=str(tmp_path)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert list(tmp_path.iterdir()) == []


# --- The edge ---------------------------------------------------------------------------------------------------------


def test_the_contract_of_every_command_is_in_its_help():
    """The names of the specification's options do not change: scripts use them."""
    events = call_aura("events", "--help").out
    assert all(option in events for option in ("--task", "--execution", "--stream", "--type", "--since", "--follow"))
    replay = call_aura("replay", "--help").out
    assert all(option in replay for option in ("--task", "--stream", "--at", "--diff"))


def test_every_command_is_a_module():
    folder = Path(aura_cli.__file__).parent / "commands"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert modules == set(COMMANDS)
    assert all(re.fullmatch(r"[a-z]+", name) for name in modules)


@pytest.mark.deep
def test_every_command_works_on_postgres(postgres_url):
    for words in (("demo",), ("db", "rebuild"), ("audit", "checkpoint"), *LISTS, ("db", "check")):
        answer = call_aura(*words, "--store", postgres_url)
        assert answer.code == 0, (words, answer.err)
    assert len(call_aura("events", "--json", "--store", postgres_url).objects) > 50


@pytest.mark.parametrize("scheme", ["postgress", "postgresql+psycopg", "sqlite"])
def test_a_password_is_not_shown(scheme):
    answer = call_aura("events", "--store", f"{scheme}://alice:s3cret@localhost/aura")
    assert answer.code == 1
    assert "s3cret" not in answer.out + answer.err


WRONG = """\
tsk; run; task; task shw; task show x; task show ''; approval approve ''; approval show x; --store
events --type task.creatd; events --since yesterday; events --since 2026-13-01; events --task x
task create ''; task create x --priority huge; task create x --after zzz; task create x --due never
run --executor cluade --prompt x; run --executor custom --prompt x; run --executor '' --prompt x
run --executor custom --base-command true --prompt ''; run --executor custom --prompt-file /nope
agent show x; agent add a --executor nope; project show x; board show x; workspace show x; link show x
session list --executor nope x; template show nope; policy check /nope; db check x; usage --by nothing
audit verify --root 57; replay --at yesterday; stats --since never; doctor x; executors nope; help nope
"""


@pytest.mark.parametrize("words", re.split(r"[;\n] *", WRONG.strip()))
def test_every_error_is_one_object_with_json(words, store):
    for line in ([*shlex.split(words), "--json"], ["--json", *shlex.split(words)]):
        answer = call_aura(*line, AURA_STORE=store)
        assert answer.code in (1, 2)
        assert answer.out == ""
        assert len(answer.err.splitlines()) == 1
        assert {"code", "message", "remedy"} <= answer.error.keys()
        assert answer.error["message"]
        assert answer.code == (2 if answer.error["code"] == "usage" else 1)
