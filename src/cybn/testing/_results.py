"""What the checks of a layer found: results, a report of them, and the errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "excused", "advice", "not applicable", "skipped"]


class ConformanceError(AssertionError):
    """A layer does not keep a promise.

    Parameters
    ----------
    check, layer
        The names of the check and of the layer.
    seen
        What was seen, with numbers.
    fix
        What to change.
    shape
        The shape of the input, None where it has nothing to do with one.
    where
        The input and the mode in words.
    """

    __module__ = __package__

    def __init__(
        self,
        check: str,
        layer: str,
        seen: str,
        fix: str,
        shape: tuple[int, ...] | None = None,
        where: str = "",
    ) -> None:
        self.check, self.layer, self.seen, self.fix = check, layer, seen, fix
        self.shape, self.where = shape, where
        super().__init__(f"{layer} fails the check {check!r}{where}: {seen}. {fix}")

    def __reduce__(self) -> tuple:
        return type(self), (
            self.check, self.layer, self.seen, self.fix, self.shape, self.where
        )  # fmt: skip


class ConformanceErrors(ConformanceError):  # noqa: N818
    """Several promises that a layer does not keep.

    Parameters
    ----------
    failures
        The error of each.
    """

    __module__ = __package__

    def __init__(self, failures: Sequence[ConformanceError]) -> None:
        self.failures = tuple(failures)
        names = ", ".join(error.check for error in failures)
        lines = "".join(f"\n- {error}" for error in failures)
        super().__init__(names, failures[0].layer, "", "")
        self.args = (f"{self.layer} fails {len(failures)} checks: {names}{lines}",)

    def __reduce__(self) -> tuple:
        return type(self), (self.failures,)


@dataclass(frozen=True)
class Result:
    """What a check found.

    Parameters
    ----------
    check
        The name of the check.
    outcome
        One of "passed", "failed", "excused", "advice", "not applicable" and "skipped".
    detail
        The failure, the excuse or the reason.
    """

    check: str
    outcome: Outcome
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:14}  {self.check}{f': {self.detail}' if self.detail else ''}"


class Report(list[Result]):
    """The results of check_layer, one for each check.

    Parameters
    ----------
    iterable
        The results.
    """

    def named(self, outcome: Outcome) -> list[str]:
        """List the names of the checks with an outcome.

        Parameters
        ----------
        outcome
            The outcome, such as "failed".

        Returns
        -------
        list of str
            The names, in the order of the checks.
        """
        return [result.check for result in self if result.outcome == outcome]

    def __str__(self) -> str:
        return "\n".join(map(str, self))
