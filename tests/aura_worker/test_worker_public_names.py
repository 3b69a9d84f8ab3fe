"""What `aura_worker` offers by name."""

import aura_worker


def test_the_public_names_are_pinned():
    assert aura_worker.__all__ == ["ExecutorSource", "ToolsFactory", "Worker"]
    assert all(hasattr(aura_worker, name) for name in aura_worker.__all__)
