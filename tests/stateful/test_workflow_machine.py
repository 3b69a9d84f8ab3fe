"""The engine's workflows do what the documentation says: any definition, any outcomes, in any order, with disturbances.

The engine's decisions are folded in memory beside `workflow_reference`, which shares nothing with them but the values
of definitions, and compared after each thing that happens.
"""

from hypothesis import given
from hypothesis import strategies as st
from workflow_engine import EngineWorld
from workflow_pair import Pair

from workflow_graphs import stories

CHOICES = st.lists(st.integers(0, 199), min_size=5, max_size=40)


@given(stories(), CHOICES)
def test_the_engine_does_what_the_documentation_says(story, choices):
    Pair(story, EngineWorld(story.definition, story.outcomes)).play(choices)
