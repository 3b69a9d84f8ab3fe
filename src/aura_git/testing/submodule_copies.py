"""The part of the conformance suite about submodules: filled without a network, and their commits kept."""

import shutil
from pathlib import Path

import pytest

from aura_contracts.ports.git import Git
from aura_contracts.workspace import Unrecorded, UnrecordedKind
from aura_git.testing.repositories import Conformance, Scratch

_ANY_PROTOCOL = ("-c", "protocol.file.allow=always")


class SubmoduleConformance(Conformance):
    @pytest.fixture
    def nested_tree(self, git: Git, with_submodule: Scratch, tmp_path: Path) -> Scratch:
        """A new linked worktree of `with_submodule`, on branch work."""
        git.ensure_branch(str(with_submodule), "work", "main")
        git.add_worktree(str(with_submodule), str(tmp_path / "linked"), "work")
        return Scratch(tmp_path / "linked", with_submodule.environment)

    def inside(self, scratch: Scratch, path: str = "sub") -> Scratch:
        return Scratch(scratch.path / path, scratch.environment)

    # --- Filling ------------------------------------------------------------------------------------------------------

    def test_submodules_are_filled_from_the_copies_of_the_repository(
        self, git: Git, repo: Scratch, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        origin = str(repo)
        repo.path.rename(repo.path.with_name("unreachable"))
        before = with_submodule.git("config", "--list", "--local")
        assert git.fill_submodules(str(nested_tree)) == ()
        inside = self.inside(nested_tree)
        assert inside.read("src/app.py") == "print('hello')\n"
        assert inside.head == nested_tree.git("rev-parse", "HEAD:sub")
        assert inside.git("config", "remote.origin.url") == origin
        assert inside.git("rev-parse", "origin/main") == inside.head
        assert inside.porcelain() == nested_tree.porcelain() == ""
        assert with_submodule.git("config", "--list", "--local") == before
        assert git.fill_submodules(str(nested_tree)) == ()

    @pytest.fixture
    def two_levels(self, git: Git, repo: Scratch, with_submodule: Scratch, tmp_path: Path) -> tuple[Scratch, Scratch]:
        """A repository with a submodule in a submodule, and a linked worktree of it."""
        outer = Scratch(tmp_path / "outer", repo.environment)
        outer.path.mkdir()
        outer.git("init", "-q", "-b", "main")
        outer.git(
            *_ANY_PROTOCOL, "submodule", "-q", "add", "--name", "a/name of its own", str(with_submodule), "mid dle"
        )
        outer.git(*_ANY_PROTOCOL, "submodule", "-q", "update", "--init", "--recursive")
        outer.commit("two levels")
        git.ensure_branch(str(outer), "work", "main")
        git.add_worktree(str(outer), str(tmp_path / "linked"), "work")
        return outer, Scratch(tmp_path / "linked", repo.environment)

    def test_submodules_of_submodules_are_filled(self, git: Git, two_levels: tuple[Scratch, Scratch]) -> None:
        outer, nested_tree = two_levels
        assert git.fill_submodules(str(nested_tree)) == ()
        assert nested_tree.read("mid dle/sub/src/app.py") == "print('hello')\n"
        assert nested_tree.porcelain() == ""
        shutil.rmtree(outer.path / ".git/modules/a/name of its own/modules")
        shutil.rmtree(nested_tree.path / "mid dle/sub")
        (nested_tree.path / "mid dle/sub").mkdir()
        assert git.fill_submodules(str(nested_tree.path / "mid dle")) == ("sub",)

    def test_a_submodule_of_which_there_is_no_copy_stays_empty_and_is_named(
        self, git: Git, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        shutil.rmtree(with_submodule.path / ".git" / "modules")
        assert git.fill_submodules(str(nested_tree)) == ("sub",)
        assert list((nested_tree.path / "sub").iterdir()) == []
        assert nested_tree.porcelain() == ""

    def test_a_submodule_whose_commit_the_copy_lacks_stays_empty_and_is_named(
        self, git: Git, repo: Scratch, nested_tree: Scratch
    ) -> None:
        newer = repo.commit("newer")
        nested_tree.git("update-index", "--cacheinfo", f"160000,{newer},sub")
        assert git.fill_submodules(str(nested_tree)) == ("sub",)
        assert list((nested_tree.path / "sub").iterdir()) == []

    def test_the_files_of_the_main_worktree_are_not_needed(
        self, git: Git, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        shutil.rmtree(with_submodule.path / "sub")
        assert git.fill_submodules(str(nested_tree)) == ()
        new = self.inside(nested_tree).commit("new", {"new": "x\n"})
        pointing = nested_tree.commit("points to it")
        assert git.keep_submodules(str(nested_tree), "w") == {}
        assert git.missing_submodule_commits(str(with_submodule), "main", pointing) == {}
        with_submodule.git("merge", "-q", "work")
        with_submodule.git("submodule", "-q", "update", "--no-fetch")
        assert self.inside(with_submodule).head == new

    def test_a_copy_in_the_main_worktree_serves_too(
        self, git: Git, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        modules = with_submodule.path / ".git/modules/sub"
        (with_submodule.path / "sub/.git").unlink()
        modules.rename(with_submodule.path / "sub/.git")
        with_submodule.git("config", "-f", "sub/.git/config", "--unset", "core.worktree")
        assert git.fill_submodules(str(nested_tree)) == ()
        assert nested_tree.read("sub/src/app.py") == "print('hello')\n"

    def test_a_name_that_leads_out_of_the_copies_is_not_followed(
        self, git: Git, repo: Scratch, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        shutil.rmtree(with_submodule.path / ".git" / "modules")
        nested_tree.write(".gitmodules", f'[submodule "../../../{repo.path.name}/.git"]\n\tpath = sub\n\turl = x\n')
        assert git.fill_submodules(str(nested_tree)) == ("sub",)

    # --- Keeping ------------------------------------------------------------------------------------------------------

    def test_new_commits_are_taken_over_into_the_copy(
        self, git: Git, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        git.fill_submodules(str(nested_tree))
        assert git.keep_submodules(str(nested_tree), "w") == {}
        inside = self.inside(nested_tree)
        inside.git("checkout", "-q", "-b", "aside")
        aside = inside.commit("aside", {"aside": "x\n"})
        inside.git("checkout", "-q", "--detach", "HEAD~1")
        new = inside.commit("new", {"new": "x\n"})
        pointing = nested_tree.commit("points to it")
        assert git.missing_submodule_commits(str(with_submodule), "main", pointing, str(nested_tree)) == {"sub": new}
        for _ in range(2):
            assert git.unkept_submodules(str(nested_tree)) == ("sub",), "nothing is changed"
        assert git.keep_submodules(str(nested_tree), "w") == {}
        assert git.unkept_submodules(str(nested_tree)) == ()
        shutil.rmtree(nested_tree.path / "sub")
        copy = Scratch(with_submodule.path / ".git/modules/sub", nested_tree.environment)
        assert copy.commit_of("refs/aura/submodules/w/HEAD") == new
        assert copy.commit_of("refs/aura/submodules/w/heads/aside") == aside
        assert git.missing_submodule_commits(str(with_submodule), "main", pointing) == {}
        with_submodule.git("merge", "-q", "work")
        with_submodule.git("submodule", "-q", "update", "--no-fetch")
        assert with_submodule.read("sub/new") == "x\n"

    def test_a_commit_that_the_copy_has_but_no_ref_of_it_is_not_kept(
        self, git: Git, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        """``git gc`` deletes it some day."""
        git.fill_submodules(str(nested_tree))
        self.inside(nested_tree).commit("new", {"new": "x\n"})
        assert git.keep_submodules(str(nested_tree), "w") == {}
        copy = Scratch(with_submodule.path / ".git/modules/sub", nested_tree.environment)
        copy.git("update-ref", "-d", "refs/aura/submodules/w/HEAD")
        assert git.unkept_submodules(str(nested_tree)) == ("sub",)

    def test_why_new_commits_cannot_be_taken_over_is_said(
        self, git: Git, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        git.fill_submodules(str(nested_tree))
        self.inside(nested_tree).commit("new", {"new": "x\n"})
        (with_submodule.path / ".git/modules/sub/refs/aura").write_text("in the way")
        assert "fetch" in git.keep_submodules(str(nested_tree), "w")["sub"]

    def test_new_commits_of_submodules_of_submodules_are_taken_over(
        self, git: Git, two_levels: tuple[Scratch, Scratch]
    ) -> None:
        outer, nested_tree = two_levels
        git.fill_submodules(str(nested_tree))
        new = self.inside(nested_tree, "mid dle/sub").commit("new", {"new": "x\n"})
        self.inside(nested_tree, "mid dle").commit("points to it")
        assert git.keep_submodules(str(nested_tree), "w") == {}
        assert self.inside(outer, "mid dle/sub").commit_of("refs/aura/submodules/w/HEAD") == new

    @pytest.mark.parametrize("where", ["tag", "stash", "left", "absorbed"])
    def test_commits_in_a_corner_of_a_submodule_are_taken_over(
        self, git: Git, with_submodule: Scratch, nested_tree: Scratch, where: str
    ) -> None:
        if where == "absorbed":
            nested_tree.git(*_ANY_PROTOCOL, "submodule", "-q", "update", "--init")
        git.fill_submodules(str(nested_tree))
        inside = self.inside(nested_tree)
        if where == "stash":
            inside.write("README", "stashed\n")
            inside.git("stash", "-q")
            new = inside.commit_of("refs/stash")
        else:
            new = inside.commit("new", {"new": "x\n"})
        if where == "tag":
            inside.git("tag", "v2")
        if where == "absorbed":
            shutil.rmtree(nested_tree.path / "sub")
        else:
            inside.git("checkout", "-q", "--detach", nested_tree.git("rev-parse", "HEAD:sub"))
        assert git.keep_submodules(str(nested_tree), "w") == {}
        aside = [Unrecorded(kind=UnrecordedKind.ASIDE, path="sub")] if where in {"stash", "left"} else []
        assert list(git.elsewhere(str(nested_tree))) == aside
        copy = Scratch(with_submodule.path / ".git/modules/sub", nested_tree.environment)
        assert new in copy.git("for-each-ref", "--format=%(objectname)", "refs/aura/submodules/w")

    def test_commits_of_which_no_copy_can_be_kept_are_named(
        self, git: Git, repo: Scratch, with_submodule: Scratch, nested_tree: Scratch
    ) -> None:
        shutil.rmtree(with_submodule.path / ".git" / "modules")
        nested_tree.git(*_ANY_PROTOCOL, "submodule", "-q", "update", "--init")
        assert git.keep_submodules(str(nested_tree), "w") == {}
        inside = self.inside(nested_tree)
        new = inside.commit("new", {"new": "x\n"})
        pointing = nested_tree.commit("points to it")
        assert git.keep_submodules(str(nested_tree), "w") == {"sub": "the repository has no copy of it"}
        assert git.missing_submodule_commits(str(with_submodule), "main", pointing, str(nested_tree)) == {"sub": new}
        repo.git("config", "receive.denyCurrentBranch", "ignore")
        inside.git("push", "-q", "origin", "HEAD:refs/heads/pushed")
        assert git.keep_submodules(str(nested_tree), "w") == {}
        assert git.missing_submodule_commits(str(with_submodule), "main", pointing, str(nested_tree)) == {}
        assert git.missing_submodule_commits(str(with_submodule), "main", pointing) == {"sub": new}

    def test_a_repository_that_was_added_as_it_is_points_to_what_goes_with_the_worktree(
        self, git: Git, repo: Scratch, tmp_path: Path
    ) -> None:
        git.ensure_branch(str(repo), "work", "main")
        git.add_worktree(str(repo), str(tmp_path / "linked"), "work")
        nested_tree = Scratch(tmp_path / "linked", repo.environment)
        app = self.inside(nested_tree, "app")
        app.path.mkdir()
        app.git("init", "-q", "-b", "main")
        head = app.commit("of its own", {"main.py": "x\n"})
        pointing = nested_tree.commit("with a gitlink")
        assert git.keep_submodules(str(nested_tree), "w") == {"app": "the repository has no copy of it"}
        assert git.missing_submodule_commits(str(repo), "main", pointing, str(nested_tree)) == {"app": head}

    # --- Status -------------------------------------------------------------------------------------------------------

    def test_a_program_of_a_submodule_s_configuration_does_not_run(
        self, git: Git, with_submodule: Scratch, tmp_path: Path
    ) -> None:
        trap = tmp_path / "trap"
        trap.write_text(f"#!/bin/sh\ntouch '{tmp_path}/sprung'\n")
        trap.chmod(0o755)
        self.inside(with_submodule).git("config", "core.fsmonitor", str(trap))
        with_submodule.write("sub/new")
        assert git.status(str(with_submodule)).unstaged == ("sub",)
        assert not (tmp_path / "sprung").exists()

    def test_uncommitted_changes_of_submodules_are_unrecorded(self, git: Git, with_submodule: Scratch) -> None:
        assert git.inventory(str(with_submodule)).unrecorded == ()
        with_submodule.write("sub/new")
        assert git.inventory(str(with_submodule)).unrecorded == (Unrecorded(kind=UnrecordedKind.SUBMODULE, path="sub"),)
        self.inside(with_submodule).commit("inside")
        assert git.inventory(str(with_submodule)).unrecorded == ()
