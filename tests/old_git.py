"""An old git: the one that `AURA_OLD_GIT` names, else this one behind a wrapper that refuses what came after 2.34."""

import os
import shutil
from pathlib import Path

GIT = shutil.which("git") or "git"

NEWER = (
    "cat-file *--batch-command*",  # 2.36
    "for-each-ref *--exclude*",  # 2.42
    "ls-files *--format*",  # 2.38
    "ls-tree *--format*",  # 2.36
    "merge *--into-name*",  # 2.35
    "merge-tree *--write-tree*",  # 2.38
    "rev-parse *--show-ref-format*",  # 2.44
    "worktree add *--orphan*",  # 2.42
    "worktree list *-z*",  # 2.36
)
"""Options that came after 2.34, as patterns of the shell."""


def old_git(folder: Path) -> str:
    """Return an old git, or one that reports version 2.34, made in `folder`. It expects ``-C <path>`` first."""
    return os.environ.get("AURA_OLD_GIT") or imitation(folder)


def imitation(folder: Path) -> str:
    """Return a git that reports version 2.34 and refuses newer options."""
    script = folder / "git-2.34"
    patterns = "|".join(pattern.replace(" ", "\\ ") for pattern in NEWER)
    script.write_text(
        f"""#!/bin/sh
case "$(shift 2; echo "$*")" in
    --version) echo 'git version 2.34.0'; exit ;;
    {patterns}) echo "fatal: git 2.34 does not know: $*" >&2; exit 129 ;;
esac
exec {GIT} "$@"
"""
    )
    script.chmod(0o755)
    return str(script)
