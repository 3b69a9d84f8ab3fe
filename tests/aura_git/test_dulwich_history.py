"""The graph of commits, on random histories with clocks that go backwards: git finds the same."""

from pathlib import Path
from random import Random

import pytest

from aura_contracts.ports.git import Identity
from aura_git._dulwich_history import History
from aura_git._dulwich_repository import opened
from aura_git.testing.repositories import Scratch


@pytest.mark.parametrize("seed", range(3))
def test_git_finds_the_same_ancestors(tmp_path: Path, seed: int):
    random = Random(seed)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    repo = Scratch(tmp_path, environment)
    repo.git("init", "-q")
    commits = _random_history(repo, random)
    with opened(str(tmp_path), "test", Identity(), 0.0, environment) as found:
        history = History(found)
        for _ in range(40):
            one, other = (commit.encode() for commit in random.sample(commits, 2))
            listed = repo.git("merge-base", "--all", one.decode(), other.decode(), codes=(0, 1)).split()
            assert [sha.decode() for sha in history.merge_bases(one, other)] == listed
            assert history.is_ancestor(one, other) == (listed == [one.decode()])
            between = repo.git("rev-list", f"{one.decode()}..{other.decode()}").split()
            assert {sha.decode() for sha in history.between([one], other)} == set(between)


def _random_history(repo: Scratch, random: Random) -> list[str]:
    tree = repo.git("mktree", stdin=b"")
    commits: list[str] = []
    for number in range(24):
        parents = random.sample(commits, min(len(commits), random.choice([0, 1, 1, 1, 2, 2, 3])))
        when = f"@{10**9 + random.choice([number * 10, random.randrange(300)])} +0000"
        named = [argument for parent in parents for argument in ("-p", parent)]
        commits.append(repo.git("commit-tree", tree, "-m", f"{number}", *named, GIT_COMMITTER_DATE=when))
    return commits
