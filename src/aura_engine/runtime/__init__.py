"""Runtime: carries out decisions.

    views            a task with everything that belongs to it
    steps            from a view to the next step (pure)
    driver           performs the steps of one task until none is left
    follower         tails the log and runs the drivers
    standby          tasks to take over from other engines
    context          the services that steps use

    leases           which worker and engine an execution belongs to
    session_turns    one agent at a time in each session
    attempts         the executions of a task, queued or continued
    stages           the work of an execution up to its review
    proposals        what a human is asked to approve, as text
    copies           saves what only the files hold, before it could be destroyed
    review           proposes finished work, applies the decision, merges
    obstacles        what keeps finished work from being merged, and the question about it
    parts            completes a task that was split with its parts
    cleanup          releases and removes what is no longer needed

    gateway          the engine's end of the connection to a worker
    output_recorder  records the output of processes in batches
    entries          from parsed output to events and questions
    session_replay   the conversation of a lost session, as a prompt
    session_usage    what a session had consumed before it is resumed

There is no queue and no cursor that a crash could lose: the next step follows from the state alone. Each step is
repeatable, so after a driver is killed in the middle of one, the next driver performs it again.

The facade uses the names below, and imports what defines one when it first needs it: a query needs none.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.runtime.attempts import continuation_of as continuation_of
    from aura_engine.runtime.attempts import queue as queue
    from aura_engine.runtime.attempts import requeue as requeue
    from aura_engine.runtime.cleanup import remove as remove
    from aura_engine.runtime.cleanup import withdraw_questions as withdraw_questions
    from aura_engine.runtime.context import reviewers_of as reviewers_of
    from aura_engine.runtime.copies import take_copy as take_copy
    from aura_engine.runtime.follower import LOCK_CHECK as LOCK_CHECK
    from aura_engine.runtime.output_recorder import pieces as pieces
    from aura_engine.runtime.parts import complete_whole as complete_whole
    from aura_engine.runtime.review import decided as decided

export_lazily(__name__)
