"""What an agent does to a repository does not change what a human decides on, reach the user's files, or hang.

`TRIES` are shell scripts that run in the worktree, as an agent would. `$G` is its git directory, and `$C` the one that
it shares with the other worktrees.
"""

import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hostile_world import World

from aura_contracts.errors import GitError, GitFailed, NotARepository
from aura_git import CommandLineGit


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def attack(world: World, script: str) -> str:
    """Do the user's part, then the agent's; return the commit that the work began from."""
    (world.home / "id_rsa").write_text("PRIVATE")
    world.begin()
    before = world.sh(world.repo, "git rev-parse main").strip()
    world.sh(world.tree, f"G=$(git rev-parse --absolute-git-dir); C=$REPO/.git\necho evil > evil.txt\n{script}")
    world.trace.unlink(missing_ok=True)  # the agent's own git ran it
    return before


def review_and_merge(world: World, before: str) -> tuple[bytes, bytes]:
    """Return the patch that a human sees, and the one that is merged."""
    git, tree, repo = world.git, str(world.tree), str(world.repo)
    git.status(tree)
    git.operation(tree)
    saved = git.snapshot(tree, "refs/aura/saved", "saved")
    git.examine_all(tree)
    git.stage(tree)
    git.commit(tree, "work")
    git.inventory(tree)
    assert git.resolve(repo, "main") == before, "nothing is merged before it was shown"
    shown = git.diff(tree, before, patch=True).patch
    git.restore(tree, saved)
    work = git.resolve(repo, "work")
    git.list_worktrees(repo)
    merged = git.merge(repo, source="work", target_branch="main", message="m", keep="refs/aura/kept").commit
    done = git.diff(repo, before, merged, patch=True).patch
    git.move_worktree(repo, tree, f"{tree}-moved")
    git.remove_worktree(repo, f"{tree}-moved", force=True)
    git.delete_branch(repo, "work", work)
    assert shown is not None
    assert done is not None
    return shown, done


def belongings(world: World) -> dict[str, bytes]:
    """Return the user's own files; what git keeps in objects does not count."""
    files = [path for path in world.home.rglob("*") if path.is_file() and "objects" not in path.parts]
    return {str(path): path.read_bytes() for path in files}


BLOB = "b=$(echo x | git hash-object -w --stdin);"
PUT = (
    "t=$({ git ls-tree HEAD; printf '%s\\n' \"$e\"; } | git mktree --missing);"
    " git update-ref HEAD $(git commit-tree -p HEAD -m e $t)"
)
TREE = f"{BLOB} s=$(printf '100644 blob %s\\tconfig\\n' $b | git mktree);"

