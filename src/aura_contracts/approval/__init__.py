"""Approval: a question to humans, and their answer (specification, "Approval", "Approval Timeouts").

    pending ──► approved         the quorum of distinct approvals was reached, or the policy approved
            ──► rejected         by any one reviewer, with a reason
            ──► needs_changes    by any one reviewer, with the changes wanted
            ──► expired          no decision before the deadline: this means no, unless configured otherwise
            ──► withdrawn        the question was withdrawn

Only the holder of a **seat** may decide: the reviewers (the creator and those assigned) and those the question was
escalated to. A delegation passes a seat on and never multiplies it: a seat votes once, through its owner or a delegate,
and a human votes once. A quorum of two therefore always means two of the people asked, and two people who looked.
"""

from aura_contracts.approval.commands import *
from aura_contracts.approval.event_types import *
from aura_contracts.approval.state import *
from aura_contracts.approval.values import *
