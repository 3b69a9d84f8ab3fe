"""The environment that git runs in: the caller's, without anything that would change what a command does.

The user's configuration stays in force for who they are, what they ignore, which filters their files need (`git-lfs`)
and which folders they trust. Merge drivers are run only where the repository is pinned, so that they are known to be
the user's (`aura_git.repository._pins`). Every other setting that would change a result is fixed here, by
``GIT_CONFIG_COUNT`` (git-config(1)), which wins over every file.
"""

from collections.abc import Iterable, Mapping

from aura_git.commandline._output import ConfigEntry

_KEPT = frozenset(
    {
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_EXEC_PATH",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    }
)
"""Where the user's configuration and git itself are. All other variables of git's are dropped."""

_ALWAYS = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "GIT_EDITOR": "false",
    "GIT_SEQUENCE_EDITOR": "false",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_MERGE_AUTOEDIT": "no",
    # What is displayed is what is stored: an agent could show other objects in place of its own. The same goes for
    # `core.commitGraph`, in which each commit has a tree and parents, too.
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null",
}

_HOOKS = ("applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit prepare-commit-msg commit-msg"
          " post-commit pre-rebase post-checkout post-merge pre-push reference-transaction pre-auto-gc post-rewrite"
          " post-index-change")  # fmt: skip
"""The hooks that git runs here. Since 2.55 those that are configured can be switched off by event."""

CONFIGURED_HOOKS = (2, 54)
"""The version of git from which on the configuration can name programs for hooks."""

_SETTINGS = {
    # Programs that must not run.
    "core.hooksPath": "/dev/null",
    **{f"hook.{name}.enabled": "false" for name in _HOOKS.split()},
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.pager": "cat",
    "core.askPass": "",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "rerere.enabled": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    # What is stored and displayed.
    "core.attributesFile": "/dev/null",
    "core.commitGraph": "false",
    "core.safecrlf": "false",
    "core.quotePath": "true",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "color.ui": "false",
    "advice.graftFileDeprecated": "false",
    "status.showUntrackedFiles": "all",
    "status.submoduleSummary": "false",
    "diff.renames": "true",
    "diff.renameLimit": "1000",
    "diff.algorithm": "myers",
    "diff.ignoreSubmodules": "none",
    "diff.suppressBlankEmpty": "false",
    "diff.indentHeuristic": "true",
    "merge.renames": "true",
    "merge.renameLimit": "7000",
    "merge.directoryRenames": "conflict",
    "merge.renormalize": "false",
    "merge.default": "text",
    "merge.conflictStyle": "merge",
    "add.ignoreErrors": "false",
    # What else is touched.
    "submodule.recurse": "false",
    "branch.autoSetupMerge": "false",
    "worktree.guessRemote": "false",
    "worktree.useRelativePaths": "false",
    # The caller names bare repositories; git does not find them by accident.
    "safe.bareRepository": "all",
    # One thread per processor, from a hundred files on.
    "checkout.workers": "0",
    "checkout.thresholdForParallelism": "100",
}

_MERGE_AS_TEXT = "git merge-file --marker-size=%L %A %O %B || exit 1"
"""Replaces every merge driver with what git does for a file without one.

A driver cannot be unset. Git's own ``merge-file`` leaves files that it cannot merge (binary ones) unchanged.
"""

OF_THE_REPOSITORY = {"core.autocrlf": "false", "core.eol": "native"}
"""Settings that only the repository's own configuration may make, with their defaults."""


def git_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every git command, given the caller's."""
    kept = {name: value for name, value in environment.items() if not name.startswith("GIT_") or name in _KEPT}
    kept.pop("LANGUAGE", None)
    return with_settings({**kept, **_ALWAYS, **_configured(environment)}, _SETTINGS)


def with_settings(environment: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return `environment` with more configuration, which wins over its own."""
    count = int(environment.get("GIT_CONFIG_COUNT", "0"))
    added = {"GIT_CONFIG_COUNT": str(count + len(settings))}
    for number, (key, value) in enumerate(settings.items(), count):
        added |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**environment, **added}


def _configured(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration in the caller's environment (containers set ``safe.directory`` this way)."""
    count = environment.get("GIT_CONFIG_COUNT", "")
    numbers = range(int(count)) if count.isdecimal() and len(count) < 5 else range(0)
    names = [name for number in numbers for name in (f"GIT_CONFIG_KEY_{number}", f"GIT_CONFIG_VALUE_{number}")]
    if not all(name in environment for name in names):
        return {}
    return {name: environment[name] for name in names} | {"GIT_CONFIG_COUNT": str(len(numbers))}


def repository_settings(entries: Iterable[ConfigEntry], *, drivers_run: bool = False) -> dict[str, str]:
    """Return the settings for commands that read or write files, given the whole configuration.

    They are the repository's own `OF_THE_REPOSITORY`, and a replacement for each merge driver unless `drivers_run`.
    """
    known = list(entries)
    own = {entry.key: entry.value for entry in known if entry.scope in {"local", "worktree"}}
    drivers = set[str]()
    if not drivers_run:
        drivers = {entry.key for entry in known if entry.key.startswith("merge.") and entry.key.endswith(".driver")}
    chosen = {name: own.get(name.lower(), default) for name, default in OF_THE_REPOSITORY.items()}
    return chosen | dict.fromkeys(sorted(drivers), _MERGE_AS_TEXT)


def without_filters(entries: Iterable[ConfigEntry]) -> dict[str, str]:
    """Return settings that switch off every filter in the configuration."""
    filters = {entry.key.rpartition(".")[0] for entry in entries if entry.key.startswith("filter.")}
    off = {"clean": "", "smudge": "", "process": "", "required": "false"}
    return {f"{name}.{variable}": value for name in sorted(filters) for variable, value in off.items()}


def without_hooks(entries: Iterable[ConfigEntry]) -> dict[str, str]:
    """Return settings that switch off every hook in the configuration."""
    names = {entry.key.rpartition(".")[0] for entry in entries if entry.key.startswith("hook.")}
    return {f"{name}.enabled": "false" for name in sorted(names) if name != "hook"}
