"""The record of pinned repositories: who owns a pin, what is in force meanwhile, and what is damaged or left behind."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hostile_world import World

from aura_contracts.errors import GitError, GitFailed, GitTimeout
from aura_git import CommandLineGit
from aura_git.commandline._output import ConfigEntry
from aura_git.repository import _stand_in
from aura_git.repository._pins import PinnedPlace, Pins

ROUNDS = 12


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def pins(world: World) -> Pins:
    return Pins(world.folder / "pins")


def common_of(world: World) -> str:
    return os.path.realpath(world.repo / ".git")


def pin(pins: Pins, world: World, owner: str, *, of_process: bool = False, **settings: str) -> str:
    """Pin with settings that live in no file, and return the stand-in."""
    common = common_of(world)
    places = [
        PinnedPlace(path=common, git_dir=common, common_dir=common, has_files=False),
        PinnedPlace(path=str(world.repo), git_dir=common, common_dir=common),
    ]
    entries = [ConfigEntry("local", "", f"filter.{name}.clean", value) for name, value in settings.items()]
    pins.pin(places, owner, entries, of_process=of_process)
    return stand_in(pins, world)


def stand_in(pins: Pins, world: World) -> str:
    found = pins.stand_in(common_of(world))
    assert found is not None
    return found.path


def owners(world: World) -> list[str]:
    return sorted(file.name for file in (world.folder / "pins").glob("repositories/*/owners/*"))


def config(stand_in: str) -> str:
    return Path(stand_in, "config").read_text()


# --- One stand-in after another ---------------------------------------------------------------------------------------


def test_git_reads_while_another_stand_in_comes_into_force(world: World, pins: Pins) -> None:
    world.git.pin_configuration(str(world.repo), "w1")
    world.git.rest_configuration(str(world.repo), "w1")
    failed: list[GitError] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            try:
                world.git.status(str(world.repo))
            except GitError as error:
                failed.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(ROUNDS):
            pin(pins, world, "w2", up=f"tr {number % 3} x")
            pins.rest(common_of(world), "w2", [], ends=True)
    finally:
        over.set()
        for reader in readers:
            reader.join()
    assert failed == []


def test_a_command_keeps_to_the_stand_in_that_it_was_given(world: World, pins: Pins) -> None:
    before = pin(pins, world, "w1", up="one")
    pins.rest(common_of(world), "w1", [])
    after = pin(pins, world, "w2", up="two")
    assert "one" in config(before)
    assert "two" in config(after)


def test_the_same_settings_are_the_same_stand_in(world: World, pins: Pins) -> None:
    before = pin(pins, world, "w1", up="one")
    pins.rest(common_of(world), "w1", [])
    pin(pins, world, "w2", up="two")
    pins.rest(common_of(world), "w2", [])
    assert pin(pins, world, "w3", up="one") == before


def test_what_is_out_of_force_for_a_day_and_what_a_crash_left_is_removed(world: World, pins: Pins) -> None:
    found = []
    for number in range(3):
        found.append(pin(pins, world, "w1", up=str(number)))
        pins.rest(common_of(world), "w1", [])
    left = Path(found[0]).parent / ".left"
    left.mkdir()
    os.utime(found[0], (0, 0))
    found.append(pin(pins, world, "w1", up="last"))
    assert sorted(map(str, left.parent.iterdir())) == sorted(found[1:])


def test_one_that_was_in_force_for_long_is_kept_as_well(world: World, pins: Pins) -> None:
    before = pin(pins, world, "w1", up="one")
    os.utime(before, (0, 0))
    pins.rest(common_of(world), "w1", [])
    pin(pins, world, "w2", up="two")
    assert config(before)


def test_a_crash_while_one_is_made_leaves_the_one_in_force(
    world: World, pins: Pins, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pin(pins, world, "w1", up="one")
    pins.rest(common_of(world), "w1", [])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("_make", "_switch"):
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(_stand_in, step, killed)
            pin(pins, world, "w2", up="two")
        assert stand_in(pins, world) == before
    assert "two" in config(pin(pins, world, "w2", up="two"))


# --- Owners -----------------------------------------------------------------------------------------------------------


def test_a_pin_ends_with_its_process(world: World, pins: Pins) -> None:
    """`aura workspace warm` was killed: the user's later settings are in force nevertheless."""
    program = (
        "import os, sys; from pathlib import Path; from aura_git import CommandLineGit\n"
        "git = CommandLineGit(environment=os.environ, pins=Path(sys.argv[2]))\n"
        "git.pin_configuration(sys.argv[1], 'pool', of_process=True); os._exit(1)"
    )
    environment = {**os.environ, **world.environment}
    subprocess.run(
        [sys.executable, "-c", program, world.repo, world.folder / "pins"], env=environment, check=False, timeout=60
    )
    assert owners(world) == ["pool"]
    world.sh(world.repo, "git config filter.up.clean 'tr a-z A-Z'")
    world.git.pin_configuration(str(world.repo), "w1")
    assert owners(world) == ["w1"]
    assert "tr a-z A-Z" in config(stand_in(pins, world))


