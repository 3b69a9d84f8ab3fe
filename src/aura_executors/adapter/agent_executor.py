"""Agent executor: the base of executors that run an agent's own program, which most of them do in the same way."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Generic

from aura_contracts.ports.executors import AgentRun, Availability, Executor, Launch
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import (
    ActingOptions,
    Options,
    agent_options,
    program_of,
    prompt_bytes,
    silencing_option,
)
from aura_executors.adapter.program_lookup import Program


class AgentExecutor(Executor, Generic[Options]):
    """Runs `program` with the arguments of a subclass, then the user's; the prompt goes by standard input."""

    program: ClassVar[Program]
    options: type[Options]
    variables: ClassVar[Mapping[str, str | None]] = {}
    """What is changed of the environment; options override it."""
    reads: ClassVar[tuple[str, ...]] = ()
    """The documents that the agent reads by itself, see `documents_read`."""
    interactive: ClassVar[bool] = False
    exit_grace: ClassVar[float] = 5.0
    """See `Launch`."""

    @abstractmethod
    def arguments(self, run: AgentRun, options: Options) -> Iterable[str]:
        """Return the arguments. Values are joined to their names, so that none is taken for an option."""

    def options_of(self, run: AgentRun) -> Options:
        """Return the options of `run`. Raises `InvalidInput` for invalid ones."""
        return agent_options(self.name, run, self.options, forks=self.capability.fork)

    def environment(self, run: AgentRun, options: Options) -> dict[str, str | None]:
        """Return what is changed of the environment."""
        return {**self.variables, **options.env}

    def stdin(self, run: AgentRun, options: Options) -> bytes:
        """Return what standard input begins with."""
        return prompt_bytes(run, options)

    def command(self, run: AgentRun, options: Options) -> Iterable[str]:
        """Return all arguments, the user's included."""
        return (*self.arguments(run, options), *options.params)

    def launch(self, run: AgentRun) -> Launch:
        options = self.options_of(run)
        return Launch(
            argv=(*program_of(self.program, options, run.environment), *self.command(run, options)),
            env=self.environment(run, options),
            stdin=self.stdin(run, options),
            interactive=self.interactive,
            exit_grace=self.exit_grace,
            install=self.program.install,
        )

    def documents_read(self, options: Mapping[str, object]) -> tuple[str, ...]:
        return self.reads

    def silencing_option(self, options: Mapping[str, object]) -> str | None:
        read = read_options(self.name, options, self.options)
        return silencing_option(read, read.silencing) if isinstance(read, ActingOptions) else None

    def availability(self, environment: Mapping[str, str]) -> Availability:
        return self.program.availability(environment)


def flags(named: Mapping[str, object]) -> Iterator[str]:
    """Yield arguments: the name alone for True, with each value of several, and nothing for None, False and "".

    >>> [*flags({"--model": "m", "--yolo": True, "--sandbox": False, "--add-dir": ("a", "b"), "--mode": None})]
    ['--model=m', '--yolo', '--add-dir=a', '--add-dir=b']
    """
    for name, value in named.items():
        match value:
            case None | False | "":
                pass
            case True:
                yield name
            case tuple():
                yield from (f"{name}={one}" for one in value)
            case _:
                yield f"{name}={value}"
