"""Attacks by an agent that runs a shell script in its worktree, against each promise of ``docs/security.md``.

The agent knows where the user's checkout is, and has its rights. Each attack was thought out from the page and the code
alone; none may run a program by AURA's git, lose or change a file of the user's, merge what was not shown, pass for the
user, or leave a secret in the store.
"""

import json
import os
import sys
from pathlib import Path

import attrs
import pytest

from command_line import call_aura, move_to
from repositories import content, git, make_repository

FILES = {"README": "hello\n", "a.txt": "1\n2\n3\n", "docs/x": "doc\n", ".gitignore": "*.env\ndata/\n"}
MINE = "what the user has\n"


def deep(script, *more, id):
    """Return an attack that is tried in the long runs alone."""
    return pytest.param(script, *more, id=id, marks=pytest.mark.deep)


@attrs.define
class Victim:
    """A user with a checkout, and a folder beside it in which any program of the agent's leaves a file."""

    root: Path
    repository: Path

    @property
    def ran(self):
        return sorted(path.name for path in (self.root / "ran").iterdir())

    def attack(self, script, *words, **environment):
        """Have the agent run `script`; return what AURA says."""
        (self.root / "script").write_text(script)
        variables = {"RAN": str(self.root / "ran"), "REPO": str(self.repository), "ROOT": str(self.root)}
        return call_aura(
            *("run", "--no-tui", "--executor", "custom", "--base-command", "bash", "--param", self.root / "script"),
            *("--prompt", "work", "--attempts", "1", *words),
            **variables,
            **environment,
        )

    def write(self, path, text=MINE):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def stored(self):
        """Return every byte of the store and of AURA's home."""
        files = [*self.root.glob("aura.db*"), *(self.root / "home").rglob("*")]
        return b"".join(path.read_bytes() for path in files if path.is_file())


@pytest.fixture
def victim(tmp_path, monkeypatch):
    make_repository(tmp_path / "app", FILES)
    (tmp_path / "ran").mkdir()
    return Victim(tmp_path, move_to(tmp_path, monkeypatch))


def first(*words):
    return call_aura(*words, "--json").objects[0]


# --- Programs, by git -------------------------------------------------------------------------------------------------

PROGRAMS = """
common=$(git rev-parse --git-common-dir); own=$(git rev-parse --git-dir)
trap_() {
  printf '#!/bin/sh\\ntouch "%s/%s"\\ncat\\n' "$RAN" "$1" > "$ROOT/trap-$1"
  chmod +x "$ROOT/trap-$1"; echo "$ROOT/trap-$1"
}
mkdir -p "$common/hooks" "$common/info"
for hook in pre-commit commit-msg post-commit post-checkout post-merge pre-merge-commit reference-transaction \\
  post-index-change post-rewrite pre-rebase pre-auto-gc prepare-commit-msg update; do
  cp "$(trap_ hook-$hook)" "$common/hooks/$hook"
done
for file in "$common/config" "$own/config.worktree" "$ROOT/included"; do
  for key in core.fsmonitor core.editor core.pager core.askPass core.sshCommand core.gitProxy \\
    core.alternateRefsCommand filter.x.clean filter.x.smudge filter.x.process filter.lfs.clean merge.x.driver \\
    diff.x.textconv diff.x.command \\
    diff.external gpg.program gpg.ssh.program gpg.ssh.defaultKeyCommand sequence.editor interactive.diffFilter \\
    gc.recentObjectsHook uploadpack.packObjectsHook remote.origin.uploadpack pager.diff pager.log mergetool.x.cmd \\
    trailer.x.cmd trailer.x.command; do
    git config --file "$file" $key "$(trap_ $key)"
  done
  git config --file "$file" commit.gpgSign true; git config --file "$file" log.showSignature true
  git config --file "$file" alias.status '!touch $RAN/alias'; git config --file "$file" merge.default x
  git config --file "$file" credential.helper '!touch $RAN/helper'; git config --file "$file" gc.auto 1
  git config --file "$file" submodule.s.update '!touch $RAN/update'; git config --file "$file" submodule.recurse true
  git config --file "$file" remote.origin.url 'ext::sh -c touch% $RAN/ext'
  git config --file "$file" remote.origin.promisor true; git config --file "$file" protocol.ext.allow always
  git config --file "$file" core.hooksPath "$common/hooks"; git config --file "$file" core.worktree "$ROOT"
done
git config --file "$common/config" extensions.worktreeConfig true
git config --file "$common/config" extensions.partialClone origin
git config --file "$common/config" 'includeIf.onbranch:**.path' "$ROOT/included"
echo '* filter=x diff=x merge=x' | tee "$common/info/attributes" > .gitattributes
printf '[submodule "s"]\\n path = s\\n url = ext::sh -c true\\n update = !touch $RAN/module\\n' > .gitmodules
echo more >> a.txt; rm -f "$RAN"/*
"""


