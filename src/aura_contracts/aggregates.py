"""All of AURA's aggregates, and the catalogue of their events.

To read a log with aggregates of your own, extend the catalogue: ``CATALOGUE.extended(MINE.events)``.
"""

from typing import Any

from aura_contracts.agent import AGENT
from aura_contracts.aggregate import Aggregate
from aura_contracts.approval import APPROVAL
from aura_contracts.board import BOARD
from aura_contracts.catalogue import EventCatalogue
from aura_contracts.execution import EXECUTION
from aura_contracts.lease import WORKER_LEASE
from aura_contracts.ledger import LEDGER
from aura_contracts.output import OUTPUT
from aura_contracts.task import TASK
from aura_contracts.template import PROMPT_TEMPLATE
from aura_contracts.workflow import WORKFLOW
from aura_contracts.workspace import WORKSPACE

AGGREGATES: tuple[Aggregate[Any], ...] = (
    TASK,
    APPROVAL,
    EXECUTION,
    OUTPUT,
    AGENT,
    WORKER_LEASE,
    WORKSPACE,
    WORKFLOW,
    BOARD,
    PROMPT_TEMPLATE,
    LEDGER,
)
"""Every aggregate, in the order of the documentation."""

CATALOGUE = EventCatalogue.of(AGGREGATES)
"""Every event that AURA stores."""