def test_a_process_with_the_pid_of_one_that_ended_is_not_taken_for_it(world: World, pins: Pins) -> None:
    pin(pins, world, "pool", of_process=True)
    (file,) = (world.folder / "pins").glob("repositories/*/owners/pool")
    file.write_text(file.read_text().replace(f"{os.getpid()}-", f"{os.getpid()}-1"))
    pin(pins, world, "w1")
    assert owners(world) == ["w1"]


def test_a_workspace_and_a_living_process_keep_their_pins(world: World, pins: Pins) -> None:
    pin(pins, world, "w1", up="one")
    pin(pins, world, "pool", of_process=True)
    assert "one" in config(pin(pins, world, "w2", up="two"))
    assert owners(world) == ["pool", "w1", "w2"]


def test_what_the_user_sets_while_no_agent_works_is_not_distrusted(world: World, pins: Pins) -> None:
    repo = str(world.repo)
    world.git.pin_configuration(repo, "pool", of_process=True)
    world.sh(world.repo, "git config filter.up.clean 'tr a-z A-Z'")
    world.git.unpin_configuration(repo, "pool")
    world.git.pin_configuration(repo, "w1")
    assert "tr a-z A-Z" in config(stand_in(pins, world))


def test_a_damaged_configuration_does_not_keep_a_pin_and_is_distrusted_once_it_can_be_read(
    world: World, pins: Pins
) -> None:
    repo = str(world.repo)
    world.sh(world.repo, "git config filter.mine.clean cat")
    world.git.pin_configuration(repo, "w1")
    world.sh(world.repo, "git config filter.x.clean $TRAP; echo '[broken' >> .git/config")
    world.git.unpin_configuration(repo, "w1")
    assert owners(world) == []
    with pytest.raises(GitFailed, match="config"):
        world.git.pin_configuration(repo, "w2")
    world.sh(world.repo, "sed -i /broken/d .git/config")
    world.git.pin_configuration(repo, "w2")
    found = config(stand_in(pins, world))
    assert "mine" in found
    assert str(world.trap) not in found


def test_a_pin_ends_where_the_repository_is_gone(world: World, pins: Pins) -> None:
    repo = str(world.repo)
    world.git.pin_configuration(repo, "w1")
    world.repo.rename(world.folder / "away")
    world.git.unpin_configuration(repo, "w1")
    assert owners(world) == []
    world.git.unpin_configuration(str(world.folder / "never"), "w1")
    world.sh(world.folder, "git init -q -b main repo; git -C repo config filter.mine.clean cat")
    world.git.pin_configuration(repo, "w2")
    assert "mine" in config(stand_in(pins, world))


