"""Places: where the paths of a permission request lead on this worker, for the rules that are about files.

A link may change after the agent has asked, so a rule about a place is not a boundary against an agent that changes
links meanwhile. Real paths of names that differ only for a process (``/proc/self``) are not looked up here.
"""

import os
from collections.abc import Callable, Mapping

import attrs
from msgspec.structs import replace

from aura_contracts.entries import AnyEntry, PermissionRequested
from aura_contracts.permission import PermissionRules, Places, known_rule, paths_in, prefix_of


@attrs.frozen
class PlaceFinder:
    """Adds to permission requests where their paths lead. Blocks for some microseconds for each path.

    `folder` is the agent's working folder, `home` the home folder in its environment.
    """

    folder: str
    home: str
    rules: PermissionRules

    def __call__(self, entry: AnyEntry) -> AnyEntry:
        """Return `entry`, with its places if it is a permission request."""
        return replace(entry, places=self.find(entry)) if isinstance(entry, PermissionRequested) else entry

    def find(self, entry: PermissionRequested) -> Places:
        """Return where the paths of `entry` and the beginnings of rules lead."""
        places = Places(folder=self.folder, home=self.home)
        texts = (*self.rules.allow, *self.rules.deny)
        subjects = [rule.subject for text in texts if (rule := known_rule(text)) is not None and rule.subject]
        wanted = [*paths_in(entry.arguments), *map(prefix_of, subjects)]
        wanted += [self.folder, self.home, "."]
        real = {path: found for path in wanted if path and (found := _real(places.below(path)))}
        return replace(places, real=real)


def place_finder(folder: str, environment: Mapping[str, str], rules: PermissionRules) -> Callable[[AnyEntry], AnyEntry]:
    """Return the finder for an agent that works in `folder` with this `environment`."""
    return PlaceFinder(folder, environment.get("HOME", ""), rules)


def _real(path: str) -> str:
    """Return where `path` leads; empty for one that leads nowhere, such as a circle of links."""
    try:
        return _settled(os.path.realpath(path))
    except (OSError, ValueError):
        return ""


def _settled(path: str) -> str:
    """Return `path` unless it is still a link, which is what is left of a circle."""
    return "" if os.path.islink(path) else path  # noqa: PTH114 - a Path would cost more than the call
