"""Progress bars: on a terminal, if tqdm is there, and never in the way."""

import io
import sys

import numpy as np
import pytest
from runs import python

import cybn
from cybn.layers.dataset.progress import with_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_quiet_when_stderr_is_no_terminal(monkeypatch, capsys):
    items = [1, 2]
    for stderr in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", stderr)
        assert with_progress(items, "fit") is items
    assert with_progress(items, "fit", show=False) is items


def test_tqdm_is_not_imported_to_be_quiet():
    code = """
import sys, numpy as np, cybn
layer = cybn.BatchNorm1d(1)
cybn.recalibrate(layer, layer, [np.array([[1.0], [2.0]])])
cybn.Normalize.fit(np.array([[1.0], [2.0]]))
print("tqdm" in sys.modules)
"""
    assert python(code) == "False"


def test_without_tqdm_there_is_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", None)
    items = [1, 2]
    assert with_progress(items, "fit") is items
    with pytest.raises(ImportError, match=r'pip install "cybn\[progress\]"'):
        with_progress(items, "fit", show=True)


def test_a_bar_that_is_asked_for(monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    layer, x = cybn.BatchNorm1d(1), np.array([[1.0], [2.0]])
    cybn.recalibrate(layer, layer, [x, x], progress=True)
    assert "recalibrate" in sys.stderr.getvalue()
    assert "0/2" in sys.stderr.getvalue()
    cybn.Normalize.fit(np.ones((6, 1)), batch_size=2, progress=True)
    assert "0/3" in sys.stderr.getvalue()


def test_short_work_on_a_terminal_is_quiet(monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(with_progress([1, 2], "fit")) == [1, 2]
    assert sys.stderr.getvalue().strip() == ""