@pytest.mark.parametrize("setting", ["core.worktree $HOME", "core.bare true"])
def test_where_the_files_are_is_not_for_an_agent_to_say_later(world: World, setting: str) -> None:
    repo = str(world.repo)
    world.git.pin_configuration(repo, "w1")
    world.sh(world.repo, f"git config {setting}")
    world.git.unpin_configuration(repo, "w1")
    assert world.git.inspect(repo).worktree == repo


def next_run(world: World, change: str) -> str:
    """Merge the agent's work, end its pin, and do another run after a change of the user's; return what it shows."""
    world.finish()
    world.git.unpin_configuration(str(world.repo), "w1")
    world.sh(world.repo, change)
    world.begin()
    world.sh(world.tree, "git merge -q main; echo evil > evil.x")
    world.trace.unlink(missing_ok=True)
    patch = world.git.diff(str(world.tree), "main", patch=True).patch
    world.finish()
    return (patch or b"").decode()


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    "include",
    [
        "git config includeIf.onbranch:dev.path $W/more; printf '[filter \"x\"]\nclean=%s\n' $TRAP > $W/more",
        "git config include.path ../more; printf '[filter \"x\"]\nclean=%s\n' $TRAP > more",
    ],
    ids=["for a branch that is not checked out yet", "of a file that arrives with a merge"],
)
def test_what_a_file_brings_later_that_an_agent_included_is_not_used(world: World, include: str) -> None:
    world.begin()
    world.sh(world.tree, f"echo '* filter=x' > .gitattributes; {include}")
    next_run(world, "git checkout -q -b dev; git config filter.late.clean cat")
    assert not world.trace.exists()
    assert any("include" in key for key in world.git.distrusted_settings()[str(world.repo)])
    world.git.unpin_configuration(str(world.repo), "w1")
    world.sh(world.repo, "git config --remove-section include || git config --remove-section includeIf.onbranch:dev")
    world.sh(world.repo, "git config filter.mine.clean cat")
    world.git.pin_configuration(str(world.repo), "w2")
    assert '[filter "mine"]' in config(stand_in(Pins(world.folder / "pins"), world))


@pytest.mark.deep_but_first
@pytest.mark.parametrize("setting", ["objectFormat=/none", "objectFormat=sha256", "refStorage=reftable"])
def test_a_format_that_an_agent_sets_where_git_does_not_look_for_it_has_no_effect(world: World, setting: str) -> None:
    """In a file that the configuration includes, and in that of a worktree."""
    world.begin()
    lines = f"printf '[core]\nrepositoryFormatVersion=1\n[extensions]\n{setting}\n'"
    world.sh(
        world.tree,
        f"cd $REPO; {lines} > .git/more; git config include.path more; git config extensions.worktreeConfig true; "
        f"{lines} > .git/config.worktree",
    )
    assert "+evil" in next_run(world, "true")


@pytest.mark.deep
def test_attributes_and_exclusions_that_an_agent_left_hide_nothing_from_the_next_review(world: World) -> None:
    world.sh(world.repo, "mkdir -p .git/info; echo '*.tmp' > .git/info/exclude")
    world.begin()
    world.sh(
        world.tree, "echo '* -diff' > $REPO/.git/info/attributes; echo 'evil*' >> $REPO/.git/info/exclude; touch new"
    )
    assert "+evil" in next_run(world, "touch a.tmp")
    assert world.git.distrusted_settings() == {str(world.repo): ("info/attributes", "info/exclude")}


CLEANED = {
    "it is removed": "git config --unset filter.up.clean",
    "it is replaced": "git config filter.up.clean cat",
    "its section is removed": "git config --remove-section filter.up",
    "all settings are": "cp .git/config $W/config; printf '[core]\nrepositoryformatversion = 0\n' > .git/config",
    "its attributes are": "rm .git/info/attributes",
    "they are a pipe": "rm .git/info/attributes; mkfifo .git/info/attributes",
}