TRIES = {
    # What a review shows.
    "attributes that hide text": "mkdir at; echo '* -diff' > at/.gitattributes; cp evil.txt at;"
    " echo '* binary' > .gitattributes",
    "attributes through a link": "echo '* -diff' > $W/a; ln -s $W/a .gitattributes",
    "attributes that change a merge": "echo '* merge=ours' > .gitattributes; echo evil >> a.txt",
    "attributes that convert": "echo '* text eol=crlf ident' > .gitattributes; echo '$Id: evil$' >> a.txt",
    "an encoding that does not fit": "echo '* working-tree-encoding=UTF-16' > .gitattributes",
    "an encoding that does not exist": "echo '* working-tree-encoding=NOPE' > .gitattributes",
    "files assumed unchanged": "echo evil >> a.txt; git update-index --assume-unchanged a.txt",
    "files skipped": "echo evil >> a.txt; git update-index --skip-worktree a.txt",
    "files added in intention": "git add -N evil.txt",
    "a sparse checkout": "git sparse-checkout set nothing",
    "a split index": "git update-index --split-index; echo evil >> a.txt",
    "a cache of untracked files": "git update-index --force-untracked-cache; git status; echo evil >> a.txt",
    "an index of version 4": "git update-index --index-version 4; echo evil >> a.txt",
    "an index with a file in conflict and not": "b=$(git hash-object -w a.txt);"
    " printf '100644 %s 1\\tm.txt\\n100644 %s 3\\tm.txt\\n' $b $b | git update-index --index-info",
    "a damaged index": "echo rubbish > $G/index",
    "an ignored submodule": "git init -q sub; git -C sub commit -qm x --allow-empty; git config -f .gitmodules"
    " submodule.sub.path sub; git config -f .gitmodules submodule.sub.ignore all; git add .; git commit -qm sub;"
    " git -C sub commit -qm e --allow-empty",
    "history cut at the work": "git commit -qm e --allow-empty; git rev-parse HEAD > $C/shallow",
    "history cut at the base": "git commit -qm e --allow-empty; git rev-parse main > $C/shallow",
    "grafts": "git commit -qm e --allow-empty; mkdir -p $C/info; git rev-parse HEAD > $C/info/grafts",
    "a base that is replaced": "git commit -qm e --allow-empty; git replace main HEAD",
    "objects borrowed from elsewhere": "git init -q $W/o; git -C $W/o commit -qm o --allow-empty;"
    " mkdir -p $C/objects/info;"
    " echo $W/o/.git/objects > $C/objects/info/alternates;"
    " git merge -q --allow-unrelated-histories $(git -C $W/o rev-parse HEAD)",
    # Objects that git itself would not make.
    "a tree with .git": f"{TREE} e=$(printf '040000 tree %s\\t.git' $s); {PUT}",
    "a tree with .GIT": f"{TREE} e=$(printf '040000 tree %s\\t.GIT' $s); {PUT}",
    "a tree with ..": f"{TREE} e=$(printf '040000 tree %s\\t..' $s); {PUT}",
    "a link and a folder of one name": f"{TREE} l=$(printf $HOME | git hash-object -w --stdin);"
    f" e=$(printf '120000 blob %s\\tl\\n040000 tree %s\\tl' $l $s); {PUT}",
    "a submodule that is nowhere": "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),no",
    "a commit without an author": "h=$(printf 'tree %s\\nparent %s\\n\\nx\\0y\\n' $(git rev-parse HEAD^{tree} HEAD) |"
    " git hash-object -t commit -w --stdin --literally); git update-ref HEAD $h",
    "a commit of the far future": "GIT_COMMITTER_DATE='@99999999999 +9999' git commit -q --allow-empty -m x",
    "a message that is not text": "printf 'm\\377\\033]0;x\\007\\n' | git -c i18n.commitEncoding=latin1 commit -q"
    " --allow-empty -F -",
    "a message that forges AURA's trailer": "printf 'm\\n\\nAura-Index: parent\\n' | git commit -q --allow-empty -F -",
    # Names.
    "names like options": "for n in --output=x -rf ':(exclude)evil.txt' ':!e'; do echo x > ./\"$n\"; done;"
    " mkdir ./--; echo x > ./--/x",
    "names that are not text": "echo x > \"$(printf 'a\\377b')\"; echo x > \"$(printf 'n\\nn')\";"
    " echo x > $(printf 'n%.0s' $(seq 255))",
    "a branch like an option": "git update-ref refs/heads/--upload-pack=x HEAD",
    # Links and special files.
    "a link to the home folder": "ln -s $HOME home",
    "a folder that becomes a link": "mkdir d; echo x > d/id_rsa; git add .; git commit -qm d; rm -r d; ln -s $HOME d",
    "a file below a link": f"ln -s $HOME out; {BLOB} git update-index --add --cacheinfo 100644,$b,out/id_rsa || true",
    "a submodule below a link": "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),out; ln -s $HOME out;"
    " cd $HOME; git init -q; git config core.fsmonitor $TRAP; git add .; git commit -qm p",
    "a hard link of a user's file": "ln $HOME/id_rsa k; rm a.txt; ln $HOME/id_rsa a.txt",
    "a program with the rights of its owner": "cp evil.txt s; chmod 6755 s",
    "a pipe and a socket": "mkfifo p; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'",
    "a pipe in place of a file": "rm a.txt; mkfifo a.txt",
    "a sparse file of 20 GB": "truncate -s 20G big; echo big > .gitignore",
    # The git directory.
    ".git is a pipe": "rm .git; mkfifo .git",
    ".git is a folder": "rm .git; git init -q .; git config core.fsmonitor $TRAP",
    ".git is a link to that of the user": "rm .git; ln -s $C .git",
    ".git names that of the user": "echo gitdir: $C > .git",
    ".git names another worktree": "git worktree add -q -b other $W/o; cp $W/o/.git .git",
    ".git is a device": "rm .git; ln -s /dev/zero .git",
    "HEAD leads outside": "echo 'ref: ../../x' > $G/HEAD",
    "HEAD is a link": "cp $G/HEAD $HOME/h; ln -sf $HOME/h $G/HEAD",
    "a branch is a link": "git rev-parse HEAD > $HOME/h; ln -sf $HOME/h $C/refs/heads/work",
    "the target is a link": "git rev-parse HEAD > $HOME/h; ln -sf $HOME/h $C/refs/heads/main",
    "the log of the target is a link": "mkdir -p $C/logs/refs/heads; ln -sf $HOME/id_rsa $C/logs/refs/heads/main",
    "the logs of AURA's refs are links": "mkdir -p $C/logs/refs/aura; ln -s $HOME/id_rsa $C/logs/refs/aura/kept;"
    " ln -s $HOME/id_rsa $C/logs/refs/aura/saved",
    "the lock of merges is a link": "ln -sf $HOME/id_rsa $C/aura-merge.lock",
    "the user's index is a link": "cp $C/index $HOME/i; ln -sf $HOME/i $C/index",
    "locks are left": "touch $G/index.lock $C/refs/heads/main.lock $C/packed-refs.lock",
    "a branch is rubbish": "echo rubbish > $C/refs/heads/work",
    "the worktree is locked": "echo because > $G/locked",
    "the worktree is forgotten": "rm -r $G",
    "the branch is gone": "git update-ref -d refs/heads/work",
    "everything is collected as garbage": "git reflog expire --expire=now --all; git gc -q --prune=now",
    "the configuration is rubbish": "echo '[[[' > $C/config",
    "another format": "git config core.repositoryformatversion 1; git config extensions.evil true",
    "a name with a line break": "git config user.name \"$(printf 'a\\nparent x')\"",
    "hooks in the worktree's git directory": "mkdir $G/hooks; cp $TRAP $G/hooks/pre-commit;"
    " cp $TRAP $G/hooks/post-checkout",
}
"""The rest are `PIPES`."""

