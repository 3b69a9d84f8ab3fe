"""Workflow graphs: how long it takes to draw a workflow of 500 steps: layout and SVG, text, Mermaid; by its shape.

All take less than a second. Another floor: twice the steps take at most four times as long in containers within
containers, the shape of most large workflows.
"""

import random
import time
from collections.abc import Iterator

from aura_contracts.workflow import CommandStep, ForEachStep, Join, ParallelStep, StepDefinition, WorkflowDefinition
from aura_engine.orchestration.graph import graph_of, mermaid_of, svg_of, tree_of
from benchmarks._report import Row, alternate, main

STEPS = 500
LIMIT_MILLISECONDS = 1_000
GROWTH = 4


def measure() -> Iterator[Row]:
    shapes = {
        "nested containers": _nested(STEPS),
        "one after another": _definition(_chain(STEPS)),
        "a fan of 498": _definition(_fan(STEPS)),
        "25 stages of 20": _definition(_stages(25, 20)),
        "each after all before": _definition(_full(STEPS)),
    }
    for name, definition in shapes.items():
        for form, draw in (("", svg_of), (", as text", tree_of), (", in Mermaid", mermaid_of)):
            (seconds,) = alternate(lambda definition=definition, draw=draw: _seconds(definition, draw))
            milliseconds = seconds * 1_000
            yield Row(f"{name}{form}", milliseconds, "ms", "1 s", milliseconds / LIMIT_MILLISECONDS, 1, ceiling=True)
    small, large = _nested(STEPS), _nested(2 * STEPS)
    one, other = alternate(lambda: _seconds(small), lambda: _seconds(large))
    yield Row("1,000 in nested containers", other * 1_000, "ms", "500", other / one, GROWTH, ceiling=True)


def _seconds(definition: WorkflowDefinition, draw=svg_of) -> float:
    began = time.process_time()
    draw(graph_of(definition))
    return time.process_time() - began


def _step(name: str, *after: str, **fields) -> StepDefinition:
    return StepDefinition(id=name, **({"config": CommandStep(run="true"), "dependencies": after} | fields))


def _definition(steps) -> WorkflowDefinition:
    return WorkflowDefinition(name="drawn", steps=tuple(steps))


def _chain(count: int) -> Iterator[StepDefinition]:
    for number in range(count):
        yield _step(f"s{number}", *((f"s{number - 1}",) if number else ()))


def _fan(count: int) -> Iterator[StepDefinition]:
    shards = [f"shard-{number}" for number in range(count - 2)]
    yield _step("start")
    yield from (_step(name, "start") for name in shards)
    yield _step("merge", *shards)


def _stages(depth: int, width: int) -> Iterator[StepDefinition]:
    for row in range(depth):
        before = [f"s{row - 1}-{place}" for place in range(width)] if row else []
        yield from (_step(f"s{row}-{place}", *before) for place in range(width))


def _full(count: int) -> Iterator[StepDefinition]:
    """Yield steps with 124,750 dependencies, none of which follows from others."""
    names = [f"s{number}" for number in range(count)]
    yield from (_step(name, *names[:place], join=Join.ALL_DONE) for place, name in enumerate(names))


def _nested(count: int) -> WorkflowDefinition:
    chance, numbers = random.Random(count), iter(range(10 * count))

    def block(budget: int) -> Iterator[StepDefinition]:
        names: list[str] = []
        while budget > 0:
            name, budget, fields = f"s{next(numbers)}", budget - 1, {}
            if budget > 4 and chance.random() < 0.25:
                size = chance.randint(2, max(2, budget // 4))
                budget, inner = budget - size, tuple(block(size))
                parallel = chance.random() < 0.5
                fields["config"] = ParallelStep(steps=inner) if parallel else ForEachStep(items="x", steps=inner)
            yield _step(name, *chance.sample(names[-6:], min(len(names), chance.choice((0, 1, 1, 2, 3)))), **fields)
            names.append(name)

    return _definition(block(count))


if __name__ == "__main__":
    main(__doc__.splitlines()[0], measure)
