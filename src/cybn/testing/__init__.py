"""The conformance check: does a layer, built-in or somebody else's, keep every promise?

`check_layer` runs all checks on a layer and says of each failure what was seen and what to change.
`checks_for` gives the same checks one by one, to parametrize a test with. Both need NumPy only.

In the way of scikit-learn's estimator checks. What differs: every check has a name, by which it can
be excused with a reason, and a sentence for the author of the layer. Hypothesis was rejected as a
base: it is no dependency of the library, and the hard cases are known and few.

>>> import cybn
>>> from cybn.testing import check_layer
>>> report = check_layer("BatchNorm2d", num_features=8)
>>> report.named("failed")
[]
"""

from ..terms.docstrings import complete
from ._results import ConformanceError, ConformanceErrors, Report, Result
from ._run import Check, check_layer, check_names, checks_for, run_checks

__all__ = [
    "Check",
    "ConformanceError",
    "ConformanceErrors",
    "Report",
    "Result",
    "check_layer",
    "check_names",
    "checks_for",
    "run_checks",
]

for _function in (checks_for, run_checks):  # what they take alike is explained once
    complete(_function, check_layer)