PIPES = ("$G/HEAD", "$G/index", "$G/MERGE_HEAD", "$G/logs/HEAD", "$C/packed-refs", "$C/refs/heads/work",
         "$C/refs/aura/kept", "$C/objects/info/alternates", "$C/worktrees/evil/HEAD",
         ".gitignore", ".gitattributes")  # fmt: skip
"""For these, git waits until its time is up."""

READ_HERE = ("$G/commondir", "$G/gitdir", "$G/BISECT_START", "$G/config.worktree", "$C/shallow",
             "$C/objects/pack/pack-x.idx", "$C/objects/pack/pack-x.pack")  # fmt: skip
"""These are read without git, or not at all."""


def pipes(files: tuple[str, ...]) -> str:
    return " ".join(f"mkdir -p $(dirname {file}); rm -f {file}; mkfifo {file};" for file in files)


MANY = (
    "attributes that hide text", "an ignored submodule", "a link to the home folder", "a folder that becomes a link",
    "names like options", "names that are not text", "a message that is not text",
    "a message that forges AURA's trailer", "a pipe and a socket", "everything is collected as garbage",
    "files assumed unchanged", "files added in intention", "a split index", "the log of the target is a link",
    "the logs of AURA's refs are links", "hooks in the worktree's git directory", "grafts", "history cut at the work",
    "another format",
)  # fmt: skip
"""Those that leave the work intact, which are tried together."""

RARE = [name for name in TRIES if name not in MANY]


@pytest.mark.deep
@pytest.mark.parametrize(
    "script",
    [*(TRIES[name] for name in RARE), *(pipes((file,)) for file in PIPES)],
    ids=[*RARE, *(f"a pipe: {file}" for file in PIPES)],
)
def test_what_is_merged_was_shown_and_nothing_else_is_touched(world: World, script: str) -> None:
    if "mkfifo" in script:  # most are waited for
        world.git = CommandLineGit(environment=world.environment, pins=world.folder / "pins", timeout=0.5)
    before = attack(world, script)
    had = belongings(world)
    shown = merged = b""
    with suppress(GitError):  # it may destroy its own work
        shown, merged = review_and_merge(world, before)
    assert shown == merged
    assert not shown or b"+evil\n" in shown
    assert belongings(world) == had
    assert not world.trace.exists()


