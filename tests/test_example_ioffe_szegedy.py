"""examples/ioffe_szegedy.py: the quick run, and that its findings can go either way."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import pytest

for package in ("sklearn", "matplotlib", "tqdm", "threadpoolctl"):
    pytest.importorskip(package, reason=f'the example needs {package}: pip install ".[examples]"')

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def example():
    """The example as a module."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import ioffe_szegedy
    finally:
        sys.path.remove(str(EXAMPLES))
    return ioffe_szegedy


def test_the_quick_run_agrees_with_the_paper_and_draws(example, tmp_path):
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert example.main(["--quick", "--out", str(tmp_path / "new")]) == 0
    *lines, path = output.getvalue().splitlines()
    assert max(map(len, lines)) < 80
    verdicts = [line.split()[0] for line in lines if not line.startswith(" ")]  # others go on
    assert verdicts[:4] == ["agrees"] * 4
    assert len(verdicts) == 5
    picture = Path(path)
    assert picture == tmp_path / "new" / "ioffe-szegedy.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def curves(example, accuracy, wander):
    """A run with this accuracy, whose sigmoids' median goes from 0 to `wander` in a band of 2."""
    middle = np.linspace(0, wander, len(accuracy))
    percentiles = np.stack([middle - 1, middle, middle + 1], axis=1)[:, :, None]
    return example.Curves(10 * np.arange(len(accuracy)), np.array(accuracy), percentiles)


def test_each_finding_goes_the_other_way_where_the_figures_do(example):
    good = [curves(example, [0.1, 0.95, 0.97, 0.99], 0.2)]
    bad = [curves(example, [0.1, 0.5, 0.95, 0.90], 4.0)]
    right = example.findings({"without": bad, "with": good})
    wrong = example.findings({"without": good, "with": bad})
    assert [agrees for *_, agrees in right] == [True] * 5
    assert [agrees for *_, agrees in wrong] == [False] * 5
    faster, end, best, stable, falls = (measured for _, measured, _ in right)
    assert faster == "10 with, 20 without"
    assert end == "99.0% with, 90.0% without"
    assert best == "99.0% with, 95.0% without"
    assert stable == "0.10 with, 2.00 without"
    assert falls == "by 0.0% with, 5.0% without"
    assert example.report(wrong).count("DIFFERS") == 5


def test_both_networks_start_alike(example):
    """So that what is compared differs in the norm alone."""
    data = example.load_data()
    widths = [data.x.shape[1], *example.WIDTHS, example.CLASSES]
    plain, normed = (example.Network(widths, norm, 1.0, 3) for norm in (None, example.NORM))
    weights = [
        [layer.weight for layer in network.layers if type(layer).__name__ == "Linear"]
        for network in (plain, normed)
    ]
    assert len(weights[0]) == 4
    assert all((a == b).all() for a, b in zip(*weights, strict=True))


def test_the_typical_unit_wanders_as_the_median_unit_does(example):
    run = curves(example, [0.1, 0.2, 0.3], 1.0)
    units = np.concatenate([run.percentiles * k for k in (5, 1, 3)], axis=2)
    assert example.typical(run._replace(percentiles=units)) == 2