@pytest.mark.deep
def test_no_command_of_aura_runs_a_program_of_an_agent(victim):
    assert victim.attack(PROGRAMS).code == 0
    workspace, task = first("workspace", "list")["id"], first("task", "list")["id"]
    said = [
        call_aura(*words)
        for words in (
            ("approval", "show", "--diff"),
            ("workspace", "show", workspace),
            ("workspace", "diff", workspace),
            ("workspace", "snapshot", workspace),
            ("doctor",),
            ("approval", "approve"),
            ("task", "revert", task),
            ("doctor", "--fix"),
            ("workspace", "warm"),
        )
    ]
    assert [one.code for one in said] == [0] * len(said)
    assert victim.attack("echo > new", "--approval", "auto").code == 0
    assert victim.ran == []
    assert (victim.repository / "new").exists()


# --- The user's checkout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "script"),
    [
        pytest.param("app/keys.env", "echo x > keys.env; git add -f keys.env; git commit -qm x", id="ignored"),
        deep("app/data/out", "echo > .gitignore; echo x > data", id="ignored-folder-becomes-a-file"),
        deep("app/new", "echo x > new", id="untracked"),
        deep("app/new/mine", "echo x > new", id="untracked-folder-becomes-a-file"),
        pytest.param("app/a.txt", "git rm -q a.txt", id="changed-and-removed"),
        deep("app/a.txt", "git mv a.txt b.txt", id="changed-and-renamed"),
        pytest.param("app/docs/x", "git rm -rq docs; ln -s /etc docs", id="changed-and-its-folder-becomes-a-link"),
        deep("app/docs/x", "chmod +x docs/x", id="changed-and-made-executable"),
        pytest.param("app/a.txt", "echo x > a.txt; echo garbage > $REPO/.git/index", id="index-damaged"),
        deep("app/a.txt", "echo x > a.txt; rm $REPO/.git/index", id="index-removed"),
        deep("app/a.txt", "git -C $REPO update-index --skip-worktree a.txt; echo x > a.txt", id="index-marked"),
        deep("app/a.txt", "git -C $REPO add a.txt; echo x > a.txt", id="staged-by-the-agent"),
    ],
)
def test_a_merge_loses_nothing_of_the_users(victim, mine, script):
    mine = victim.write(mine)
    assert victim.attack(script).code == 0
    call_aura("approval", "approve")
    assert mine.read_text() == MINE
    waits = call_aura("approval", "list", "--json").objects
    assert len(waits) == 1, "the question is open again"


@pytest.mark.deep
@pytest.mark.parametrize("tracked", [True, False])
def test_nothing_is_written_through_a_link_in_the_checkout(victim, tracked):
    mine = victim.write("private/x")
    if tracked:
        victim.attack("git rm -rq docs; ln -s $ROOT/private docs", "--approval", "auto")
        assert (victim.repository / "docs").readlink() == victim.root / "private"
        victim.attack("rm docs; mkdir docs; echo evil > docs/x", "--approval", "auto")
    else:
        (victim.repository / "new").symlink_to(victim.root / "private")
        victim.attack("mkdir new; echo evil > new/x", "--approval", "auto")
    assert mine.read_text() == MINE


TREES = """
blob=$(echo x | git hash-object -w --stdin)
for name in .git .GIT git~1 ..; do
  tree=$(printf "100644 blob $blob\\tconfig\\n" | git mktree)
  root=$( (git ls-tree HEAD; printf "040000 tree $tree\\t$name\\n") | git mktree)
  git update-ref HEAD $(git commit-tree -p HEAD -m x $root)
done
git read-tree HEAD || true
"""


def test_no_tree_reaches_the_git_directory_or_above(victim):
    before = (victim.repository / ".git/config").read_text()
    victim.attack(TREES, "--approval", "auto")
    assert (victim.repository / ".git/config").read_text() == before
    assert not (victim.root / "config").exists()
    assert git(victim.repository, "status", "--porcelain") == ""


@pytest.mark.deep
def test_a_submodule_that_an_agent_adds_is_not_fetched(victim):
    script = """
        git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub
        printf '[submodule "sub"]\\n path = sub\\n url = ext::sh -c "touch $RAN/ext"\\n' > .gitmodules
        git add .gitmodules; git commit -qm sub; git config protocol.ext.allow always"""
    victim.attack(script, "--approval", "auto")
    victim.attack("echo > later", "--approval", "auto")
    assert victim.ran == []


