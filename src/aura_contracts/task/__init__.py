"""Task: a unit of work with one clear objective, from request to result (specification, "Task").

    pending ──assigned──► in_progress ──proposal──► awaiting_approval ──approved──► approved ──► completed
                               ▲                          │ rejected / changes requested
                               └──────── feedback ◄───────┘

A rejected task passes through ``rejected``. Normally the revision starts at once, and the task is ``in_progress``
again, with the feedback; after a final rejection it stays there until it is assigned again. ``blocked`` means paused by
a conflict, over a shared resource or a merge, until a human resolves it. It leads back to ``in_progress``, because what
was approved is no longer what would be merged.
"""

from aura_contracts.task.commands import *
from aura_contracts.task.event_types import *
from aura_contracts.task.state import *
from aura_contracts.task.values import *
