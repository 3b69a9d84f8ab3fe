"""To what tasks belong, as a judge of whole engines sees it: the project of a new task, and what follows from that."""

import attrs
from notes import Notes

PROJECTS = ("shop", "lab")
PLACES = ((), ("/app",))
"""The repositories that a project may have."""

CHOICES = (None, None, "shop", "")
"""What a new task says about its project."""

DATA = ({}, {"ticket": "T-17"}, {"ticket": "T-18"})
"""The data of a task itself."""


@attrs.define
class Site:
    """What is known of a project."""

    name: str
    repositories: tuple
    agent_type: str
    active: bool = True


def note_project(notes: Notes, record, topic: str, event) -> None:
    """Note what becomes of a project."""
    match topic:
        case "project.created" | "project.recreated":
            spec = event.spec
            known = notes.projects.get(record.stream_id)
            assert known is None or not known.active, "a name belongs to one project at a time"
            notes.projects[record.stream_id] = Site(spec.name, spec.repositories, spec.agent_type)
        case "project.edited":
            site, changes = notes.projects[record.stream_id], event.changes
            site.repositories = site.repositories if changes.repositories is None else changes.repositories
            site.agent_type = site.agent_type if changes.agent_type is None else changes.agent_type
        case "project.removed":
            notes.projects[record.stream_id].active = False


def require_project(notes: Notes, actor: str, spec) -> None:
    """Hold the project of a new task, and the type that it is for, against the projects that there are."""
    active = {site.name: site for site in notes.projects.values() if site.active}
    above = None if spec.parent_id is None else notes.tasks[spec.parent_id].spec.project
    own = [name for name, site in active.items() if "/app" in site.repositories]
    if spec.project_reason == "it names the project":
        assert spec.project in active, "a task names a project that there is"
    elif spec.project_reason == "it names none":
        assert spec.project is None
    elif above is not None or not actor.startswith("human:"):
        assert spec.project == above, "a part belongs to the project of the whole"
    else:
        assert spec.project == (own[0] if len(own) == 1 else None), "a task belongs to the only project it works on"
    site = active.get(spec.project)
    if actor.startswith("human:") and spec.agent_type_reason != "it names the type":
        wanted = None if site is None else site.agent_type or None
        assert spec.agent_type == wanted, "a task is for the type of its project"


def require_data(notes: Notes, task_id: str, prompt: str) -> None:
    """Hold the first instructions of a task against the data that it has at that moment."""
    if not any(run.task == task_id for run in notes.runs.values()):
        data = notes.tasks[task_id].context
        assert all(value in prompt for value in data.values()), "an agent is given the data of its task"
