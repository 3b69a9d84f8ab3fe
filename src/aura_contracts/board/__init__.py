"""Board: columns that people name and order, over states that the engine enforces (specification, "Status Model").

    task, execution ──canonical state──► backlog │ ready │ running │ review │ done │ cancelled │ blocked
                                            ▲        ▲        ▲ ▲
    columns of a board, as named by people  Ideas    Next     Coding, Testing ...

Each column maps to one canonical state, and **every canonical state has at least one column**, so a task's card always
has a place. If several columns share a state, cards that AURA moves go to the leftmost; people move cards freely
between them.

A card sits where the state of its task says. People can only make the moves in `USER_MOVES`, each of which stands for a
task command, so a move never does anything that the task's own table forbids. No one can move a card to done (only the
engine completes tasks), and no move approves anything. A board holds the ids of tasks, never copies of them.
"""

from aura_contracts.board.commands import *
from aura_contracts.board.event_types import *
from aura_contracts.board.state import *
from aura_contracts.board.values import *
