"""Policies: rules that answer questions, or say who is asked and until when.

    vocabulary    what a policy file may hold, as models that check it
    field_types   what may stand at one of its keys: patterns, names, durations
    policy_file   a file's text ► a policy, or all its faults with line and column
    conditions    whether a rule matches: yes, no, or depending on what is unknown
    reachability  rules that can never match, or change nothing
    rulebook      the policies in force ► the verdict
    terms         on what terms a human is asked
    sources       which policies are in force for a task
    evidence      what is known about a question when it is asked
    consultation  asks a question as the policies in force say
    silence       refuses agents that never ask, where a policy demands that they do
    back_test     which past answers another policy would change

The verdict does not depend on the order of files or rules: never > reject > ask > approve; without a match, ask.

The facade uses the names below, and imports what defines one when it first needs it.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.policy.back_test import ChangedVerdict as ChangedVerdict
    from aura_engine.policy.back_test import changed_verdicts as changed_verdicts
    from aura_engine.policy.consultation import pose as pose
    from aura_engine.policy.evidence import evidence_of as evidence_of
    from aura_engine.policy.policy_file import read_policy as read_policy
    from aura_engine.policy.rulebook import Rulebook as Rulebook
    from aura_engine.policy.silence import guard_of as guard_of
    from aura_engine.policy.silence import require_asking as require_asking
    from aura_engine.policy.sources import USER_FILE as USER_FILE
    from aura_engine.policy.sources import PolicySources as PolicySources

export_lazily(__name__)
