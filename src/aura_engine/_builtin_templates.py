"""Built-in templates: what agents are told where nobody wrote anything else.

    name             variables, beside `task` (id, title, description, priority, context) and those of the run
    coding
    plan
    plan_follow_up   feedback, proposal
    implement        plan
    follow_up        feedback
    conflict         conflicts: a list of (repository, target, paths); feedback
    resume           prompt: what the agent had been told
    replay           history: what was said in a session that the agent lost; prompt

A task whose description says all that its title says (one made from a prompt: the title is the prompt's beginning) is
told by its description alone, unchanged to the character.
"""

from collections.abc import Mapping
from types import MappingProxyType

_CODING = """\
{%- set title = task.title.split() | join(" ") -%}
{%- set description = (task.description or "").split() | join(" ") -%}
{%- if not description -%}
{{ task.title }}
{%- elif description.startswith(title.rstrip(".\u2026 ")) -%}
{{ task.description }}
{%- else -%}
{{ task.title }}

{{ task.description }}
{%- endif -%}
"""

_PLAN = """\
{% include "coding" %}

Do not change any files yet. Say in words how you propose to do this: which files you would change and how, what you \
would test, what you are unsure of. A human will decide on your proposal.
"""

_PLAN_FOLLOW_UP = """\
A human has read your proposal and did not approve it yet:

{{ feedback }}

Make a new proposal that takes this into account. Do not change any files yet.
{%- if proposal %}

Your proposal was:

{{ proposal }}
{%- endif %}
"""

_IMPLEMENT = """\
{% include "coding" %}
{%- if plan %}

Your plan for this was approved. Carry it out now:

{{ plan }}
{%- else %}

Your plan for this was approved. Carry it out now.
{%- endif %}
"""

_FOLLOW_UP = """\
A human has reviewed your work and asks for changes:

{{ feedback }}
"""

_CONFLICT = """\
Your work cannot be merged: somebody else changed the same places. Resolve the conflicts in these files, so that both \
changes keep their meaning:
{% for files in conflicts %}
{% if files.repository -%}
In {{ files.repository }}{% if files.target %}, with the branch {{ files.target }}{% endif %}:
{% elif files.target -%}
With the branch {{ files.target }}:
{% endif -%}
{% for path in files.paths -%}
- {{ path }}
{% endfor -%}
{% endfor -%}
{% if feedback %}
{{ feedback }}
{% endif -%}
"""

_RESUME = """\
You were interrupted before you were done. Look at what you have changed so far, and go on. This is what you were told:

{{ prompt }}
"""

_REPLAY = """\
{%- if history -%}
You are going on with work that was begun in another session. This is what was said there:

{{ history }}

The files are as they were left. Look at them before you go on. This is what you are told now:

{% endif -%}
{{ prompt }}
"""

BUILTIN: Mapping[str, str] = MappingProxyType(
    {
        "coding": _CODING.removesuffix("\n"),
        "plan": _PLAN,
        "plan_follow_up": _PLAN_FOLLOW_UP,
        "implement": _IMPLEMENT,
        "follow_up": _FOLLOW_UP,
        "conflict": _CONFLICT,
        "resume": _RESUME,
        "replay": _REPLAY,
    }
)
"""Name -> text."""
