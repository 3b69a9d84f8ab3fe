"""Whole engines under any sequence of events: humans, agents, crashes, and two engines at once, on one store.

The engines, their workers and their store are real; agents and files are those of a `PaperWorld`, and a `Judge` holds
what is recorded against the promises. A step need not wait for its consequences, so that several race; `settle` does,
until no engine has anything left to do, and fails if that takes `PATIENCE`: a wake-up was lost, or somebody waits for
ever. At the end of each example every human answers, and everything has to end, with nothing held.
"""

from datetime import timedelta
from functools import wraps

from belonging import CHOICES, DATA, PLACES, PROJECTS
from engine_house import RECORDER, House
from exclusion import LOCKS
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from silence import LABELS
from time_rules import TimeRules
from timing import more_people
from tool_calls import CALLS, OPEN_CALLS

from aura_contracts.agent import AgentChanges
from aura_contracts.approval import Level, Remember
from aura_contracts.project import ProjectChanges
from aura_contracts.task import RetryPolicy, TaskChanges
from aura_store.testing.faults import STEPS

PEOPLE = ("alice", "bob", "carol", "dave", "erin")
TYPES = ("plain", "easy", "secret")
AGENTS = 4
TASKS = 12
REVIEWS = (
    {},
    {"reviewers": ["bob"]},
    {"reviewers": ["bob", "carol"], "quorum": 2},
    {"reviewers": ["bob"], "levels": [Level(reviewers=("dave",))]},
    {"reviewers": ["bob"], "no_self_approval": True},
)

PLAN = {"subtasks": [{"id": "one", "title": "one"}, {"id": "two", "title": "two", "after": ["one"]}]}

ENDS = ("changes", "changes", "changes", "nothing", "asks", "conflict", "fails", "gives up")
ANSWERS = ("approve", "approve", "reject", "request_changes")

some = st.integers(0, 30)
engines = st.sampled_from([0, 0, 1, RECORDER])
waits = st.sampled_from([True, True, False])

new_tasks = st.fixed_dictionaries(
    {
        "via": engines,
        "mode": st.sampled_from(["changes", "changes", "plan", "both", "auto"]),
        "review": st.sampled_from(REVIEWS),
        "kind": st.sampled_from([*TYPES, None]),
        "priority": st.sampled_from(["low", "medium", "medium", "high"]),
        "after": st.lists(some, max_size=2),
        "failure": st.sampled_from(["fail", "wait", "start"]),
        "parent": st.one_of(st.none(), st.none(), some),
        "part_failure": st.sampled_from(["wait", "wait", "fail", "ignore"]),
        "attempts": st.sampled_from([1, 2]),
        "locks": st.sampled_from(LOCKS),
        "labels": st.sampled_from(LABELS),
        "project": st.sampled_from(CHOICES),
        "context": st.sampled_from(DATA),
        "way": st.sampled_from(["pool", "pool", "executor", "backlog", "decompose"]),
    }
)

project_changes = st.one_of(st.none(), st.tuples(st.sampled_from(PLACES), st.sampled_from(["", "easy", "plain"])))


def when(ready):
    """Have a rule do nothing where `ready` is false.

    Not a precondition: engines change what it looks at in a thread of their own, and Hypothesis asks for a precondition
    again when it replays a run, which ends as flaky where the answer differs.
    """

    def guard(rule):
        @wraps(rule)
        def guarded(self, *given, **more):
            if ready(self):
                rule(self, *given, **more)

        return guarded

    return guard


a_task = when(lambda self: self.judge.tasks)
a_question = when(lambda self: self.judge.asked)
an_open_question = when(lambda self: self.judge.pending())