@pytest.mark.deep
def test_many_tries_at_once(world: World) -> None:
    script = "\n".join(f"(cd .; {TRIES[name]}) >&2" for name in MANY)
    before = attack(world, f"{script}\n{pipes(READ_HERE)}")
    had = belongings(world)
    shown, merged = review_and_merge(world, before)
    assert shown == merged
    assert b"+++ b/at/.gitattributes" in shown
    assert b"+evil\n" in shown
    assert b"PRIVATE" not in shown
    assert belongings(world) == had
    assert not world.trace.exists()


def test_a_branch_that_stands_for_another_is_told_by_that(world: World) -> None:
    attack(world, "git symbolic-ref refs/heads/work refs/heads/main")
    assert world.git.inspect(str(world.tree)).branch == "main"


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    "content", ["ref: refs/heads/work\\nx", "ref: refs/heads/work\\n/x.git\\n", "ref: refs/heads/work\\0x"]
)
def test_no_work_is_overlooked_where_git_reads_head_otherwise(world: World, content: str) -> None:
    """A library takes the first line for the name of the branch; git takes all of them, or what is before the NUL."""
    before = attack(world, f"printf '{content}' > $G/HEAD")
    refs = world.sh(world.repo, "find .git/refs")
    try:
        shown, merged = review_and_merge(world, before)
    except GitError:
        assert world.sh(world.repo, "find .git/refs") == refs
        world.sh(world.repo, "echo ref: refs/heads/work > .git/worktrees/tree/HEAD")
        shown, merged = review_and_merge(world, before)
    assert b"+evil\n" in shown
    assert shown == merged


def test_what_a_commit_graph_says_of_a_commit_is_not_believed(world: World) -> None:
    """It could have a merge undo what others did to the target, in files that the work does not touch."""
    base = attack(world, "git add .; git commit -qm one; git commit -qm two --allow-empty")
    world.sh(world.repo, "echo fixed > a.txt; git commit -qam fix")
    forged = world.sh(world.tree, "git commit-tree -m z main^{tree}").strip()
    world.sh(world.tree, f"git update-ref refs/heads/z {forged}; git commit-graph write --reachable; git branch -qD z")
    forge_parent(world, world.sh(world.tree, "git rev-parse HEAD~").strip(), forged)
    forge_parent(world, base, forged)
    assert world.sh(world.repo, "git merge-base main work").strip() == forged, "git itself believes it"
    merged = world.git.merge(str(world.repo), source="work", target_branch="main", message="m").commit
    assert world.sh(world.repo, f"git show {merged}:a.txt") == "fixed\n"


def forge_parent(world: World, commit: str, parent: str) -> None:
    """Write another first parent of a commit into the graph (gitformat-commit-graph(5))."""
    file = world.repo / ".git/objects/info/commit-graph"
    graph = bytearray(file.read_bytes())
    rows = [graph[start : start + 12] for start in range(8, 8 + 12 * graph[6], 12)]
    chunks = {bytes(row[:4]): int.from_bytes(row[4:]) for row in rows}
    (count,) = struct.unpack_from(">I", graph, chunks[b"OIDF"] + 255 * 4)
    names = [graph[at : at + 20].hex() for at in range(chunks[b"OIDL"], chunks[b"OIDL"] + 20 * count, 20)]
    struct.pack_into(">I", graph, chunks[b"CDAT"] + 36 * names.index(commit) + 20, names.index(parent))
    file.chmod(0o644)
    file.write_bytes(graph[:-20] + hashlib.sha1(graph[:-20], usedforsecurity=False).digest())


@pytest.mark.deep
def test_folders_nested_a_thousand_deep_are_removed(world: World) -> None:
    """Other tests and tools make such folders, too; left behind, they kept all later runs from their worktrees."""
    before = attack(world, "echo more > .gitignore")
    script = "import os\nfor name in 1500 * ['more']:\n os.mkdir(name)\n os.chdir(name)"
    world.sh(world.tree, f'python3 -c "{script}"')
    shown, merged = review_and_merge(world, before)
    assert shown == merged
    assert not world.tree.exists()
    assert not Path(f"{world.tree}-moved").exists()


