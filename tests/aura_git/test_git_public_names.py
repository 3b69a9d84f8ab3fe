"""What `aura_git` offers by name."""

import aura_git


def test_the_public_names_are_pinned() -> None:
    assert sorted(aura_git.__all__) == ["CommandLineGit", "FoundGit", "find_git"]
    assert all(hasattr(aura_git, name) for name in aura_git.__all__)
