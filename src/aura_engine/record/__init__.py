"""Record: how humans received the work of agents, and how well agents know that beforehand. Pure but for `tally`.

    verdicts of humans ──► acceptance   share approved, as a Beta posterior with interval and count
                       ──► calibration  stated confidence against what humans decided
                       ──► lessons      what reviewers asked for, as an edit of an agent's instructions

Invariants:

- Only answers of humans count. What a policy approved says nothing about the agent, and would confirm itself.
- A gate looks at the lower bound, never at the mean, and at an agent's own verdicts, never at those of others.
- Acceptance is not quality: what was reopened, repaired or reverted afterwards is counted apart.
- An agent is not shown the bounds that decide about its work: it would learn to state them.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.record.acceptance import Acceptance as Acceptance
    from aura_engine.record.acceptance import Posterior as Posterior
    from aura_engine.record.calibration import Calibration as Calibration
    from aura_engine.record.calibration import CalibrationBin as CalibrationBin
    from aura_engine.record.tally import Tally as Tally
    from aura_engine.record.verdicts import Verdicts as Verdicts

export_lazily(__name__)
