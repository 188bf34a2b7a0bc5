"""Norm specifications as they stand in public files of other projects: facts, each with its source.

A row has the spec as JSON or YAML would hold it, the options that its caller gives (a width,
mostly), what it means here, and the place it is from: repository and path, or an address. What it
means is the config of the same layer here, None for no norm, or, as a text, a part of the refusal.
"""

from typing import Any, NamedTuple


class Row(NamedTuple):
    """One specification."""

    spec: Any
    options: dict
    means: Any
    source: str


def rows(source, *given):
    """Rows of one source: spec, what it means, and the options if they are not a width of 64."""
    return [
        Row(spec, options[0] if options else {"num_features": 64}, means, source)
        for spec, means, *options in given
    ]
