"""A real project from prompt to merge: Sphinx with its 1,870 files, a shell script as the agent, ruff as the formatter.

Needs a package index the first time; what was downloaded is kept in pytest's cache.
"""

import shlex
import shutil
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from aura_contracts.approval import ApprovalKind
from aura_contracts.output import OutputRecorded
from aura_contracts.task import RetryPolicy, TaskStatus
from aura_contracts.workspace import WorkspaceStatus
from aura_engine import open_engine
from engines import everything, open_questions, settled
from repositories import branches, content, git, worktrees

pytestmark = pytest.mark.anyio

PROJECT, FORMATTER = "Sphinx==8.1.3", "ruff"

EDITED = [
    f"sphinx/util/{name}.py"
    for name in (
        "_io",
        "_lines",
        "_uri",
        "build_phase",
        "display",
        "http_date",
        "index_entries",
        "osutil",
        "png",
        "rst",
    )
]
ADDED = ["doc/a note ü.txt", "sphinx/util/marked.py"]
DELETED = "sphinx/util/texescape.py"
RENAMED = ("sphinx/util/tags.py", "sphinx/util/tag_sets.py")

UGLY = "\n\ndef mark( ) :\n    return {'by' : 'agent'}\n"
TIDY = "\n\ndef mark():\n    return {'by': 'agent'}\n"

AGENT = f"""
set -e
author=$(printf '%s' "$AURA_PROMPT" | sed -n 's/.*the author is \\([A-Z][a-z]*\\).*/\\1/p')
if [ -n "$author" ]; then
    printf '%s' "$AURA_PROMPT" > "$NOTES/follow-up"
    echo "author = '$author' # as the review says" >> sphinx/util/marked.py
    exit
fi
printf '%s' "$AURA_PROMPT" > "$NOTES/first"
python_code={shlex.quote(UGLY)}
for file in {" ".join(EDITED)}; do printf '%s' "$python_code" >> "$file"; done
printf 'A note.\\n' > {shlex.quote(ADDED[0])}
printf '%s' "$python_code" > {ADDED[1]}
rm {DELETED}
mv {RENAMED[0]} {RENAMED[1]}
echo edited
"""

FORMAT = """
git diff --name-only -z --diff-filter=AM main -- '*.py' |
    xargs -0 .deps/bin/ruff format --isolated --config "format.quote-style='preserve'"
"""


# --- The project ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def downloads(request):
    """A folder with the source distribution and a wheel of the formatter, downloaded once."""
    folder = request.config.cache.mkdir("real-project")
    wanted = {"sphinx-*.tar.gz": ["--no-binary", "Sphinx", PROJECT], "ruff-*.whl": [FORMATTER]}
    for pattern, words in wanted.items():
        if not list(folder.glob(pattern)):
            download(folder, words)
    return folder


def download(folder, words):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        trouble = done.stderr.strip() if done.returncode else ""
    except subprocess.TimeoutExpired:
        trouble = "it took longer than 300 s"
    if trouble:
        last = trouble.splitlines()[-1]
        pytest.skip(f"{words[-1]} cannot be downloaded ({last}): have pip reach a package index once, it is kept")


@pytest.fixture(scope="session")
def origin(downloads, tmp_path_factory):
    """The project as a repository with one commit."""
    folder = tmp_path_factory.mktemp("origin")
    (archive,) = downloads.glob("sphinx-*.tar.gz")
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    (project,) = folder.iterdir()
    git(project, "init", "-q", "-b", "main")
    git(project, "add", "-A")
    git(project, "commit", "-q", "-m", "Sphinx")
    return project


@pytest.fixture
def checkout(origin, tmp_path):
    """The clone of a user, who has a stash, a change that is not committed, and a new file."""
    where = tmp_path / "sphinx"
    git(tmp_path, "clone", "-q", str(origin), str(where))
    (where / ".git/info/exclude").write_text(".deps/\n")
    (where / "AUTHORS.rst").write_text("to be continued\n")
    git(where, "stash")
    with (where / "CHANGES.rst").open("a") as file:
        file.write("Something is not finished.\n")
    (where / "scratch.txt").write_bytes(b"\0mine\xff\n")
    return where


def files_of(where):
    """Return all files with their modes and bytes, without what git keeps."""
    found = {}
    for path in where.rglob("*"):
        name = path.relative_to(where).as_posix()
        if path.is_file() and not name.startswith(".git/"):
            found[name] = path.stat().st_mode, path.read_bytes()
    return found


def state_of(where):
    """Return everything of a checkout that its user would miss."""
    return {
        "files": files_of(where),
        "branch": git(where, "symbolic-ref", "HEAD"),
        "commit": git(where, "rev-parse", "HEAD"),
        "index": git(where, "ls-files", "-s"),
        "status": git(where, "status", "--porcelain"),
        "stash": git(where, "stash", "list", "--format=%H %s"),
    }


# --- The run ----------------------------------------------------------------------------------------------------------


