"""A judge of what engines have recorded: it reads the log alone, in its order, and knows the promises in other words.

It keeps small notes of tasks, questions, agents and runs, and uses nothing of the engine's decisions or states. Each
event is held against the notes as they were before it; a broken promise is an `AssertionError`. What the engines still
have to do is said in `duties`.
"""

import attrs
from belonging import note_project, require_data, require_project
from board_judge import note_before, note_board, require_moved
from exclusion import note_claim, require_alone, require_apart
from notes import EDITABLE, Asked, Crew, Notes, Run, Work
from post import PostBook, note_news, note_outbox
from silence import POLICY_TEXT as SILENCE_TEXT
from silence import require_expired, require_in_time, require_terms
from statuses import ACCOUNTS, AFTER, CLOSED, OVER, QUEUES, STATUS_AFTER, UNQUEUES
from timing import note_time, require_retry_due, require_times
from tool_calls import is_allowed_in_advance, is_refused, note_call, require_heard

from aura_contracts.actors import ENGINE
from aura_contracts.events import EventRecord

PEOPLE_OF_HARD = {"carol"}
"""Whom the policy has asked about urgent tasks."""

UNANSWERABLE = {"merge_conflict", "lock_conflict"}
"""Questions that a policy answers for nobody."""

POLICY_TEXT = """
rules:
  - approve: easy
    when: {task_type: easy}
  - ask: hard
    when: {priority: high}
    then: {reviewers: carol}
  - reject: bad
    when: {priority: low, kind: changes}
    because: Not like that.
  - never: secret
    when: {task_type: secret}
""" + SILENCE_TEXT.removeprefix("\n")