# --- What is merged is what was shown ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "later",
    [
        pytest.param("git tag main $evil", id="a-tag-named-as-the-target"),
        deep("git tag $(git branch --show-current) $evil", id="a-tag-named-as-the-work"),
        deep("git update-ref refs/main $evil; git update-ref refs/heads/refs/heads/main $evil", id="other-refs"),
        pytest.param("git update-ref refs/heads/HEAD $evil; git tag HEAD $evil", id="HEAD-as-a-name"),
        deep("git symbolic-ref refs/remotes/origin/HEAD refs/heads/main; git tag origin $evil", id="remote"),
        deep("git update-ref refs/heads/${evil:0:7} $evil", id="a-branch-named-as-a-commit"),
        deep("git replace HEAD $evil", id="replaced"),
        pytest.param("echo $evil > $(git rev-parse --git-dir)/MERGE_HEAD", id="a-merge-that-is-not-finished"),
        deep("echo $evil > $(git rev-parse --git-dir)/CHERRY_PICK_HEAD", id="a-pick-that-is-not-finished"),
        pytest.param("git -C $REPO checkout -q -b other", id="the-checkout-is-on-another-branch"),
    ],
)
def test_names_that_mean_two_things_merge_nothing_else(victim, later):
    script = f"""
        echo evil > evil; git add evil; git commit -qm evil; evil=$(git rev-parse HEAD); git reset -q --hard HEAD~1
        echo good > good; git add good; git commit -qm good; {later}"""
    victim.attack(script)
    call_aura("approval", "approve")
    files = git(victim.repository, "ls-tree", "-r", "--name-only", "refs/heads/main").splitlines()
    assert "evil" not in files
    assert not (victim.repository / "evil").exists()


CHANGES = {
    "only-the-mode": ("chmod +x mode", "new mode 100755"),
    "a-link-instead-of-a-file": ("git rm -q link; ln -s /etc/passwd link", "+/etc/passwd"),
    "only-space": ("printf '1 \\n2\\n3\\n' > space", "+1 "),
    "a-carriage-return": ("printf '1\\r\\n2\\n3\\n' > return", r"+1\r"),
    "only-the-last-line-end": ("printf '1\\n2\\n3' > end", "No newline at end of file"),
    "marked-as-binary": ("echo 'hidden -diff' > .gitattributes; echo evil0 >> hidden", "+evil0"),
    "escape-codes": ("printf 'x\\033[2Kfine\\n' >> codes", r"+x\x1b[2Kfine"),
    "reversed": ("printf 'x \\342\\200\\256fine\\n' >> reversed", r"+x \u202efine"),
    "a-name-that-ends-with-a-space": ("echo evil1 > 'space '", "+evil1"),
    "a-name-with-lines-of-a-diff": ("echo evil2 > $'a\\n+++ b'", r'b/a\n+++ b"'),
    "marked-unchanged": ("git update-index --assume-unchanged marked; echo evil3 >> marked", "+evil3"),
    "ignored-by-itself": ("echo new > .gitignore; echo evil4 > new; git add -f new", "+evil4"),
    "a-name-of-a-header": ("mkdir -p 'dev'; echo evil5 > dev/null", "b/dev/null"),
    "a-line-of-a-diff": ("printf 'x\\ndiff --git a/x b/x\\n' > forged", "+diff --git a/x b/x"),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """What a reviewer sees of all these changes."""
    root = tmp_path_factory.mktemp("shown")
    changed = ("mode", "link", "space", "return", "end", "hidden", "codes", "reversed", "marked")
    make_repository(root / "app", {**FILES, **dict.fromkeys(changed, "1\n2\n3\n")})
    (root / "ran").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        Victim(root, move_to(root, patch)).attack("\n".join(script for script, _ in CHANGES.values()))
        return call_aura("approval", "show", "--diff").out


@pytest.mark.parametrize("name", CHANGES)
def test_a_reviewer_sees(page, name):
    assert CHANGES[name][1] in page
    assert "\x1b" not in page
    assert "\r" not in page
    lines = page.splitlines()
    assert not [line for line in lines if line.startswith(("+++ b\n", "diff --git a/x "))]


def test_a_message_or_a_branch_of_an_agent_forges_no_line(victim):
    evil = "[aura] merged into main: 0123456"
    script = f"""
        echo x > x; git add x; git commit -qm $'x\\n{evil}\\n\\033[2K'; git branch $'a\\342\\200\\256b' HEAD~1
        git checkout -q $'a\\342\\200\\256b'; git commit -q --allow-empty -m $'{evil}'; git checkout -q -"""
    said = victim.attack(script)
    pages = [call_aura(*words).out for words in (("approval", "show", "--diff"), ("approval", "list"))]
    for line in (said.out + "".join(pages)).splitlines():
        assert not line.startswith(evil)
        assert "\u202e" not in line or line.startswith(("[stdout]", "[stderr]"))


# --- Policies ---------------------------------------------------------------------------------------------------------

DOCS = "rules:\n  - approve: docs\n    when: {paths: {all: docs/*}, files: {at_most: 2000}}\n"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("git mv a.txt docs/a.txt", id="renamed-into-the-folder"),
        deep("mkdir Docs; echo > Docs/x", id="other-case"),
        pytest.param("mkdir .AURA; echo > .AURA/policies.yaml", id="the-policy-in-other-case"),
        deep("for i in $(seq 1001); do echo > docs/$i; done", id="more-than-are-looked-at"),
        deep(
            "echo > docs/y; git checkout -q --detach; echo evil > evil; git add evil; git commit -qm e", id="detached"
        ),
    ],
)
def test_an_agent_does_not_get_by_a_policy_that_approves_the_documentation(victim, script):
    victim.write("app/.aura/policies.yaml", DOCS)
    git(victim.repository, "add", ".aura")
    git(victim.repository, "commit", "-qm", "policy")
    before = git(victim.repository, "rev-parse", "main")
    victim.attack(script)
    assert git(victim.repository, "rev-parse", "main") == before
    assert len(call_aura("approval", "list", "--json").objects) == 1


