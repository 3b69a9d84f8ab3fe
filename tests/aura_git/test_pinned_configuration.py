"""What an agent configures has no effect on AURA's git; what the user had configured before has.

Each attack is a shell script that runs in the worktree, as an agent would; `$TRAP` is a program that leaves a trace.
"""

import subprocess
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from hostile_world import World

from aura_contracts.errors import GitError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


ATTACKS = {
    "a clean filter": "git config filter.x.clean $TRAP; echo '* filter=x' > .gitattributes",
    "a required filter": "git config filter.x.clean $TRAP; git config filter.x.required true;"
    " echo '* filter=x' > .gitattributes",
    "a smudge filter": "git config filter.x.smudge $TRAP; git config filter.x.clean cat;"
    " echo '* filter=x' > .gitattributes",
    "a long-running filter": "git config filter.x.process $TRAP; echo '* filter=x' > .gitattributes",
    "a filter named in the attributes of the repository": "git config filter.x.clean $TRAP;"
    " mkdir -p $REPO/.git/info; echo '* filter=x' > $REPO/.git/info/attributes",
    "a filter in the worktree's configuration": "git config extensions.worktreeConfig true;"
    " git config --worktree filter.x.clean $TRAP; echo '* filter=x' > .gitattributes",
    "a filter in an included file": "printf '[filter \"x\"]\\n clean = %s\\n' $TRAP > $W/more;"
    " git config include.path $W/more; echo '* filter=x' > .gitattributes",
    "a filter included for its folder": "printf '[filter \"x\"]\\n clean = %s\\n' $TRAP > $W/more;"
    " git config includeIf.gitdir:/.path $W/more; echo '* filter=x' > .gitattributes",
    "a file system monitor": "git config core.fsmonitor $TRAP",
    "hooks": "for h in pre-commit commit-msg post-commit post-checkout reference-transaction post-index-change;"
    " do cp $TRAP $REPO/.git/hooks/$h; done",
    "a folder of hooks": "mkdir hooks; cp $TRAP hooks/pre-commit; cp $TRAP hooks/post-checkout;"
    " git config core.hooksPath $PWD/hooks",
    "aliases": 'git config alias.status "!$TRAP"; git config alias.merge-tree "!$TRAP"',
    "a text conversion": "git config diff.x.textconv $TRAP; echo '* diff=x' > .gitattributes",
    "an external diff": "git config diff.external $TRAP; git config diff.x.command $TRAP;"
    " echo '* diff=x' > .gitattributes",
    "a merge driver": 'git config merge.x.driver "$TRAP %A"; git config merge.default x;'
    " echo '* merge=x' > .gitattributes; sed -i s/a/A/ m.txt",
    "a signing program": "git config commit.gpgSign true; git config gpg.program $TRAP; git config user.signingKey 1",
    "an editor and a pager": "git config core.editor $TRAP; git config core.pager $TRAP; git config pager.status $TRAP",
    "maintenance": "git config gc.auto 1; git config maintenance.auto true; git config gc.recentObjectsHook $TRAP",
    "a promisor remote": "git config extensions.partialClone evil; git config remote.evil.promisor true;"
    ' git config remote.evil.url "ext::$TRAP"; git config protocol.ext.allow always;'
    " git config remote.evil.uploadpack $TRAP; rm -f $(git rev-parse --git-path objects)/$(git rev-parse HEAD:a.txt |"
    " sed 's,^..,&/,')",
    "an ssh command": "git config core.sshCommand $TRAP; git config credential.helper $TRAP",
    "a submodule's update command": 'git config submodule.x.update "!$TRAP"; git config submodule.recurse true',
    "a repository inside with a filter": "git init -q sub; cd sub; echo x > x; git add .; git commit -qm x; echo y > x;"
    " git config filter.x.clean $TRAP; git config core.fsmonitor $TRAP; echo '* filter=x' > .gitattributes; cd ..;"
    " printf '[submodule \"sub\"]\\n path = sub\\n url = ./sub\\n' > .gitmodules; git add sub .gitmodules",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_program_of_an_agent_is_run(world: World, attack: str) -> None:
    world.begin()
    world.sh(world.tree, f"{attack}\necho x > b.txt")
    world.trace.unlink(missing_ok=True)  # the agent's own git ran it
    with suppress(GitError) if "promisor" in attack else nullcontext():  # it may destroy its own work
        world.finish()
    assert not world.trace.exists(), world.trace.read_text()


ELSEWHERE = {
    "the shared configuration": "git config core.worktree $HOME",
    "the worktree's configuration": "git config extensions.worktreeConfig true;"
    " git config --worktree core.worktree $HOME",
    "the link to the git directory": "cp -r $REPO/.git $W/other; git -C $W/other config core.bare false;"
    " git -C $W/other config core.worktree $HOME; echo gitdir: $W/other > .git",
    "the link to the common directory": "cp -r $REPO/.git $W/other; d=$(git rev-parse --git-dir);"
    " git --git-dir $W/other config core.worktree $HOME; echo $W/other > $d/commondir",
    "a common directory of the main repository": "cp -r $REPO/.git $W/other;"
    " git --git-dir $W/other config core.worktree $HOME; echo $W/other > $REPO/.git/commondir",
    "the link back": "d=$(git rev-parse --git-dir); echo $HOME/.git > $d/gitdir",
}


@pytest.mark.parametrize("attack", ELSEWHERE.values(), ids=ELSEWHERE)
def test_nothing_outside_of_the_worktree_is_read(world: World, attack: str) -> None:
    (world.home / "id_rsa").write_text("PRIVATE")
    world.begin()
    world.sh(world.tree, f"echo x > b.txt\n{attack}")
    merged = world.finish()
    for commit in world.git.find_ref(str(world.repo), "refs/aura/saved"), merged:
        names = world.sh(world.repo, f"git -c core.worktree= ls-tree -r --name-only {commit}")
        assert "id_rsa" not in names
        assert "b.txt" in names


def test_a_worktree_that_became_a_link_is_not_followed(world: World) -> None:
    (world.home / "id_rsa").write_text("PRIVATE")
    world.begin()
    world.sh(world.tree, "cp .git $HOME/.git; cd ..; mv tree away; ln -s $HOME tree")
    with pytest.raises(GitError, match="leads elsewhere"):
        world.git.snapshot(str(world.tree), "refs/aura/saved", "saved")


EVIL = (
    "cp -r $REPO/.git $W/other; d=$(git rev-parse --git-dir); git --git-dir $W/other config core.bare false;"
    " git --git-dir $W/other config filter.x.clean $TRAP; echo '* filter=x' > .gitattributes;"
)


@pytest.mark.parametrize(
    "attack",
    [
        "mv $d $W/away; echo gitdir: $W/other > .git",
        "mv $d $W/away; ln -s $W/other $d",
        "rm -r $d; rm .git; mv $W/other .git",
        "rm -r $d; rm .git; mv $W/other/* .",
    ],
)
def test_a_git_directory_in_the_place_of_another_is_not_used(world: World, attack: str) -> None:
    world.begin()
    world.sh(world.tree, f"echo x > b.txt; {EVIL} {attack}")
    other = world.folder / "other"
    before = sorted(other.iterdir()) if other.exists() else []
    tree = str(world.tree)
    for use in (world.git.status, world.git.stage, lambda at: world.git.snapshot(at, "refs/aura/saved", "saved")):
        with pytest.raises(GitError):
            use(tree)
    assert not world.trace.exists()
    if before:
        assert sorted(other.iterdir()) == before


def test_attributes_and_exclusions_of_an_agent_hide_nothing_from_the_review(world: World) -> None:
    world.begin()
    world.sh(world.tree, "mkdir -p $REPO/.git/info; echo '* -diff' > $REPO/.git/info/attributes; echo x >> a.txt")
    world.sh(world.tree, "echo 'b.txt' >> $REPO/.git/info/exclude; echo bad > b.txt")
    found = world.git.diff(str(world.tree), "HEAD", patch=True)
    assert [file.path for file in found.files] == ["a.txt", "b.txt"]
    assert found.patch is not None
    assert b"+x\n" in found.patch


def test_a_text_is_shown_as_text_whatever_the_agent_says_in_attributes(world: World) -> None:
    world.begin()
    world.sh(world.tree, "echo '*.txt binary' > .gitattributes; echo x >> a.txt; printf '\\0' > b.bin")
    found = world.git.diff(str(world.tree), "HEAD", patch=True)
    assert {file.path: file.added for file in found.files} == {".gitattributes": 1, "a.txt": 1, "b.bin": None}
    assert found.patch is not None
    assert b"+x\n" in found.patch


@pytest.mark.parametrize("name", ["COMMIT_EDITMSG", "logs/HEAD", "index", "commondir"])
def test_git_does_not_write_through_the_links_of_an_agent(world: World, name: str) -> None:
    """Where an agent is kept in its worktree by a sandbox, AURA's git is not."""
    profile = world.home / ".profile"
    profile.write_text("mine\n")
    world.begin()
    world.sh(world.tree, f"echo x > b.txt; ln -sf $HOME/.profile $(git rev-parse --git-dir)/{name}")
    world.finish()
    assert profile.read_text() == "mine\n"


LOGS = {
    "the reflogs of branches": "rm -rf $C/logs/refs/heads; ln -s $HOME $C/logs/refs/heads",
    "the reflogs of AURA's refs": "rm -rf $C/logs/refs/aura; ln -s $HOME $C/logs/refs/aura",
    "the reflogs of refs": "mkdir $W/d; ln -s $HOME $W/d/heads; rm -rf $C/logs/refs; ln -s $W/d $C/logs/refs",
    "all reflogs": "mkdir $W/d; ln -s $HOME $W/d/refs; rm -rf $C/logs; ln -s $W/d $C/logs",
    "a folder of branches": "mkdir $W/evil; ln -s $HOME/victim $W/evil/work; cd $C/logs/refs/heads;"
    " rm -rf team; ln -s $W/evil team",
    "a folder that leads back to itself": "rm -rf $C/logs/refs/heads; ln -s heads $C/logs/refs/heads",
}


@pytest.mark.parametrize("attack", LOGS.values(), ids=LOGS)
def test_nothing_behind_links_in_place_of_folders_of_reflogs_is_touched(world: World, attack: str) -> None:
    world.sh(world.home, "echo mine > victim; mkdir -p bin heads; ln -s ../victim bin/tool; ln -s ../victim heads/tool")
    before = world.sh(world.home, "find . -printf '%p %l %s\n' | sort")
    world.begin()
    world.sh(world.tree, f"git branch -m team/work; echo x > b.txt; C=$REPO/.git; {attack}")
    world.git.status(str(world.tree))
    world.git.stage(str(world.tree))
    world.git.commit(str(world.tree), "work")
    world.git.merge(str(world.repo), source="team/work", target_branch="main", message="merge", keep="refs/aura/kept")
    assert world.sh(world.home, "find . -printf '%p %l %s\n' | sort") == before


def test_a_link_that_an_agent_leaves_is_not_the_users_in_the_next_run(world: World) -> None:
    (world.home / "bin").mkdir()
    (world.home / "bin" / "tool").symlink_to("../victim")
    world.begin()
    world.sh(world.tree, "rm -rf $REPO/.git/logs/refs/heads; ln -s $HOME $REPO/.git/logs/refs/heads")
    world.git.unpin_configuration(str(world.repo), "w1")
    world.git.pin_configuration(str(world.repo), "w2")
    world.git.status(str(world.repo))
    assert (world.home / "bin" / "tool").is_symlink()


def test_refs_are_not_deleted_in_the_packed_refs_of_another_repository(world: World) -> None:
    world.sh(
        world.folder,
        "git init -q other; cd other; git commit -qm x --allow-empty; git branch work; git pack-refs --all",
    )
    world.begin()
    world.sh(world.tree, "echo x > b.txt; ln -s $W/other/.git/packed-refs $REPO/.git/packed-refs")
    world.finish()
    assert "refs/heads/work" in (world.folder / "other/.git/packed-refs").read_text()


def test_packed_refs_that_the_user_shares_with_another_repository_stay(world: World) -> None:
    """As `git-new-workdir` makes them."""
    world.sh(world.repo, "git pack-refs --all; mv .git/packed-refs $W/packed; ln -s $W/packed .git/packed-refs")
    world.begin()
    world.sh(world.tree, "echo x > b.txt")
    world.finish()
    assert (world.repo / ".git/packed-refs").is_symlink()


def test_a_link_in_place_of_the_state_of_an_operation_is_removed_and_not_followed(world: World) -> None:
    (world.home / "thesis").touch()
    world.begin()
    world.sh(world.tree, "ln -s $HOME $(git rev-parse --git-dir)/rebase-merge")
    world.git.switch_worktree(str(world.tree), "work")
    assert world.git.operation(str(world.tree)) is None
    assert (world.home / "thesis").exists()


def test_objects_are_not_replaced_by_others(world: World) -> None:
    """A review must show what is merged."""
    world.begin()
    world.sh(world.tree, "echo bad > a.txt; git commit -qam bad; echo good > a.txt; git commit -qam good")
    world.sh(world.tree, "git replace HEAD:a.txt $(git rev-parse HEAD~:a.txt) -f || true")
    patch = world.git.diff(str(world.repo), "main", "work", patch=True).patch
    assert patch is not None
    assert b"+good" in patch
    assert b"bad" not in patch


def test_filters_of_the_user_are_run_still(world: World) -> None:
    world.sh(world.repo, "git config filter.up.clean 'tr a-z A-Z'; git config filter.up.smudge 'tr A-Z a-z'")
    world.sh(world.repo, "echo '*.up filter=up' > .gitattributes; echo x > x.up; git add .; git commit -qm up")
    world.begin()
    assert (world.tree / "x.up").read_text() == "x\n"
    world.sh(world.tree, "echo hello > y.up")
    merged = world.finish()
    assert world.sh(world.repo, f"git cat-file blob {merged}:y.up") == "HELLO\n"
    assert (world.repo / "y.up").read_text() == "hello\n"


def test_a_filter_that_the_agent_replaces_stays_the_users(world: World) -> None:
    world.sh(world.repo, "git config filter.up.clean 'tr a-z A-Z'; echo '*.up filter=up' > .gitattributes")
    world.sh(world.repo, "git add .; git commit -qm up")
    world.begin()
    world.sh(world.tree, "git config filter.up.clean $TRAP; echo hello > y.up")
    merged = world.finish()
    assert world.sh(world.repo, f"git cat-file blob {merged}:y.up") == "HELLO\n"
    assert not world.trace.exists()


@pytest.mark.parametrize("file", ["", "--global"])
def test_a_merge_driver_of_the_user_is_run(world: World, file: str) -> None:
    world.sh(world.repo, f"git config {file} merge.both.driver 'git merge-file --union %A %O %B'")
    world.sh(world.repo, "echo 'm.txt merge=both' > .gitattributes; git add .; git commit -qm attributes")
    world.begin()
    world.sh(world.tree, "sed -i s/c/ours/ m.txt")
    world.sh(world.repo, "sed -i s/c/theirs/ m.txt; git commit -qam theirs")
    merged = world.finish()
    assert set(world.sh(world.repo, f"git cat-file blob {merged}:m.txt").split()) == {
        "a",
        "b",
        "ours",
        "theirs",
        "d",
        "e",
    }


def test_settings_of_an_agent_are_not_taken_for_the_users_later(world: World) -> None:
    world.begin()
    world.sh(world.tree, "git config filter.x.clean $TRAP; echo '* filter=x' > .gitattributes; echo x > b.txt")
    world.finish()
    world.git.unpin_configuration(str(world.repo), "w1")
    world.trace.unlink(missing_ok=True)
    world.begin()
    (world.tree / "c.txt").write_text("c\n")
    world.finish()
    assert not world.trace.exists()


def test_settings_of_the_user_between_two_runs_are_in_force(world: World) -> None:
    world.begin()
    world.finish()
    world.git.unpin_configuration(str(world.repo), "w1")
    world.sh(world.repo, "git config filter.up.clean 'tr a-z A-Z'; echo '*.up filter=up' > .gitattributes")
    world.sh(world.repo, "git add .; git commit -qm up")
    world.begin()
    world.sh(world.tree, "echo hello > y.up")
    assert world.sh(world.repo, f"git cat-file blob {world.finish()}:y.up") == "HELLO\n"


def test_settings_of_the_user_while_no_agent_works_are_in_force_in_the_next_run(world: World) -> None:
    """A workspace that waits for a review for weeks does not keep the user from setting up filters."""
    world.begin()
    world.sh(world.tree, "git config filter.x.clean $TRAP")
    world.git.rest_configuration(str(world.repo), "w1")
    world.sh(world.repo, "git config filter.up.clean 'tr a-z A-Z'; echo '*.up filter=up' > .gitattributes")
    world.sh(world.repo, "echo '*.x filter=x' >> .gitattributes; git add .; git commit -qm up")
    world.git.pin_configuration(str(world.repo), "w2")
    world.sh(world.tree, "git merge -q main; echo hello > y.up; echo hello > y.x")
    world.trace.unlink(missing_ok=True)
    assert world.sh(world.repo, f"git cat-file blob {world.finish()}:y.up") == "HELLO\n"
    assert not world.trace.exists()


def test_settings_are_not_taken_over_while_another_agent_works(world: World) -> None:
    world.begin()
    world.git.pin_configuration(str(world.repo), "w2")
    world.git.rest_configuration(str(world.repo), "w2")
    world.sh(world.tree, "git config filter.x.clean $TRAP; echo '* filter=x' > .gitattributes; echo x > b.txt")
    world.git.pin_configuration(str(world.repo), "w3")
    world.finish()
    assert not world.trace.exists()


def test_a_folder_of_another_repository_is_not_taken_for_a_checkout(world: World) -> None:
    """An agent writes that another repository is a worktree of this one, with the target checked out."""
    world.sh(world.folder, "git clone -q repo other")
    world.begin()
    world.sh(world.repo, "git checkout -q -b away")
    world.sh(
        world.tree,
        "d=$REPO/.git/worktrees/evil; mkdir $d; echo ref: refs/heads/main > $d/HEAD; echo ../.. > $d/commondir",
    )
    world.sh(
        world.tree,
        "cp $REPO/.git/index $REPO/.git/worktrees/evil; echo $W/other/.git > $REPO/.git/worktrees/evil/gitdir",
    )
    world.sh(world.tree, "echo x > b.txt")
    world.finish()
    assert world.sh(world.folder / "other", "git status --porcelain") == ""
    assert not (world.folder / "other" / "b.txt").exists()


def test_a_worktree_of_the_users_is_updated_without_the_settings_of_an_agent(world: World) -> None:
    """The target need not be checked out where the run was started."""
    world.sh(world.repo, "git branch dev; git worktree add -q $W/mine dev")
    world.begin()
    world.sh(
        world.tree,
        "git config filter.x.smudge $TRAP; git config filter.x.clean $TRAP; echo '* filter=x' > .gitattributes;"
        " echo x > b.txt; echo $W/elsewhere > $REPO/.git/worktrees/mine/commondir; cp -r $REPO/.git $W/elsewhere",
    )
    tree, repo = str(world.tree), str(world.repo)
    world.git.stage(tree)
    world.git.commit(tree, "work")
    world.git.merge(repo, source="work", target_branch="dev", message="merge")
    assert not world.git.status(str(world.folder / "mine")).dirty
    assert (world.folder / "mine" / "b.txt").read_text() == "x\n"
    assert not world.trace.exists()


def test_a_pin_lasts_until_its_last_owner(world: World) -> None:
    world.begin()
    world.git.pin_configuration(str(world.repo), "w2")
    world.git.unpin_configuration(str(world.repo), "w1")
    world.sh(world.tree, "git config filter.x.clean $TRAP; echo '* filter=x' > .gitattributes; echo x > b.txt")
    world.finish()
    world.git.unpin_configuration(str(world.repo), "w2")
    world.git.unpin_configuration(str(world.repo), "w2")
    assert not world.trace.exists()


def test_the_links_of_a_new_worktree_lead_to_the_repository(world: World) -> None:
    world.begin()
    assert world.sh(world.tree, "git rev-parse --path-format=absolute --git-common-dir").strip() == str(
        world.repo / ".git"
    )
    assert "pins" not in (world.tree / ".git").read_text()


def test_a_sparse_repository_stays_sparse(world: World) -> None:
    world.sh(world.repo, "mkdir in out; echo x > in/x; echo x > out/x; git add .; git commit -qm more")
    world.sh(world.repo, "git sparse-checkout set --cone in")
    world.begin()
    assert (world.tree / "in").exists()
    assert not (world.tree / "out").exists()
    assert not world.git.status(str(world.tree)).dirty
    assert world.sh(world.tree, "git status --porcelain") == ""


def test_values_survive_the_copy(world: World) -> None:
    value = 'a "b" \\c\td #; \u00e9'
    subprocess.run(["git", "-C", world.repo, "config", "filter.we.ird.clean", value], check=True)
    world.sh(world.repo, "printf '[filter \"we.ird\"]\\n required\\n' >> .git/config")
    world.git.pin_configuration(str(world.repo), "w1")
    (file,) = (world.folder / "pins" / "repositories").glob("*/common/config")
    read = ["git", "config", "--file", str(file)]
    assert subprocess.check_output([*read, "filter.we.ird.clean"]).decode() == value + "\n"
    assert subprocess.check_output([*read, "--type=bool", "filter.we.ird.required"]) == b"true\n"


def test_everything_is_private(world: World) -> None:
    world.begin()
    found = [
        place for place in (world.folder / "pins").rglob("*") if not place.is_symlink() and "common/" not in str(place)
    ]
    assert found
    assert not [place for place in [*found, world.folder / "pins"] if place.stat().st_mode & 0o077]