class Engines(House, TimeRules, RuleBasedStateMachine):
    @initialize(
        capacities=st.lists(st.integers(1, 2), min_size=1, max_size=3),
        tasks=st.lists(new_tasks, min_size=1, max_size=3),
    )
    def start(self, capacities, tasks=()):
        """Open an engine that drives and one that only records, add agents, and create tasks."""
        self.move_in()
        for number, capacity in enumerate(capacities):
            self.add_agent(RECORDER, TYPES[number % len(TYPES)], capacity)
        for given in tasks:
            self.add_task(**given, wait=False)

    def teardown(self):
        try:
            if self.running:
                self.drain()
        finally:
            self.put_away()

    # --- Rules: engines -----------------------------------------------------------------------------------------------

    @rule()
    def wait(self):
        """Wait until no engine has anything to do."""
        self.settle()

    @rule(number=st.sampled_from([0, 1]))
    def open(self, number):
        if number not in self.running:
            self.bring_up(number)
            self.settle()

    @rule(number=some)
    def crash(self, number):
        if self.drivers:
            self.portal.call(self._crash, self.pick(self.drivers, number))

    @rule(number=some)
    def close(self, number):
        if self.drivers:
            self.portal.call(self._close, self.pick(self.drivers, number))

    @rule(number=some, step=st.sampled_from(STEPS))
    def doom(self, number, step):
        """Have an engine die at a step of its next commit, whatever that is about."""
        if self.drivers:
            self.running[self.pick(self.drivers, number)].faults.kill_at = step

    # --- Rules: agents ------------------------------------------------------------------------------------------------

    @rule(via=engines, kind=st.sampled_from(TYPES), capacity=st.integers(1, 2))
    @when(lambda self: len(self.judge.agents) < AGENTS)
    def add_agent(self, via, kind, capacity):
        name = f"agent-{len(self.judge.agents)}"
        self.give(via, lambda engine: engine.agents.add(name, "paper", type=kind, capacity=capacity))

    @rule(via=engines, which=some, change=st.sampled_from(["disable", "enable", 1, 2]), wait=waits)
    def change_agent(self, via, which, change, wait):
        agent = self.pick((key for key, one in self.judge.agents.items() if one.pool), which)
        if agent is None:
            return
        if isinstance(change, int):
            self.give(via, lambda engine: engine.agents.edit(agent, AgentChanges(capacity=change)), wait=wait)
        else:
            self.give(via, lambda engine: getattr(engine.agents, change)(agent), wait=wait)

    @rule(which=some, how=st.sampled_from(ENDS), wait=waits)
    def finish(self, which, how, wait):
        """An agent ends."""
        if starts := self.world.runner.at_work:
            self.portal.call(self._finish, starts[which % len(starts)], how)
            if wait:
                self.settle()

    async def _finish(self, start, how):
        if start.process.ended:
            return
        self.lines += 1
        said = {"proposal": f"proposal {self.lines}", "confidence": 0.5, "requires_approval": None, "error": None}
        if how == "fails":
            self.world.finish(start, said={"failed": self.lines}, failure="it failed")
            return
        if "split it into subtasks" in start.prompt:
            self.world.finish(start, said=PLAN | {"note": self.lines})
            return
        said["requires_approval"] = True if how == "asks" else None
        planning = "Do not change any files" in start.prompt
        if how == "gives up":
            self.world.give_up(start)
        writes = None if planning or how in ("nothing", "gives up") else f"file-{self.lines}"
        if how == "conflict":
            self.world.workspaces.at(start.process.spec.cwd).conflict = True
        self.world.finish(start, said=said, writes=writes)

    @rule(which=some, call=st.sampled_from(CALLS), wait=waits)
    def ask(self, which, call, wait):
        """An agent asks permission for a call, and waits."""
        if not (starts := self.world.runner.at_work):
            return
        start = starts[which % len(starts)]
        if len(self.world.asked_by(start)) - len(self.world.answers_to(start)) < OPEN_CALLS:
            self.portal.call(self._say, start, self.world.ask, call)
            if wait:
                self.settle()

    @rule(which=some, wait=waits)
    def make(self, which, wait):
        """An agent tells that a call is over about which it has heard."""
        heard = [(one, answer) for one in self.world.runner.at_work for answer in self.world.answers_to(one)]
        if heard:
            start, answer = heard[which % len(heard)]
            self.portal.call(self._say, start, self.world.make, answer["request_id"], answer["granted"])
            if wait:
                self.settle()

    async def _say(self, start, say, *what):
        if not start.process.ended:
            say(start, *what)

    # --- Rules: tasks -------------------------------------------------------------------------------------------------

    @rule(given=new_tasks, wait=waits)
    @when(lambda self: len(self.judge.tasks) < TASKS)
    def create(self, given, wait):
        self.add_task(**given, wait=wait)

    def add_task(self, via, mode, review, kind, priority, after, failure, parent, way, wait, **given):
        tasks = self.judge.tasks
        options = {
            **review,
            **given["locks"],
            **{name: given[name] for name in ("labels", "project", "context")},
            "approval": mode,
            "agent_type": kind,
            "priority": priority,
            "after": list({self.pick(tasks, one) for one in after} - {None}),
            "on_dependency_failure": failure,
            "on_part_failure": given["part_failure"],
            "parent": None if parent is None else self.pick(tasks, parent),
            "retry": RetryPolicy(max_attempts=given["attempts"], base_delay=0.001, max_delay=0.001),
            "repositories": ["/app"],
        }
        task = self.give(via, lambda engine: engine.tasks.create(f"task {len(tasks)}", **options), wait=False)
        self.catch_up()
        if task is not None and way != "backlog":
            self.assign(via, task.id, way, wait)

    def catch_up(self):
        self.portal.call(self._catch_up)

    def assign(self, via, task, way, wait=True):
        if way == "decompose":
            self.give(via, lambda engine: engine.tasks.request_decomposition(task, executor="paper"), wait=wait)
        else:
            given = {"executor": "paper"} if way == "executor" else {}
            self.give(via, lambda engine: engine.tasks.assign(task, **given), wait=wait)

    @rule(via=engines, which=some, way=st.sampled_from(["pool", "executor"]), wait=waits)
    @a_task
    def assign_again(self, via, which, way, wait):
        if task := self.pick(self.judge.tasks, which):
            self.assign(via, task, way, wait)

    @rule(via=engines, which=some, agent=some, wait=waits)
    @a_task
    def reassign(self, via, which, agent, wait):
        """Give a task to a certain agent, whoever works on it."""
        task, chosen = self.pick(self.judge.tasks, which), self.pick(self.judge.agents, agent)
        if task and chosen:
            self.give(via, lambda engine: engine.tasks.assign(task, agent=chosen), wait=wait)

    @rule(via=engines, which=some, what=st.sampled_from(["cancel", "delete", "retry", "execute"]), wait=waits)
    @a_task
    def command(self, via, which, what, wait):
        if task := self.pick(self.judge.tasks, which):
            self.give(via, lambda engine: getattr(engine.tasks, what)(task), wait=wait)

    @rule(via=engines, which=some, what=st.sampled_from(["follow_up", "tell"]), wait=waits)
    @a_task
    def write(self, via, which, what, wait):
        if task := self.pick(self.judge.tasks, which):
            self.give(via, lambda engine: getattr(engine.tasks, what)(task, "mind the tests"), wait=wait)

    @rule(via=engines, which=some, after=st.lists(some, max_size=2), wait=waits)
    @a_task
    def depend(self, via, which, after, wait):
        if task := self.pick(self.judge.tasks, which):
            changes = TaskChanges(after=tuple({self.pick(self.judge.tasks, one) for one in after}))
            self.give(via, lambda engine: engine.tasks.edit(task, changes), wait=wait)

    @rule(via=engines, name=st.sampled_from(PROJECTS), what=project_changes)
    def change_project(self, via, name, what):
        """Create a project, change what is for it, or remove it."""
        if what is None:
            self.give(via, lambda engine: engine.projects.remove(name))
            return
        places, kind = what
        if any(site.active and site.name == name for site in self.judge.projects.values()):
            changes = ProjectChanges(repositories=places, agent_type=kind)
            self.give(via, lambda engine: engine.projects.edit(name, changes))
        else:
            self.give(via, lambda engine: engine.projects.create(name, repositories=places, agent_type=kind))

    @rule(via=engines, which=some, locks=st.sampled_from(LOCKS), data=st.sampled_from(DATA), wait=waits)
    @a_task
    def change_locks(self, via, which, locks, wait, data=None):
        """Have a task need something else, or nothing; refused while it is worked on. Its data may change, too."""
        if task := self.pick(self.judge.tasks, which):
            changes = TaskChanges(**{"locks": (), "locked_paths": (), "on_collision": "wait", **locks}, context=data)
            self.give(via, lambda engine: engine.tasks.edit(task, changes), wait=wait)

    # --- Rules: humans ------------------------------------------------------------------------------------------------

    @rule(via=engines, which=some, who=st.sampled_from(PEOPLE), answer=st.sampled_from(ANSWERS), wait=waits)
    @a_question
    def deliver(self, via, which, who, answer, wait):
        """Deliver an answer to any question there ever was, from anyone: too late, a second time, not entitled."""
        if asked := self.pick(self.judge.asked, which):
            self.answer(via, asked, who, answer, wait)

    @rule(via=engines, which=some, answer=st.sampled_from(ANSWERS), remember=st.booleans(), wait=waits)
    @an_open_question
    def decide(self, via, which, answer, remember, wait):
        """Have somebody who is asked answer, about a call perhaps for the whole task."""
        if asked := self.pick(self.judge.pending(), which):
            who = self.entitled(asked)
            assert who, f"nobody can answer {asked}"
            self.answer(via, asked, self.pick(who, which), answer, wait, remember=remember)

    def entitled(self, asked):
        """Return who may answer a question, by the notes of the judge."""
        one, time = self.judge.asked[asked], self.now()
        voted = {vote.reviewer for vote in one.votes}
        used = {vote.seat for vote in one.votes if vote.level == one.level}
        return {name for seat in one.seats - used for name in one.chain(seat, time)} - voted - set(one.question.barred)

    def answer(self, via, asked, who, answer, wait=True, remember=False):
        words = () if answer == "approve" else ("not like that",)
        for_all = answer == "approve" and remember and self.judge.asked[asked].kind == "tool_call"
        how = {"by": who} | ({"remember": Remember.TASK} if for_all else {})
        self.give(via, lambda engine: getattr(engine.approvals, answer)(asked, *words, **how), wait=wait)

    @rule(via=engines, which=some, who=some, to=st.sampled_from(PEOPLE), hours=st.sampled_from([None, 1]))
    @an_open_question
    def delegate(self, via, which, who, to, hours):
        if asked := self.pick(self.judge.pending(), which):
            name = self.pick(self.entitled(asked), who)
            end = None if hours is None else self.now() + timedelta(hours=hours)
            self.give(via, lambda engine: engine.approvals.delegate(asked, to, until=end, by=name))

    @rule(hours=st.sampled_from([0.5, 2, 25]))
    def time_passes(self, hours):
        self.shift(hours)
        self.settle()

    # --- The end ------------------------------------------------------------------------------------------------------

    def drain(self):
        """Have every human answer and every agent finish, until everything has ended; then look at what is left."""
        self.portal.call(self._bury)
        for number in self.drivers:
            self.running[number].faults.heal()
        self.portal.call(self._bury)
        if not self.drivers:
            self.bring_up(0)
        self.settle()
        self.calm()
        for _ in range(20 * TASKS):
            if not self._advance():
                break
        else:
            raise AssertionError("it never ends")
        assert all(task.ended for task in self.judge.tasks.values()), self.judge.tasks
        self.all_is_told()
        self.portal.call(self._nothing_is_left)

    def _advance(self):
        """Do one thing that brings the end nearer; return whether there was one."""
        if starts := self.world.runner.at_work:
            self.portal.call(self._finish, starts[0], "changes")
            self.settle()
        elif waiting := self.judge.pending():
            self._approve_one(waiting)
        elif left := [key for key, one in self.judge.tasks.items() if not one.ended]:
            idle = [key for key in left if self._needs_somebody(self.judge.tasks[key])]
            assert idle, "nobody can do anything about this:\n" + "\n".join(map(self.judge.story_of, left))
            self.give(0, lambda engine: engine.tasks.cancel(idle[0], by=self._creator(idle[0])))
            assert self.judge.tasks[idle[0]].ended
        else:
            return False
        return True

    def _approve_one(self, waiting):
        """Have a question approved by someone who may; if nobody may yet, wait until more people are asked."""
        for asked in waiting:
            if who := sorted(self.entitled(asked)):
                self.answer(0, asked, who[0], "approve")
                return
        later = [self.judge.asked[asked] for asked in waiting]
        assert any(one.escalated is None and more_people(one) for one in later), f"nobody can answer {later}"
        self.shift(49)
        self.settle()

    def _needs_somebody(self, task):
        """Whether a task that no agent works on and nobody is asked about waits for a human's command."""
        parts_over = task.split and all(self.judge.tasks[part].ended for part in task.parts)
        return task.run is None or task.held or parts_over or bool(self.judge.unmet(task))

    def _creator(self, task):
        kind, _, name = self.judge.tasks[task].creator.partition(":")
        return name if kind == "human" else None
