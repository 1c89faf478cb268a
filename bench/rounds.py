"""Rounds through the scenarios: each in turn, so that the machine's moods meet all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from bench.counts import WrongCountError
from bench.figures import Figure, Target
from bench.stage import Stage


class Scenario(Protocol):
    """A module of ``bench.scenarios``."""

    @property
    def NAME(self) -> str: ...  # noqa: N802

    @property
    def TARGETS(self) -> tuple[Target, ...]: ...  # noqa: N802

    def measure(self, stage: Stage) -> Iterator[Figure]:
        """Yield what one round of it measures; raise WrongCountError for a wrong count."""


class Rounds:
    """Iterate over the figures as they are measured; ``wrong_counts`` says what was wrong."""

    def __init__(self, scenarios: Sequence[Scenario], stage: Stage, rounds: int) -> None:
        self.stage = stage
        self.wrong_counts: list[str] = []
        self._scenarios = scenarios
        self._rounds = rounds

    @property
    def description(self) -> dict[str, Any]:
        """What is run, for whoever reads the results; the wrong counts are still to come."""
        return {
            "scenarios": [scenario.NAME for scenario in self._scenarios],
            "is_full": self.stage.is_full,
            "rounds": self._rounds,
            "wrong_counts": self.wrong_counts,
        }

    def __iter__(self) -> Iterator[Figure]:
        for number in range(1, self._rounds + 1):
            for scenario in self._scenarios:
                self.stage.say(f"round {number} of {self._rounds}: {scenario.NAME}")
                yield from self._measured(scenario)

    def _measured(self, scenario: Scenario) -> Iterator[Figure]:
        try:
            yield from scenario.measure(self.stage)
        except WrongCountError as error:
            # The other figures are still worth having.
            self.wrong_counts.append(f"{scenario.NAME}: {error}")
