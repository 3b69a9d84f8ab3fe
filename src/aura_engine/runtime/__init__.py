"""Runtime: carries out decisions.

    views            a task with everything that belongs to it
    steps            from a view to the next step (pure)
    driver           performs the steps of one task until none is left
    follower         has tasks and workflows driven, and tells their drivers what happens
    subjects         what one engine at a time drives under a lock, and what drives it
    task_kind        tasks as such subjects
    locked_drivers   runs drivers, each under the lock of its subject
    standby          subjects to take over from other engines
    log_tail         hands on what happens in the log
    context          the services that steps use

    leases           which worker and engine an execution belongs to
    session_runs     the runs in an agent's session
    session_turns    one agent at a time in each session
    attempts         the executions of a task, queued or continued
    stages           the work of an execution up to its review
    processes        starts the processes of stages, ends those of cancelled executions
    collection       commits and counts what an agent or a script has changed
    prompts          the texts for agents, rendered from the templates of all scopes
    first_prompts    the instructions with which an agent begins a task
    agent_profiles   an agent's own settings combined with those of a run
    task_project     the project of a task, and what follows from it
    project_context  the documents of a project, as an agent gets them
    pool             gives the tasks of the queue to agents
    assignments      records what the pool has given to agents, and begins the work
    drivers          what drives the tasks that the pool has given to agents
    pages            reads many rows by their ids
    board_cards      where the cards of boards are, as their tasks say
    board_index      which boards hold the card of a task
    courtesy         the agents that are left to tasks of other engines for a moment
    queue_locks      tells other engines on which tasks of the queue this one works
    proposals        what a human is asked to approve, as text
    copies           saves what only the files hold, before it could be destroyed
    review           proposes finished work, applies the decision
    failures         from an error to the failure of a run and its task
    merges           takes approved work into its targets, or asks a human why it cannot be merged
    obstacles        what keeps finished work from being reviewed or merged, and the question about it
    decomposition    splits a task into parts
    reverts          undoes merged work with git, in place of an agent
    dependencies     what the end of a task means for one that waits for it
    lock_places      how a task of the queue stands in line for its locks, and when it gets an agent (pure)
    lock_waits       the tasks of the queue that need locks, as this engine knows them
    lock_claims      takes what a task needs for itself alone, or asks a human about a collision
    stranded_locks   locks that no one would release any more
    cleanup          releases and removes what is no longer needed
    worktrees        what a human asks a worker about worktrees, outside of any run

    gateway          the engine's end of the connection to a worker
    output_recorder  records the output of processes in batches
    entries          from parsed output to events and questions
    session_replay   the conversation of a lost session, as a prompt
    session_place    whether a session is resumed in another folder
    session_usage    what a session had consumed before it is resumed

There is no queue and no cursor that a crash could lose: the next step follows from the state alone. Each step is
repeatable, so after a driver is killed in the middle of one, the next driver performs it again.

The facade uses the names below, and imports what defines one when it first needs it: a query needs none.
"""

from typing import TYPE_CHECKING

from aura_contracts.lazy_exports import export_lazily

if TYPE_CHECKING:
    from aura_engine.runtime.agent_profiles import options_of as options_of
    from aura_engine.runtime.agent_profiles import plan_of as plan_of
    from aura_engine.runtime.agent_profiles import queue_first as queue_first
    from aura_engine.runtime.attempts import continue_with as continue_with
    from aura_engine.runtime.attempts import queue_revert as queue_revert
    from aura_engine.runtime.attempts import requeue as requeue
    from aura_engine.runtime.board_cards import follow as follow
    from aura_engine.runtime.cleanup import release_former as release_former
    from aura_engine.runtime.cleanup import remove as remove
    from aura_engine.runtime.cleanup import withdraw_questions as withdraw_questions
    from aura_engine.runtime.context import review_of as review_of
    from aura_engine.runtime.copies import take_copy as take_copy
    from aura_engine.runtime.decomposition import propose_subtasks as propose_subtasks
    from aura_engine.runtime.first_prompts import first_prompt as first_prompt
    from aura_engine.runtime.lock_claims import require_claimed as require_claimed
    from aura_engine.runtime.lock_places import request_of as request_of
    from aura_engine.runtime.locked_drivers import LOCK_CHECK as LOCK_CHECK
    from aura_engine.runtime.output_recorder import pieces as pieces
    from aura_engine.runtime.review import decided as decided
    from aura_engine.runtime.review import submit as submit
    from aura_engine.runtime.task_project import agent_type_of as agent_type_of
    from aura_engine.runtime.task_project import project_of as project_of
    from aura_engine.runtime.worktrees import diff_worktrees as diff_worktrees
    from aura_engine.runtime.worktrees import find_orphans as find_orphans
    from aura_engine.runtime.worktrees import inspect_worktrees as inspect_worktrees
    from aura_engine.runtime.worktrees import remove_orphan as remove_orphan
    from aura_engine.runtime.worktrees import reset_worktrees as reset_worktrees
    from aura_engine.runtime.worktrees import warm_pool as warm_pool

export_lazily(__name__)