# --- Repositories that come from others


def test_a_bare_repository_among_the_files_of_another_one_is_refused(world: World) -> None:
    """It comes with a clone, and its configuration names programs."""
    world.sh(world.repo, "git init -q --bare inside; git --git-dir inside config core.fsmonitor $TRAP; git add .")
    for place in ("inside", "inside/objects"):
        with pytest.raises(GitFailed, match="among the files"):
            world.git.inspect(str(world.repo / place))
    world.sh(world.repo, "git rm -q -r --cached inside")
    assert world.git.inspect(str(world.repo / "inside")).bare


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_the_repository_of_another_user_is_refused_until_it_is_trusted(world: World) -> None:
    """Who may write to a folder above yours could put a repository there."""
    (world.repo / "mine").mkdir()
    os.chown(world.repo / ".git", 65534, -1)
    os.chown(world.repo, 65534, -1)
    with pytest.raises(GitFailed, match=r"another user.*safe\.directory"):
        world.git.inspect(str(world.repo / "mine"))
    world.sh(world.folder, "git config --global --add safe.directory $REPO")
    assert world.git.inspect(str(world.repo / "mine")).branch == "main"


# --- What calls leave behind


def test_what_a_killed_process_had_for_a_moment_is_removed_by_the_next(world: World) -> None:
    world.begin()
    scratch = world.folder / "pins" / "scratch"
    world.git.snapshot(str(world.tree), "refs/aura/saved", "saved")
    assert list(scratch.iterdir()) == []
    (scratch / "aura-left").mkdir()
    (scratch / "aura-left" / "index").touch()
    with CommandLineGit(
        environment=world.environment, pins=world.folder / "pins"
    )._repositories.scratch.folder() as used:
        assert Path(used).stat().st_mode & 0o077 == 0
        CommandLineGit(environment=world.environment, pins=world.folder / "pins")
        assert list(scratch.iterdir()) == [Path(used)]


def test_a_pipe_is_no_repository(tmp_path: Path, world: World) -> None:
    os.mkfifo(tmp_path / ".git")
    with pytest.raises(NotARepository):
        world.git.inspect(str(tmp_path))


@pytest.mark.deep
def test_nothing_that_a_submodule_is_configured_with_is_run(world: World) -> None:
    """In the worktree, nor in the copy whose objects it borrows, where its new commits are kept."""
    world.sh(world.folder, "git init -q -b main lib; cd lib; git commit -qm l --allow-empty")
    world.sh(world.repo, "git -c protocol.file.allow=always submodule add -q $W/lib lib; git commit -qm sub")
    world.begin()
    tree = str(world.tree)
    assert world.git.fill_submodules(tree) == ()
    programs = (
        "core.fsmonitor core.sshCommand core.alternateRefsCommand uploadpack.packObjectsHook credential.helper"
        " filter.x.clean filter.x.smudge filter.x.process remote.origin.uploadpack remote.evil.uploadpack"
    )
    world.sh(
        world.tree / "lib",
        f"""
        echo n > n; git add n; git commit -qm n; echo '* filter=x' > .gitattributes
        for d in $PWD/.git $REPO/.git/modules/lib; do
            mkdir -p $d/hooks; for h in post-checkout reference-transaction post-update; do cp $TRAP $d/hooks/$h; done
            for k in {programs}; do git --git-dir=$d config $k $TRAP; done
            git --git-dir=$d config gc.auto 1; git --git-dir=$d config core.worktree $HOME
            git --git-dir=$d config extensions.partialClone evil; git --git-dir=$d config remote.evil.url $W/lib
        done""",
    )
    world.trace.unlink(missing_ok=True)
    assert world.git.status(tree).unstaged == ("lib",)
    assert world.git.keep_submodules(tree, "w1") == {}
    world.git.stage(tree)
    world.git.commit(tree, "work")
    world.git.snapshot(tree, "refs/aura/saved", "saved")
    assert world.git.missing_submodule_commits(str(world.repo), "main", "work", tree) == {}
    world.git.merge(str(world.repo), source="work", target_branch="main", message="m")
    assert not world.trace.exists()