@pytest.mark.deep_but_first
@pytest.mark.parametrize("attack", CLEANED.values(), ids=CLEANED)
def test_what_a_filter_of_the_users_keeps_secret_is_in_no_later_commit(world: World, attack: str) -> None:
    """As git-crypt does, with the attributes in the repository's own file."""
    world.sh(
        world.repo,
        "git config filter.up.clean 'tr a-z A-Z'; git config filter.up.smudge 'tr A-Z a-z';"
        " git config filter.up.required true; mkdir -p .git/info;"
        " echo '*.up filter=up' > .git/info/attributes; echo '*.key' > .git/info/exclude",
    )
    world.begin()
    world.sh(world.repo, f"rm .git/info/exclude; {attack}")
    for run in ("first", "second", "third"):
        world.sh(world.tree, f"echo {run} > x.up; echo secret > id.key")
        world.git.stage(str(world.tree))
        world.git.commit(str(world.tree), run)
        assert world.sh(world.tree, "git cat-file blob HEAD:x.up") == f"{run.upper()}\n"
        assert "id.key" not in world.sh(world.tree, "git ls-tree --name-only HEAD")
        world.git.unpin_configuration(str(world.repo), "w1")
        world.git.pin_configuration(str(world.repo), "w1")
    assert "info/exclude" in world.git.distrusted_settings()[str(world.repo)]


def test_settings_that_an_agent_removed_are_kept_until_the_user_has_restored_them(world: World) -> None:
    repo = str(world.repo)
    world.sh(world.repo, "git config filter.up.clean one; git config filter.other.clean one")

    def run(change: str) -> str:
        world.git.pin_configuration(repo, "w1")
        world.sh(world.repo, change)
        world.git.unpin_configuration(repo, "w1")
        world.git.pin_configuration(repo, "w1")
        found = config(stand_in(Pins(world.folder / "pins"), world))
        world.git.unpin_configuration(repo, "w1")
        return found

    assert run("git config filter.up.clean cat; git config --unset filter.other.clean").count('"one"') == 2
    assert world.git.distrusted_settings() == {repo: ("filter.other.clean", "filter.up.clean")}
    world.sh(world.repo, "git config filter.up.clean one; git config filter.other.clean two")
    found = run("true")
    assert found.count('"one"') == found.count('"two"') == 1
    assert world.git.distrusted_settings() == {}
    world.sh(world.repo, "git config --unset filter.up.clean")
    assert '"one"' not in run("true")


def test_nothing_that_an_agent_left_is_run_between_two_runs(world: World) -> None:
    """Git fetches objects that are missing by a program that the configuration names."""
    world.begin()
    world.sh(
        world.tree,
        """
        echo x > b.txt; git config core.repositoryFormatVersion 1; git config extensions.partialClone evil
        git config remote.evil.promisor true; git config remote.evil.url $W/repo
        git config remote.evil.uploadpack "echo >> $W/trace; false"
        """,
    )
    world.finish()
    world.git.unpin_configuration(str(world.repo), "w1")
    tip = world.git.resolve(str(world.repo), "main")
    (world.repo / ".git/objects" / tip[:2] / tip[2:]).unlink()
    assert world.git.inspect(str(world.repo)).head is None
    assert not world.trace.exists()


def test_refs_are_not_looked_for_where_an_agent_says(world: World, pins: Pins) -> None:
    """Since 2.54, `extensions.refStorage` may be a URL."""
    pin(pins, world, "w1", up="one")
    entries = [ConfigEntry("local", "", "extensions.refstorage", value) for value in ("files", f"files://{world.home}")]
    pins.rest(common_of(world), "w1", entries)
    ((common, distrusted),) = pins.all_distrusted()
    assert common == common_of(world)
    assert ("extensions.refstorage", f"files://{world.home}") in distrusted.added
    assert ("extensions.refstorage", "files") not in distrusted.added


# --- What is damaged, held or left behind -----------------------------------------------------------------------------


