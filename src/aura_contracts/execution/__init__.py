"""Execution: one run of an agent, stage by stage (specification, "Execution Model").

    Queued ► PrepareWorkspace ► Setup ► CodingInitial ► Cleanup ► Review ─────────► Done
                                             │             ▲      ▲  │
                                             │ no changes  │      │  └─► CodingFollowUp
                                             └─────────────┼──────┘            │ no changes: to Review
                                                           └───────────────────┘
    any running stage ► Failed(failure) · any live state ► Cancelled

The work happens on a worker, which holds the execution under a lease (see `aura_contracts.lease`). Each report names
the **epoch** of the lease, a number that increases with each grant, so an earlier holder can no longer change the
execution. This is how a restarted engine and a returning worker agree on who is running what.

A failed stage is retried within the same execution, as its retry policy says. An execution whose worker is lost has
failed; a new execution then resumes the agent's session.

    values ► events ► state, with its transition table and evolvers ► commands
"""

from aura_contracts.execution.commands import *
from aura_contracts.execution.event_types import *
from aura_contracts.execution.state import *
from aura_contracts.execution.values import *
