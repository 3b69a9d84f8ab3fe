"""The graph of commits: common ancestors and what lies between two commits.

Walks go from new to old by commit time; clocks that disagree make them longer, never wrong, because a walk ends only
when nothing is left that could still matter, and because ancestors of other results are taken out at the end.
"""

import heapq
from collections.abc import Sequence

from dulwich.objects import ObjectID

from aura_git._dulwich_repository import Opened

_ONE, _OTHER, _STALE, _RESULT = 1, 2, 4, 8


class History:
    """The commits of a repository as far as they were looked at; a shallow clone ends where it was cut off."""

    def __init__(self, repo: Opened) -> None:
        self._repo = repo
        self._known: dict[ObjectID, tuple[int, list[ObjectID]]] = {}

    def _look(self, sha: ObjectID) -> tuple[int, list[ObjectID]]:
        known = self._known.get(sha)
        if known is None:
            commit = self._repo.commit(sha)
            known = self._known[sha] = (commit.commit_time, self._repo.repo.get_parents(sha, commit))
        return known

    def parents(self, sha: ObjectID) -> list[ObjectID]:
        return self._look(sha)[1]

    def merge_bases(self, one: ObjectID, other: ObjectID) -> list[ObjectID]:
        """Return the best common ancestors, newest first; of those of one time in the order that git finds them in."""
        if one == other:
            return [one]
        found = self._common(one, [other])
        best = [sha for sha in found if not any(self._reaches(rest, sha) for rest in found if rest != sha)]
        return sorted(best, key=lambda sha: -self._look(sha)[0])

    def is_ancestor(self, ancestor: ObjectID, descendant: ObjectID) -> bool:
        return ancestor == descendant or self._reaches(descendant, ancestor)

    def between(self, base: Sequence[ObjectID], tip: ObjectID) -> list[ObjectID]:
        """Return the commits that `tip` contains and none of `base` does, parents before children."""
        excluded = self._ancestors(base)
        order: list[ObjectID] = []
        done: set[ObjectID] = set()
        pending: list[tuple[ObjectID, bool]] = [(tip, False)]
        while pending:
            sha, expanded = pending.pop()
            if expanded:
                order.append(sha)
            elif sha not in done and sha not in excluded:
                done.add(sha)
                pending.append((sha, True))
                pending.extend((parent, False) for parent in reversed(self.parents(sha)))
        return order

    def _ancestors(self, tips: Sequence[ObjectID]) -> set[ObjectID]:
        seen: set[ObjectID] = set()
        pending = list(tips)
        while pending:
            sha = pending.pop()
            if sha not in seen:
                seen.add(sha)
                pending.extend(self.parents(sha))
        return seen

    def _reaches(self, descendant: ObjectID, ancestor: ObjectID) -> bool:
        return ancestor in self._common(ancestor, [descendant])

    def _common(self, one: ObjectID, others: list[ObjectID]) -> list[ObjectID]:
        """Paint both sides' ancestors downwards; where the paints meet is common, what is below that is stale."""
        flags: dict[ObjectID, int] = {one: _ONE}
        for other in others:
            flags[other] = flags.get(other, 0) | _OTHER
        queue = [(-self._look(sha)[0], number, sha) for number, sha in enumerate(flags)]
        heapq.heapify(queue)
        number = len(queue)
        found: list[ObjectID] = []
        while any(not flags[sha] & _STALE for _, _, sha in queue):
            _, _, sha = heapq.heappop(queue)
            paint = flags[sha] & (_ONE | _OTHER | _STALE)
            if paint == _ONE | _OTHER:
                if not flags[sha] & _RESULT:
                    flags[sha] |= _RESULT
                    found.append(sha)
                paint |= _STALE
            for parent in self.parents(sha):
                if flags.get(parent, 0) & paint != paint:
                    flags[parent] = flags.get(parent, 0) | paint
                    heapq.heappush(queue, (-self._look(parent)[0], number, parent))
                    number += 1
        return [sha for sha in found if not flags[sha] & _STALE]
