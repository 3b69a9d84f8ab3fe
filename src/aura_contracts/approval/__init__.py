"""Approval: a question to humans, and their answer (specification, "Approval", "Approval Timeouts").

    pending ──► pending          a level of several has approved: the next one is asked
            ──► approved         the quorum of distinct approvals was reached at the last level, or the policy approved
            ──► rejected         by any one reviewer, with a reason
            ──► needs_changes    by any one reviewer, with the changes wanted
            ──► expired          no decision before the deadline: this means no, unless configured otherwise
            ──► withdrawn        the question was withdrawn

Only the holder of a **seat** may decide: the reviewers (the creator and those assigned) and those the question was
escalated to. A delegation passes a seat on and never multiplies it: a seat votes once, through its owner or a delegate,
and a human votes once, whatever the level. A quorum of two therefore always means two of the people asked, and two
people who looked. A vote says who cast it and when, from where, by which rule, and which commits they say they saw.

A **link** lets anyone who opens it answer for one seat, once, until it expires or is revoked. It is a fact like any
other: it is issued, and a vote names it. It is opened by a token, signed with a key outside the log: see
`aura_engine.approval_links`.
"""

from aura_contracts.approval.commands import AnswerApproval as AnswerApproval
from aura_contracts.approval.commands import ApplyPolicies as ApplyPolicies
from aura_contracts.approval.commands import Approve as Approve
from aura_contracts.approval.commands import CommentOnLine as CommentOnLine
from aura_contracts.approval.commands import DelegateApproval as DelegateApproval
from aura_contracts.approval.commands import EscalateApproval as EscalateApproval
from aura_contracts.approval.commands import ExpireApproval as ExpireApproval
from aura_contracts.approval.commands import IssueLink as IssueLink
from aura_contracts.approval.commands import MoveApprovalTimes as MoveApprovalTimes
from aura_contracts.approval.commands import RecordApprovalRefusal as RecordApprovalRefusal
from aura_contracts.approval.commands import Reject as Reject
from aura_contracts.approval.commands import RemindReviewers as RemindReviewers
from aura_contracts.approval.commands import RequestApproval as RequestApproval
from aura_contracts.approval.commands import RequestChanges as RequestChanges
from aura_contracts.approval.commands import RevokeLinks as RevokeLinks
from aura_contracts.approval.commands import WithdrawApproval as WithdrawApproval
from aura_contracts.approval.event_types import ApprovalChangesRequested as ApprovalChangesRequested
from aura_contracts.approval.event_types import ApprovalCommandRefused as ApprovalCommandRefused
from aura_contracts.approval.event_types import ApprovalDelegated as ApprovalDelegated
from aura_contracts.approval.event_types import ApprovalEscalated as ApprovalEscalated
from aura_contracts.approval.event_types import ApprovalExpired as ApprovalExpired
from aura_contracts.approval.event_types import ApprovalGranted as ApprovalGranted
from aura_contracts.approval.event_types import ApprovalRejected as ApprovalRejected
from aura_contracts.approval.event_types import ApprovalRequested as ApprovalRequested
from aura_contracts.approval.event_types import ApprovalTimesMoved as ApprovalTimesMoved
from aura_contracts.approval.event_types import ApprovalWithdrawn as ApprovalWithdrawn
from aura_contracts.approval.event_types import CommentAdded as CommentAdded
from aura_contracts.approval.event_types import LevelApproved as LevelApproved
from aura_contracts.approval.event_types import LinkIssued as LinkIssued
from aura_contracts.approval.event_types import LinksRevoked as LinksRevoked
from aura_contracts.approval.event_types import PoliciesApplied as PoliciesApplied
from aura_contracts.approval.event_types import ReminderSent as ReminderSent
from aura_contracts.approval.event_types import VoteCast as VoteCast
from aura_contracts.approval.evidence import ChangeSize as ChangeSize
from aura_contracts.approval.evidence import CommandRun as CommandRun
from aura_contracts.approval.evidence import Evidence as Evidence
from aura_contracts.approval.evidence import PolicyDecision as PolicyDecision
from aura_contracts.approval.evidence import PolicyRef as PolicyRef
from aura_contracts.approval.evidence import PolicyVerdict as PolicyVerdict
from aura_contracts.approval.evidence import RecordSoFar as RecordSoFar
from aura_contracts.approval.evidence import RuleMatch as RuleMatch
from aura_contracts.approval.state import APPROVAL as APPROVAL
from aura_contracts.approval.state import Approval as Approval
from aura_contracts.approval.values import ANSWER_WITHIN as ANSWER_WITHIN
from aura_contracts.approval.values import ESCALATE_AFTER as ESCALATE_AFTER
from aura_contracts.approval.values import LINK_LIFETIME as LINK_LIFETIME
from aura_contracts.approval.values import POLICY as POLICY
from aura_contracts.approval.values import REMIND_AFTER as REMIND_AFTER
from aura_contracts.approval.values import WAIT_LIMIT as WAIT_LIMIT
from aura_contracts.approval.values import AnswerSource as AnswerSource
from aura_contracts.approval.values import ApprovalDecision as ApprovalDecision
from aura_contracts.approval.values import ApprovalKind as ApprovalKind
from aura_contracts.approval.values import ApprovalStatus as ApprovalStatus
from aura_contracts.approval.values import Ballot as Ballot
from aura_contracts.approval.values import Channel as Channel
from aura_contracts.approval.values import Comment as Comment
from aura_contracts.approval.values import Delegation as Delegation
from aura_contracts.approval.values import Entitlement as Entitlement
from aura_contracts.approval.values import InstructionsEdit as InstructionsEdit
from aura_contracts.approval.values import IssuedLink as IssuedLink
from aura_contracts.approval.values import Level as Level
from aura_contracts.approval.values import Link as Link
from aura_contracts.approval.values import LinkPurpose as LinkPurpose
from aura_contracts.approval.values import OnExpiry as OnExpiry
from aura_contracts.approval.values import Question as Question
from aura_contracts.approval.values import Remember as Remember
from aura_contracts.approval.values import ToolCall as ToolCall
from aura_contracts.approval.values import Vote as Vote
from aura_contracts.approval.values import WaitingTimes as WaitingTimes