def test_a_damaged_record_is_told_and_nothing_runs(world: World) -> None:
    world.begin()
    for file in (world.folder / "pins" / "places").iterdir():
        file.write_bytes(b"{")
    for use in (world.git.status, world.git.stage):
        with pytest.raises(GitFailed, match="it is damaged") as told:
            use(str(world.tree))
        assert "pins" in told.value.remedy


@pytest.mark.parametrize("name", ["pinned", "distrusted", "owners/w1"])
def test_a_damaged_pin_is_told(world: World, pins: Pins, name: str) -> None:
    pin(pins, world, "w1")
    (file,) = (world.folder / "pins").glob(f"repositories/*/{name}")
    file.write_bytes(b"[")
    with pytest.raises(GitFailed, match="it is damaged"):
        pins.rest(common_of(world), "w1", [])


def test_a_pin_without_its_settings_distrusts_all(world: World, pins: Pins) -> None:
    pin(pins, world, "w1", up="one")
    (file,) = (world.folder / "pins").glob("repositories/*/pinned")
    file.unlink()
    pins.rest(common_of(world), "w1", [ConfigEntry("local", "", "filter.up.clean", "one")])
    assert "up" not in config(pin(pins, world, "w1", up="one"))


def test_a_lock_that_is_held_is_not_waited_for_forever(world: World) -> None:
    git = CommandLineGit(environment=world.environment, pins=world.folder / "pins", timeout=0.2)
    world.git.pin_configuration(str(world.repo), "w1")
    with (world.folder / "pins" / "lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(GitTimeout, match="pin") as told:
            git.pin_configuration(str(world.repo), "w2")
    assert "pins/lock" in told.value.remedy


def test_worktrees_removed_by_hand_are_forgotten_when_nobody_can_put_something_else_there(world: World) -> None:
    world.begin()
    places = world.folder / "pins" / "places"
    world.sh(world.repo, "rm -rf $W/aura/tree; git worktree prune")
    world.git.pin_configuration(str(world.repo), "w2")
    assert len(list(places.iterdir())) == 3
    for owner in ("w1", "w2"):
        world.git.unpin_configuration(str(world.repo), owner)
    world.git.pin_configuration(str(world.repo), "w3")
    assert len(list(places.iterdir())) == 2


def test_files_that_killed_processes_left_are_removed(world: World) -> None:
    repo = str(world.repo)
    world.git.pin_configuration(repo, "w1")
    world.git.unpin_configuration(repo, "w1")
    pins = world.folder / "pins"
    left = [folder / ".aura-0123" for folder in (pins / "places", *pins.glob("repositories/*"))]
    for file in left:
        file.write_bytes(b"[")
    world.git.pin_configuration(repo, "w1")
    assert not any(file.exists() for file in left)


@pytest.mark.parametrize("same_device", [True, False])
def test_a_link_to_the_git_directory_is_written_outside_the_worktree_first(
    world: World, monkeypatch: pytest.MonkeyPatch, *, same_device: bool
) -> None:
    """What a kill leaves in a worktree would be committed."""
    world.begin()
    world.sh(world.tree, "echo gitdir: $HOME > .git")
    replace, seen = Path.replace, []

    def replacing(file: Path, target: Path) -> Path:
        seen.append(file.parent)
        if not same_device and file.parent != target.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(file, target)

    monkeypatch.setattr(Path, "replace", replacing)
    world.git.status(str(world.tree))
    assert seen[0] == world.repo / ".git/worktrees/tree"
    assert world.sh(world.tree, "cat .git").strip() == f"gitdir: {world.repo / '.git/worktrees/tree'}"
    assert not list(seen[0].glob(".aura-*"))


def test_paths_that_are_no_text_are_recorded(world: World, pins: Pins) -> None:
    path, common = world.folder / os.fsdecode(b"caf\xe9"), common_of(world)
    path.mkdir()
    pins.record(PinnedPlace(path=str(path), git_dir=common, common_dir=common))
    assert pins.recorded_common_dir(str(path)) == common
