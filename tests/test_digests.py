"""Results keep their bits from one commit to the next; see digests.py."""

import json

import pytest
from digests import DTYPES, FILE, LAYERS, digests


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_are_those_that_were_kept(name, dtype):
    kept, found = json.loads(FILE.read_text("utf-8")), digests(name, dtype)
    assert found == {case: kept[case] for case in found}
    assert len(found) >= 6