def request_of(checkout, downloads, notes):
    install = ["-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(downloads), "--target", ".deps"]
    agent = {"base_command": "sh", "params": ["-c", AGENT], "env": {"NOTES": str(notes)}}
    return {
        "executor": "custom",
        "options": agent,
        "repositories": [str(checkout)],
        "target_branch": "main",
        "setup": shlex.join([sys.executable, *install, FORMATTER]) + " && .deps/bin/ruff --version",
        "cleanup": FORMAT,
        "retry": RetryPolicy(max_attempts=1),
    }


def expected_lines(*, marked):
    """Return what the review tells of each file: 3 tidy lines and an empty one more or less at its end."""
    return sorted(
        [
            *(f"M  {path}  +4 -0" for path in EDITED),
            f"A  {ADDED[0]}  +1 -0",
            f"A  {ADDED[1]}  +{marked} -0",
            f"D  {DELETED}  +0 -153",
            f"R  {RENAMED[0]} -> {RENAMED[1]}  +0 -0",
        ]
    )


async def question_of(engine, task_id, *, marked):
    """Return the approval that waits, having looked at what it says."""
    (question,) = await open_questions(engine, task_id)
    assert question.kind is ApprovalKind.CHANGES
    count, *lines = question.proposed_solution.splitlines()
    assert lines[-3:] == ["", "Not part of the work, and not merged:", "-  .deps/ is ignored by git"]
    assert sorted(lines[:-3]) == expected_lines(marked=marked)
    assert count == f"14 files changed, +{4 * len(EDITED) + 1 + marked} -153"
    return question


async def check_diff(engine, task_id, origin, scratch):
    """What the diff says, applied to the project as it was, is what the branch holds."""
    view = await engine.tasks.view(task_id)
    diff = await engine.workspaces.diff(view.workspace.id)
    kinds = [file.kind for file in diff.files]
    assert [kinds.count(kind) for kind in ("modified", "added", "deleted", "renamed")] == [10, 2, 1, 1]
    assert not diff.truncated
    assert diff.patch.count(f"+{TIDY.splitlines()[-1]}") == 11, "what the formatter made of it"
    assert ".deps" not in diff.patch
    git(scratch.parent, "clone", "-q", "--shared", "--no-checkout", str(origin), str(scratch))
    (scratch / "review.patch").write_text(diff.patch)
    git(scratch, "read-tree", "HEAD")
    git(scratch, "apply", "--cached", "review.patch")
    tree = git(Path(view.workspace.worktrees[0].path), "rev-parse", "HEAD^{tree}")
    assert git(scratch, "write-tree") == tree
    shutil.rmtree(scratch)
    return tree


async def follow_to_rest(engine, task_id):
    """Return what was written until the task is settled."""
    written = b""
    async with aclosing(everything(engine, task_id)) as records:
        async for record in records:
            if isinstance(record.event, OutputRecorded):
                written += b"".join(chunk.raw for chunk in record.event.chunks)
    return written.decode()


async def run_to_the_merge(checkout, origin, downloads, tmp_path):
    """Run, reject, run again, approve; return what was merged. The checkout stays as it is until the merge."""
    notes = tmp_path / "notes"
    notes.mkdir()
    before = state_of(checkout)
    async with open_engine(f"sqlite:///{tmp_path / 'aura.db'}", home=tmp_path / "home", user="alice") as engine:
        run = await engine.run("Mark ten modules.", **request_of(checkout, downloads, notes))
        written = await follow_to_rest(engine, run.id)
        assert (await engine.tasks.view(run.id)).task.status is TaskStatus.AWAITING_APPROVAL, written
        assert "ruff 0" in written
        assert "edited" in written
        await question_of(engine, run.id, marked=2)
        await check_diff(engine, run.id, origin, tmp_path / "scratch")
        assert state_of(checkout) == before

        await engine.approvals.reject(run.id, "Say who did it: the author is Ada.")
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.AWAITING_APPROVAL
        question = await question_of(engine, run.id, marked=5)
        tree = await check_diff(engine, run.id, origin, tmp_path / "scratch")
        assert state_of(checkout) == before

        await engine.approvals.approve(question.id, "Thank you")
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.COMPLETED
        assert (task.rejections, task.executions) == (1, 1)
        view = await engine.tasks.view(run.id)
        assert view.workspace.status is WorkspaceStatus.REMOVED
    assert "Mark ten modules." in (notes / "first").read_text()
    assert "Say who did it: the author is Ada." in (notes / "follow-up").read_text()
    return before, tree


def check_merged(checkout, tree, before):
    """The branch has the change and nothing else, and nothing is left of the work."""
    assert git(checkout, "rev-parse", "main^{tree}") == tree
    assert git(checkout, "rev-parse", "main^1") == git(checkout, "rev-parse", "origin/main")
    assert content(checkout, "main", "sphinx/util/marked.py").endswith("author = 'Ada'  # as the review says")
    assert content(checkout, "main", EDITED[0]).endswith(TIDY.strip())
    assert git(checkout, "stash", "list", "--format=%H %s") == before["stash"]
    assert worktrees(checkout) == []
    assert not [name for name in branches(checkout) if name.startswith("aura/")]
    git(checkout, "fsck", "--strict")


@pytest.mark.deep
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_user_is_on_the_branch_that_the_work_is_merged_into(checkout, origin, downloads, tmp_path):
    before, tree = await run_to_the_merge(checkout, origin, downloads, tmp_path)
    check_merged(checkout, tree, before)
    after = state_of(checkout)
    assert after["branch"] == before["branch"]
    assert after["commit"] == git(checkout, "rev-parse", "main")
    assert after["status"] == before["status"] == "M CHANGES.rst\n?? scratch.txt"
    changed = {
        name for name in {*before["files"], *after["files"]} if before["files"].get(name) != after["files"].get(name)
    }
    assert changed == {*EDITED, *ADDED, DELETED, *RENAMED}, "the work, and none of the user's own"


@pytest.mark.deep
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_the_user_is_on_another_branch(checkout, origin, downloads, tmp_path):
    git(checkout, "checkout", "-q", "-b", "mine")
    (checkout / "README.rst").write_text("mine\n")
    git(checkout, "add", "README.rst")
    before, tree = await run_to_the_merge(checkout, origin, downloads, tmp_path)
    check_merged(checkout, tree, before)
    assert state_of(checkout) == before
