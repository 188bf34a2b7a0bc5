"""check_layer and checks_for: the rules, run on a layer, and what they found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ..terms.messages import did_you_mean, listed
from . import _checks  # noqa: F401  (fills RULES)
from ._results import ConformanceError, ConformanceErrors, Report, Result
from ._rules import BUILDS, RULES, Broken, NotApplicable, Rule
from ._subject import Case, NotBuilt, Spec, Subject, quiet

ALL = {BUILDS.name: BUILDS, **RULES}


@dataclass(frozen=True)
class Check:
    """One check of one layer: call it, and it returns None or raises ConformanceError.

    An excused check that fails raises unittest.SkipTest, which pytest shows as skipped, with the
    excuse; so does one that means nothing since another of the same list fails. `name` is what the
    excuse of `check_layer` is given by, and `__name__`, with the layer's, the id in pytest.

    Parameters
    ----------
    rule
        What is checked.
    subject
        The layer.
    excuse
        Why the check need not pass, or None.
    advice
        A failure is reported and is no error.
    needed
        The checks that have to pass for this one to mean anything.
    beside
        The names of all checks of the same list.
    """

    rule: Rule
    subject: Subject
    excuse: str | None = None
    advice: bool = False  # a failure is reported and is no error
    needed: tuple[Check, ...] = ()  # those that have to pass for this one to mean anything
    beside: frozenset[str] = frozenset()  # the names of all checks of the same list

    @property
    def name(self) -> str:
        """The name of the check."""
        return self.rule.name

    @property
    def __name__(self) -> str:
        return f"{self.subject.name}-{self.name}"

    @property
    def promise(self) -> str:
        """What a layer that passes has shown."""
        return self.rule.promise

    def __repr__(self) -> str:
        return f"<check {self.__name__}>"

    def __call__(self) -> None:
        try:
            self.run()
        except NotApplicable:
            return
        except ConformanceError as error:
            if error.check != self.name and error.check in self.beside:
                reason = f"{self.name} {_needs(error.check)}"
            elif self.excuse is not None and error.check == self.name:
                reason = f"{self.name} is excused: {self.excuse}"
            else:
                raise
            from unittest import SkipTest  # here, since it costs an import

            raise SkipTest(reason) from error

    def run(self) -> None:
        """Run the check on every case; ConformanceError for the first that fails.

        The error is that of another check where this one needs it and it fails. NotApplicable where
        no case has to do with the check.
        """
        for other in self.needed:
            error = other.verdict()
            if error is not None and (other.excuse is None or error.check != other.name):
                raise error
        verdicts = self.subject.verdicts
        try:
            self._run()
        except ConformanceError as error:
            verdicts[self.name] = error
            raise
        else:
            verdicts[self.name] = None

    def verdict(self) -> ConformanceError | None:
        """Run the check once, for all that need it.

        Returns
        -------
        ConformanceError or None
            The error of a failure; None where it passes or means nothing.
        """
        verdicts = self.subject.verdicts
        if self.name not in verdicts:
            with suppress(NotApplicable, ConformanceError):
                self.run()
        return verdicts.get(self.name)

    def _run(self) -> None:
        reasons = []
        cases = list(self._cases())
        for case in cases:
            try:
                with quiet():
                    self.rule.test(case)
            except NotApplicable as error:
                reasons.append(str(error))
            except Broken as error:
                raise self._error(case, str(error)) from None
            except Exception as error:
                text = f"it raises {type(error).__name__}: {error}"
                raise self._error(case, text) from error
        if len(reasons) == len(cases):
            raise NotApplicable("; ".join(dict.fromkeys(reasons)))

    def result(self) -> tuple[Result, ConformanceError | None]:
        """Run the check, whatever comes of it.

        Returns
        -------
        result : Result
            What it found.
        error : ConformanceError or None
            The error of a failure.
        """
        try:
            self.run()
        except NotApplicable as error:
            return Result(self.name, "not applicable", str(error)), None
        except ConformanceError as error:
            if error.check != self.name:  # another one that this one needs
                return Result(self.name, "failed", str(error)), error
            if self.excuse is not None:
                return Result(self.name, "excused", self.excuse), None
            if self.advice:
                return Result(self.name, "advice", str(error)), None
            return Result(self.name, "failed", str(error)), error
        detail = "" if self.excuse is None else "the excuse is no longer needed"
        return Result(self.name, "passed", detail), None

    def _cases(self) -> Iterator[Case]:
        try:
            cases = self.subject.cases
        except NotBuilt as error:
            seen = str(error).rstrip(".")
            layer = self.subject.owned_name
            raise ConformanceError(BUILDS.name, layer, seen, BUILDS.fix) from error
        fitting = cases[:1] if self.rule.once else cases
        return (replace(case, training=mode) for case in fitting for mode in self.rule.modes)

    def _error(self, case: Case, seen: str) -> ConformanceError:
        mode = "training" if case.training else "evaluation"
        where = f" for input {case.shape}{' and further inputs' * case.further} in {mode}"
        seen, fix = seen.rstrip("."), self.rule.fix
        layer = self.subject.owned_name
        return ConformanceError(self.name, layer, seen, fix, case.shape, where)


def check_names() -> list[str]:
    """List the names of all checks, in the order in which they run.

    Returns
    -------
    list of str
        The names.
    """
    return list(ALL)


def checks_for(
    spec: Spec,
    input_shapes: Sequence[Sequence[int]] | None = None,
    *,
    excuse: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    strict: bool = False,
    **options: Any,
) -> list[Check]:
    """Make a list of the checks of a layer as callables, for `pytest.mark.parametrize`.

    Nothing is built before a check is called.

    Parameters
    ----------
    strict
        Take the strict checks, which are about misuse, too.

    Returns
    -------
    list of Check
        The checks.

    Examples
    --------
    >>> from cybn.testing import checks_for
    >>> checks = checks_for("BatchNorm1d")
    >>> checks[0]
    <check BatchNorm1d-builds>
    >>> checks[0]()
    """
    checks = _checks_of(spec, input_shapes, excuse, only, strict, options)
    return [check for check in checks if not check.advice]


def check_layer(
    spec: Spec,
    input_shapes: Sequence[Sequence[int]] | None = None,
    *,
    excuse: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    strict: bool = False,
    **options: Any,
) -> Report:
    """Check that a layer keeps every promise of a cybn layer; raise one error with all failures.

    Parameters
    ----------
    spec
        A registered name, a dict with "type", a Layer class, a layer (its class and options), or a
        function that returns a new layer. Required options get plain values; the width is 4 unless
        it is given.
    input_shapes
        The shapes of inputs to check with, as [(8, 16), (8, 16, 7)]; the width is the second or the
        last axis of each. Without, ranks 2 to 5 are tried, and those that the layer takes are
        checked.
    excuse
        Why a check need not pass, by the name of the check. A class may say the same in
        `excused_checks`.
    only
        The names of the checks to run; all without.
    strict
        Take failures of the strict checks, which are about misuse, as errors, too; they are advice
        in the report otherwise.
    **options
        Options of the layer, as `cybn.create` takes them.

    Returns
    -------
    Report
        A list with a Result for each check.

    Raises
    ------
    ConformanceError
        For one failure, and ConformanceErrors for several: both are AssertionErrors.
    ValueError
        For the name of a check that there is not.
    UnknownName
        For a layer that there is not.

    Examples
    --------
    >>> from cybn.testing import check_layer
    >>> report = check_layer("BatchNorm1d")
    >>> report[0]
    Result(check='builds', outcome='passed', detail='')
    """
    report, failures = run_checks(
        spec, input_shapes, excuse=excuse, only=only, strict=strict, **options
    )
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ConformanceErrors(failures)
    return report


def run_checks(
    spec: Spec,
    input_shapes: Sequence[Sequence[int]] | None = None,
    *,
    excuse: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    strict: bool = False,
    **options: Any,
) -> tuple[Report, list[ConformanceError]]:
    """Check a layer as `check_layer` does, and raise nothing that a check has found.

    A mistake that many checks would show is one failure, of the first of them; those that mean
    nothing without it are skipped.

    Returns
    -------
    report : Report
        A list with a Result for each check.
    failures : list of ConformanceError
        The errors of what has failed.

    Raises
    ------
    ValueError
        For the name of a check that there is not.
    UnknownName
        For a layer that there is not.
    """
    report, failures = Report(), {}
    for check in _checks_of(spec, input_shapes, excuse, only, strict, options):
        result, error = check.result()
        if error is not None and error.check in failures:
            result = Result(check.name, "skipped", _needs(error.check))
        elif error is not None:
            failures[error.check] = error
        report.append(result)
    return report, list(failures.values())


def _needs(root: str) -> str:
    return f"needs {root!r}, which fails"


def _checks_of(
    spec: Spec,
    input_shapes: Sequence[Sequence[int]] | None,
    excuse: Mapping[str, str] | None,
    only: Sequence[str] | None,
    strict: bool,
    options: dict[str, Any],
) -> list[Check]:
    subject = Subject(spec, input_shapes, **options)
    excuses = {**subject.excuses, **(excuse or {})}
    for name in (*excuses, *(only or ())):
        if name not in ALL:
            hint = did_you_mean(name, ALL) or f"; there are {listed(ALL, 'and')}"
            raise ValueError(f"there is no check {name!r}{hint}")
    selected = frozenset(name for name in ALL if only is None or name in only)
    checks: dict[str, Check] = {}
    for name, rule in ALL.items():
        needed = tuple(checks[each] for each in rule.needs)
        advice = rule.strict and not strict
        checks[name] = Check(rule, subject, excuses.get(name), advice, needed, selected)
    return [check for name, check in checks.items() if name in selected]
