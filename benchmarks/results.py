"""Summaries of the numbers of several rounds."""

import statistics
from dataclasses import dataclass

from benchmarks.workloads import Measurement

# By workload, the measurements of each round by contender.
type Results = dict[str, list[dict[str, Measurement]]]


@dataclass(frozen=True)
class Summary:
    """The median, the lowest and the highest of a number, over all rounds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, numbers: list[float]) -> "Summary":
        """Return the summary of at least one number."""
        return cls(statistics.median(numbers), min(numbers), max(numbers))


@dataclass(frozen=True)
class Column:
    """A metric of a workload, and its divisor, if it has one.

    `per` is a number, or the contender whose number of the same round is the divisor. `form` formats the metric in
    units of `scale`: with 0.001 and `{:.0f} ms`, 0.25 seconds are `250 ms`.
    """

    heading: str
    workload: str
    metric: str
    form: str
    scale: float = 1.0
    per: str | float | None = None

    def has(self, results: Results, contender: str) -> bool:
        """Return whether a contender was measured."""
        return contender in results[self.workload][0]

    def absolute(self, results: Results, contender: str) -> Summary:
        """Return the summary of a contender's own numbers, in units of `scale`."""
        rounds = results[self.workload]
        return Summary.of([measured[contender][self.metric] / self.scale for measured in rounds])

    def relative(self, results: Results, contender: str) -> Summary:
        """Return the summary of a contender's ratios to `per`, which must not be None."""
        rounds = results[self.workload]
        per = self.per
        return Summary.of(
            [
                measured[contender][self.metric] / (measured[per][self.metric] if isinstance(per, str) else per)
                for measured in rounds
            ]
        )
