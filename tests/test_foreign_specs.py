"""Specifications from public files: each builds with its meaning, or is refused with the reason."""

import re
from importlib import import_module

import pytest

import cybn
import cybn.dialects

DIALECTS = cybn.dialects.available()
TABLES = {name: import_module(f"foreign.{name}").ROWS for name in DIALECTS}
ROWS = [(name, row) for name, table in TABLES.items() for row in table]


@pytest.mark.parametrize(("dialect", "row"), ROWS)
def test_a_specification_means_what_it_says(dialect, row):
    before = repr(row.spec)
    if isinstance(row.means, str):
        with pytest.raises((TypeError, ValueError)) as caught:
            cybn.create(row.spec, dialect=dialect, **row.options)
        assert row.means in str(caught.value)
        return
    layer = cybn.create(row.spec, dialect=dialect, **row.options)
    assert (layer and layer.get_config()) == expected(row)
    assert repr(row.spec) == before


def expected(row):
    """The config of what a row means."""
    return row.means and cybn.create(row.means["type"], **without_type(row.means)).get_config()


def without_type(spec):
    return {key: value for key, value in spec.items() if key != "type"}


@pytest.mark.parametrize(("dialect", "row"), ROWS)
def test_without_its_dialect_nothing_is_guessed(dialect, row):
    """What is in our words alone builds as ours; else the error names dialects that build it."""
    try:
        layer, message = cybn.create(row.spec, **row.options), None
    except (TypeError, ValueError) as error:
        layer, message = None, str(error)
    if message is None:
        assert isinstance(row.spec, (str, type(None))) or set(row.spec) <= {
            "type", *cybn.describe(layer.get_config()["type"])["options"]
        }  # fmt: skip
        return
    named = re.findall(r"'(\w+)'", message.partition("dialect=")[2])
    named = [name for name in named if name in DIALECTS]
    assert named or row.means is None or isinstance(row.means, str) or " needs " in message
    for name in named:
        try:
            cybn.create(row.spec, dialect=name, **row.options)
        except TypeError as error:  # of a name alone something may still be missing
            if " needs " not in str(error):
                raise


def test_there_are_many_with_their_sources():
    assert len(ROWS) >= 150
    assert all(":" in row.source for _, row in ROWS)
    built = [row for _, row in ROWS if not isinstance(row.means, str)]
    assert len(built) >= 0.6 * len(ROWS)
