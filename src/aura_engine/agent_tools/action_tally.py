"""Action tally: the actions of an execution, counted in its log: limits hold over all its tool servers."""

from collections import Counter

from aura_contracts.execution import Action
from aura_contracts.ids import ExecutionId
from aura_contracts.ports.event_log import EventLog


class ActionTally:
    """Counts the actions of one execution. Reads only what has been recorded since it was last asked."""

    def __init__(self, log: EventLog, execution_id: ExecutionId) -> None:
        self._log = log
        self._execution_id = execution_id
        self._seen = 0
        self._counts = Counter[type[Action]]()

    async def count(self, action: type[Action]) -> int:
        """Return how many actions of this type the log has now."""
        seen, counts = self._seen, self._counts
        facts = await self._log.facts(self._execution_id, after=seen)
        counts = counts + Counter(type(fact.event) for fact in facts if isinstance(fact.event, Action))
        self._seen, self._counts = seen + len(facts), counts
        return counts[action]