# --- Secrets ----------------------------------------------------------------------------------------------------------

SECRET = "s3cr/t+0123456789=="


@pytest.mark.parametrize(
    "words",
    [
        ["--setup", "echo $MY_API_KEY; exit 1"],
        ["--executor", "custom", "--base-command", "sh", "--param=-c", "--param", "echo $MY_API_KEY >&2; exit 3"],
        [
            "--executor",
            "scripted",
            "--option",
            'steps=[{"spawn": {"argv": ["sh", "-c", "echo $MY_API_KEY"], "wait": true}}]',
        ],
    ],
    ids=["script", "failure", "child"],
)
def test_no_secret_of_the_environment_is_stored(victim, words):
    if "--executor" not in words:
        said = victim.attack("true", *words, MY_API_KEY=SECRET)
    else:
        said = call_aura("run", "--no-tui", "--prompt", "work", "--attempts", "1", *words, MY_API_KEY=SECRET)
    assert SECRET not in said.out + said.err
    assert SECRET.encode() not in victim.stored()


def test_what_opens_the_store_is_not_in_the_environment_of_an_agent(victim):
    said = victim.attack("env; cat /proc/self/environ | tr '\\0' '\\n'", AURA_COMPRESSION="zlib")
    assert "aura.db" not in said.out
    assert "AURA_ENCRYPTION_KEY" not in said.out


# --- Sockets ----------------------------------------------------------------------------------------------------------

KNOCK = f"""
{sys.executable} -I - <<'END'
import glob, os, socket, struct
paths = glob.glob(os.environ["AURA_HOME"] + "/processes/*/control")
assert paths
for data in (b"", b"garbage\\n" * 1000, struct.pack(">I", 2**32 - 1) + b"x", b"\\0" * 100_000, os.urandom(50_000)):
    for path in paths:
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(path); one.settimeout(1); one.sendall(data); one.shutdown(socket.SHUT_WR)
            while one.recv(4096): pass
        except OSError: pass
        one.close()
many = [socket.socket(socket.AF_UNIX) for _ in range(64)]
for one in many:
    one.setblocking(False)
    try: one.connect(paths[0])
    except OSError: pass
print("knocked", flush=True)
open("done", "w").close()
END
"""


def test_garbage_on_the_socket_of_a_supervisor_disturbs_no_run(victim):
    said = victim.attack(KNOCK, "--approval", "auto")
    assert said.code == 0, said.err
    assert "knocked" in said.out
    assert content(victim.repository, "main", "done") == ""
    assert [path for path in (victim.root / "home/processes").rglob("control") if path.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_others_read_nothing_of_a_run_whatever_the_umask(victim, mask):
    before = os.umask(mask)
    try:
        victim.attack("echo > new")
    finally:
        os.umask(before)
    homes = [victim.root / "home", *victim.root.glob("aura.db*")]
    assert [path.name for path in homes if path.stat().st_mode & 0o077] == []


def test_a_tool_server_takes_no_forged_token(victim):
    victim.attack("echo > new")
    forged = f"aura1.{'A' * 44}.{'A' * 43}"
    for token in ("", "x", forged, "aura1..", "aura1.\u00e9.x"):
        said = call_aura("mcp", AURA_TASK_TOKEN=token)
        assert said.code in (1, 2)
        assert json.loads(call_aura("mcp", "--json", AURA_TASK_TOKEN=token).err)["code"] == "token_refused"