@attrs.define
class Judge(Notes):
    """Reads the records of a log in their order."""

    post: PostBook = attrs.field(factory=PostBook)
    outboxes: dict = attrs.field(factory=dict)
    """The channel of each stream."""
    shifts: list = attrs.field(factory=list)
    """How far the clock was set lately, back to what it was."""

    def see(self, record: EventRecord) -> None:
        """Hold one event against what was before, and note it."""
        assert record.position == self.position + 1, "the log has no gaps"
        self.position = record.position
        self.history.append(record)
        topic = record.event.topic
        require_moved(self, record)
        note_before(self, record)
        if topic.endswith("command_refused"):
            return
        note = getattr(self, f"_{topic.partition('.')[0]}", None)
        if note is not None:
            note(record, topic, record.event)
        note_news(self, record, topic, record.event)

    def _outbox(self, record, topic, event):
        note_outbox(self, record, topic, event)

    def _board(self, record, topic, event):
        note_board(self, record, topic, event)

    # --- Tasks --------------------------------------------------------------------------------------------------------

    def _task(self, record, topic, event):
        task_id = record.stream_id
        if topic == "task.created":
            spec = event.spec
            require_project(self, record.actor, spec)
            edited = {name: getattr(spec, name) for name in EDITABLE}
            self.tasks[task_id] = Work(spec, record.actor, type=spec.agent_type, **edited)
            return
        task = self.tasks[task_id]
        if task.ended:
            assert topic in AFTER[task.status], f"{topic} after the end: {record}"
        self._decided(task_id, task, event)
        self._changed(task_id, task, event)
        task.pooled = event.request if topic == "task.queued" else task.pooled
        task.status = STATUS_AFTER.get(topic, task.status)
        task.queued = topic in QUEUES or (task.queued and topic not in UNQUEUES)
        task.held = (task.held or (topic == "task.blocked" and record.actor != ENGINE)) and task.status == "blocked"
        if topic == "task.unqueued" or task.status != "pending":
            task.pooled = None

    def _changed(self, task_id, task, event):
        match event.topic:
            case "task.edited":
                for name in EDITABLE:
                    value = getattr(event.changes, name)
                    setattr(task, name, getattr(task, name) if value is None else value)
            case "task.part_added":
                task.parts |= {event.part_id}
            case "task.part_removed":
                task.parts -= {event.part_id}
            case "task.dependency_ended":
                task.lost.add(event.dependency_id)
            case "task.assigned":
                self._assigned(task_id, task, event)
            case "task.execution_started":
                assert event.execution_id != task.run
                task.run, task.next_run = event.execution_id, None
                task.status = "in_progress" if task.status == "pending" else task.status
            case "task.unassigned":
                task.agent = None

    def _decided(self, task_id, task, event):
        match event.topic:
            case "task.proposal_submitted" | "task.decomposition_proposed":
                task.question = event.approval_id
            case "task.approved" | "task.decomposed":
                self._approved(task_id, task, event)
            case "task.rejected" | "task.changes_requested":
                assert self.asked[event.approval_id].status in ("rejected", "needs_changes")
                self.rejections[task_id] = self.rejections.get(task_id, 0) + 1

    def _assigned(self, task_id, task, event):
        agent = self.agents.get(event.agent_id)
        assert agent is None or agent.enabled, "an agent that is disabled is given nothing"  # one is registered with it
        if event.selection is not None:
            wanted = task.pooled
            assert agent is not None
            assert wanted is not None, "the pool gives away only what waits in it"
            assert wanted.agent_type in (None, agent.type)
            assert not self.unmet(task), "what cannot begin is given to nobody"
            assert len(agent.holds - {task_id}) < agent.capacity, "nobody is given more than the capacity allows"
        task.agent, task.type, task.split = event.agent_id, event.agent_type or task.type, False
        task.next_run, task.by_pool = event.execution_id, event.selection is not None

    def _approved(self, task_id, task, event):
        asked = self.asked[event.approval_id]
        assert asked.granted, f"{task_id} is approved without a decision"
        assert (asked.task, task.question) == (task_id, event.approval_id), "a decision is about its own proposal"
        if event.topic == "task.decomposed":
            task.split = True
            task.parts |= set(event.subtask_ids)

    # --- Questions ----------------------------------------------------------------------------------------------------

    def _approval(self, record, topic, event):
        if topic == "approval.requested":
            self._requested(record, event.question)
            return
        asked = self.asked[record.stream_id]
        assert asked.status == "pending", f"a question that is closed stays closed: {record}"
        self._answered(asked, record, topic, event)
        note_time(asked, record, topic, event)
        if topic in CLOSED:
            asked.status, asked.closed_at = CLOSED[topic], record.position
        if topic == "approval.expired" and event.continued:
            asked.status = "continued"

    def _answered(self, asked, record, topic, event):
        match topic:
            case "approval.policies_applied":
                asked.verdict = event.decision.verdict.value
                assert asked.verdict == self.verdict_on(asked), (asked.verdict, asked.question)
            case "approval.vote_cast":
                self._voted(asked, record, event.ballot)
            case "approval.level_approved":
                assert event.level == asked.level
                self._require_quorum(asked)
                asked.level += 1
            case "approval.delegated":
                self._delegated(asked, record, event)
            case "approval.approved":
                self._granted(asked, record)
            case "approval.expired":
                require_expired(asked, record)
            case "approval.rejected" if record.actor == "system:policy":
                assert asked.verdict == "reject"

    def _requested(self, record, question):
        levels = [(set(question.reviewers), question.quorum)]
        levels += [(set(level.reviewers), level.quorum) for level in question.levels]
        rejections = self.rejections.get(question.task_id, 0)
        asked = Asked(
            question, question.kind.value, question.task_id, levels, rejections=rejections, asked_at=record.position
        )
        asked.requested_at = record.time
        self.asked[record.stream_id] = asked
        verdict = self.verdict_on(asked)
        require_terms(asked, self.tasks[asked.task], verdict, record.time)
        asked.watched = "watched" in self.tasks[asked.task].spec.labels and verdict in ("ask", "never")
        require_times(asked, record)
        if question.task_id is None or asked.kind not in ("plan", "changes", "decomposition"):
            return
        task = self.tasks[question.task_id]
        name = task.creator.removeprefix("human:") if task.creator.startswith("human:") else task.spec.on_behalf_of
        barred = {name} if task.spec.no_self_approval else set()
        assert set(question.barred) == barred
        may = {name, *task.spec.reviewers} | (PEOPLE_OF_HARD if task.spec.priority == "high" else set())
        assert set(question.reviewers) <= may - barred, "only those who are concerned are asked"
        assert question.quorum >= task.spec.quorum
        assert [set(level.reviewers) for level in question.levels] == [
            set(level.reviewers) for level in task.spec.levels
        ]

    def verdict_on(self, asked: Asked) -> str:
        """Return what the policy says about a question, in other words than the rulebook."""
        task = self.tasks[asked.task]
        if task.type == "secret":
            return "never"
        if task.spec.priority == "low" and asked.kind == "changes":
            return "reject" if asked.rejections < 3 else "ask"
        if task.spec.priority == "high" or task.spec.labels:
            return "ask"
        return "approve" if task.type == "easy" and asked.kind not in UNANSWERABLE else "ask"

    def _voted(self, asked, record, ballot):
        assert record.actor == f"human:{ballot.reviewer}", "humans vote for themselves"
        require_in_time(asked, record)
        assert ballot.level == asked.level
        assert ballot.seat in asked.seats, "only a seat of the level that is asked has a vote"
        assert ballot.reviewer in asked.chain(ballot.seat, record.time), f"{ballot.reviewer} is not entitled: {record}"
        assert ballot.reviewer not in asked.question.barred
        assert ballot.reviewer not in {vote.reviewer for vote in asked.votes}, "nobody votes twice"
        assert (ballot.level, ballot.seat) not in {(vote.level, vote.seat) for vote in asked.votes}
        asked.votes.append(ballot)

    def _delegated(self, asked, record, event):
        assert record.actor == f"human:{event.delegator}"
        assert any(event.delegator in asked.chain(name, record.time) for name in asked.seats)
        assert event.delegate not in asked.question.barred
        asked.delegations[event.delegator] = (event.delegate, event.until)

    def _require_quorum(self, asked):
        votes = [vote for vote in asked.votes if vote.level == asked.level]
        assert all(vote.decision == "approved" for vote in votes)
        assert len(votes) >= asked.levels[asked.level - 1][1], "as many approve as have to"

    def _granted(self, asked, record):
        if record.actor == "system:policy":
            call = () if asked.kind != "tool_call" else (asked.task, asked.question.tool_call.fingerprint)
            by_rule = asked.verdict == "approve" and not (call and is_refused(self, *call))
            by_human = call and is_allowed_in_advance(self, *call)
            assert by_rule or by_human, "a policy approves only what its rules approve, or a human for the whole task"
            return
        assert record.actor.startswith("human:")
        assert asked.level == len(asked.levels), "every level is asked"
        self._require_quorum(asked)

    # --- Agents and runs ----------------------------------------------------------------------------------------------

    def _agent(self, record, topic, event):
        if topic == "agent.registered":
            spec = event.spec
            self.agents[record.stream_id] = Crew(spec.type, spec.capacity, not spec.ad_hoc)
            return
        agent = self.agents[record.stream_id]
        match topic:
            case "agent.edited":
                agent.capacity = event.changes.capacity or agent.capacity
            case "agent.task_taken":
                assert agent.enabled
                agent.holds.add(event.task_id)
                assert len(agent.holds) <= agent.capacity, f"more than its capacity: {record}"
            case "agent.released":
                agent.holds.remove(event.task_id)
            case "agent.disabled" | "agent.enabled":
                agent.enabled = topic == "agent.enabled"

    def _execution(self, record, topic, event):
        if topic == "execution.queued":
            spec = event.spec
            require_data(self, spec.task_id, spec.prompt)
            self.runs[record.stream_id] = Run(spec.task_id, spec.agent_id, spec.plan.decomposes)
            return
        run = self.runs[record.stream_id]
        if run.status not in ("queued", "works"):
            assert topic.startswith(ACCOUNTS), f"{topic} after the end: {record}"
        elif topic in OVER:
            run.status = OVER[topic]
        elif topic == "execution.leased":
            run.status = "works"
            require_alone(self, run)
        if topic == "execution.stage_retry_scheduled":
            run.retry_at, run.retry_since = event.retry_at, record.position
        elif topic == "execution.stage_retried":
            require_retry_due(self, run, record)
            run.retry_at = None
        note_call(self, record, topic, event)
        if topic == "execution.message_said":
            self.said.append(event.entry.text)

    def _lease(self, record, topic, event):
        if topic == "lease.granted":
            self.leases[record.stream_id] = event.execution_id
        self.runs[self.leases[record.stream_id]].leased = topic != "lease.closed"

    def _project(self, record, topic, event):
        note_project(self, record, topic, event)

    def _lock_table(self, record, topic, event):
        note_claim(self, topic, event)

    def _workspace(self, record, topic, event):
        if topic == "workspace.requested":
            self.workspaces[record.stream_id] = [event.layout.task_id, "requested", None]
            return
        workspace = self.workspaces[record.stream_id]
        workspace[1] = topic.partition(".")[2]
        match topic:
            case "workspace.acquired":
                holder = workspace[2]
                assert holder in (None, event.execution_id) or self.runs[holder].status not in ("queued", "works")
                workspace[2] = event.execution_id
            case "workspace.released":
                workspace[2] = None
            case "workspace.merged":
                for commit in event.commits:
                    merge = (record.stream_id, commit.commit)
                    assert merge not in self.merged, "work is merged once"
                    self.merged.add(merge)

    # --- The world ----------------------------------------------------------------------------------------------------

    def compare(self, world) -> None:
        """Hold what the world has seen against the log: agents that work, and what was merged."""
        tasks: set[str] = set()
        for start in world.runner.at_work:
            run = self.runs[start.execution_id]
            assert run.task not in tasks, "one agent at a time works on a task"
            tasks.add(run.task)
            released = run.status not in ("queued", "works")  # whoever runs the engine next ends its process
            assert released or run.task in self.agents[run.agent].holds, (
                f"an agent works on what it was not given: {run}"
            )
        require_apart(self, sorted(tasks))
        require_heard(self, world)
        for start in world.runner.starts:
            task = self.tasks[self.runs[start.execution_id].task]
            if task.mode in ("plan", "both") and "Do not change any files" not in start.prompt:
                assert self._is_granted(self.runs[start.execution_id].task, "plan"), "an unapproved plan is carried out"
        for merge in world.workspaces.merges:
            task_id = self.workspaces[merge.workspace_id][0]
            task = self.tasks[task_id]
            held_back = task.type == "secret" or task.spec.priority == "low"
            if task.mode in ("changes", "both") or held_back or merge.asks:
                assert self._is_granted(task_id, "changes", merge.head), f"merged without approval: {merge}"

    def _is_granted(self, task_id: str, kind: str, head: str | None = None) -> bool:
        return any(
            (one.task, one.kind) == (task_id, kind)
            and one.granted
            and (head is None or head in one.question.commits.values())
            for one in self.asked.values()
        )
