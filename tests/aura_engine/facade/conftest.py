"""What all functional tests may use."""

from engines import opened, repository

__all__ = ["opened", "repository"]
