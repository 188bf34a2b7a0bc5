"""`ranked`: the classes 1d, 2d and 3d of a family, built-in or somebody else's."""

import copy
import pickle
import sys
import types

import numpy as np
import pytest

import cybn
from cybn.terms.registry import registry

FAMILY = '''
from __future__ import annotations
import numpy as np
import cybn

class CentreNorm(cybn.Layer):
    """Centre <shapes>, or <last>: <name> is BatchNorm<d> without a scale.

    Parameters
    ----------
    num_features
        The channels of <batch> and <sample>.

    Examples
    --------
    >>> np.zeros((2, 3, 4<ones>)).ndim
    """

    ranks: tuple[int, ...]

    def __init__(self, num_features: int): ...

    def apply(self, x, *, out=None):
        x = self.begin(x, out, ndim=self.ranks, channels=self.num_features)
        return x - x.mean((0, *range(2, x.ndim)), keepdims=True), x

CentreNorm1d, CentreNorm2d, CentreNorm3d = cybn.ranked(CentreNorm, "CN", frozen_form="Still{}d")
'''


@pytest.fixture
def module(own_registry, monkeypatch):
    """A module of an author, with a family."""
    module = types.ModuleType("centre_norm")
    monkeypatch.setitem(sys.modules, "centre_norm", module)
    exec(FAMILY, vars(module))
    return module


def test_the_classes_are_as_if_they_had_been_written(module):
    for n, ranks in ((1, (2, 3)), (2, (4,)), (3, (5,))):
        cls = vars(module)[f"CentreNorm{n}d"]
        assert (cls.__name__, cls.__qualname__) == (f"CentreNorm{n}d",) * 2
        assert cls.__module__ == "centre_norm"
        assert cls.__mro__[1] is module.CentreNorm
        assert cls.ranks == ranks
        assert cls.frozen_form == f"Still{n}d"
        assert cls.registered_name == cls.__name__


def test_names_and_aliases(module):
    aliases = [cybn.describe(f"CentreNorm{n}d")["aliases"] for n in (1, 2, 3)]
    assert aliases == [["CN1d"], ["CN", "CN2d", "CentreNorm"], ["CN3d"]]
    assert type(cybn.create("cn", num_features=2)) is module.CentreNorm2d


def test_a_registered_family_keeps_its_name(own_registry):
    @cybn.register("OwnNorm", aliases=("ON",))
    class OwnNorm(cybn.Layer):
        def __init__(self, num_features: int): ...

    cybn.ranked(OwnNorm, "ON")
    assert registry.find("OwnNorm") is registry.find("ON") is OwnNorm
    assert cybn.describe("OwnNorm2d")["aliases"] == ["ON2d"]


def test_without_a_short_name(own_registry):
    cybn.ranked(type("PlainNorm", (cybn.Layer,), {}))
    names = [cybn.describe(f"PlainNorm{n}d")["aliases"] for n in (1, 2, 3)]
    assert names == [[], ["PlainNorm"], []]
    assert cybn.create("PlainNorm1d").__doc__ is None


def test_layers_copy_pickle_and_are_of_their_family(module):
    layer = cybn.create("CN1d", num_features=3)
    assert isinstance(layer, module.CentreNorm)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert type(other) is module.CentreNorm1d
        assert other.get_config() == {"type": "CentreNorm1d", "num_features": 3}
    assert pickle.loads(pickle.dumps(module.CentreNorm3d)) is module.CentreNorm3d


def test_a_class_can_be_subclassed(module):
    @cybn.register("Doubled")
    class Doubled(module.CentreNorm1d):
        """Twice that."""

        def apply(self, x, *, out=None):
            y, saved = super().apply(x)
            return 2 * y, saved

    assert Doubled(1)(np.array([[1.0], [3.0]])).ravel().tolist() == [-2, 2]
    assert cybn.describe("Doubled")["options"]["num_features"]["description"].startswith("The chan")


def test_an_input_of_another_rank_names_the_class_for_it(module):
    with pytest.raises(ValueError, match=r"CentreNorm2d expects 4-D .* use CentreNorm1d$"):
        module.CentreNorm2d(3)(np.ones((2, 3, 4)))


def test_each_docstring_is_filled_in(module):
    one, three = module.CentreNorm1d.__doc__, module.CentreNorm3d.__doc__
    assert one.startswith(
        "Centre (N, C) or (N, C, L), or (N, C) or (N, L, C): CentreNorm1d is BatchNorm1d without"
    )
    assert "The channels of (N, C, L) and (C, L)." in one
    assert "np.zeros((2, 3, 4)).ndim" in one
    assert "num_features : int\n" in one
    assert "The channels of (N, C, D, H, W) and (C, D, H, W)." in three
    assert "np.zeros((2, 3, 4, 1, 1)).ndim" in three
    assert "CentreNorm2d is BatchNorm2d" in module.CentreNorm.__doc__


def test_what_stands_in_angles_otherwise_is_left_alone(own_registry):
    family = type("AngleNorm", (cybn.Layer,), {"__doc__": "For x<y, <html> and $d$ in <d>."})
    assert cybn.ranked(family)[0].__doc__ == "For x<y, <html> and $d$ in 1d."


def test_a_name_that_is_taken_leaves_nothing_behind(own_registry):
    cybn.register("HalfNorm3d")(type("HalfNorm3d", (cybn.Layer,), {}))
    before = registry.names()
    family = type("HalfNorm", (cybn.Layer,), {})
    with pytest.raises(ValueError, match="'HalfNorm3d' is taken"):
        cybn.ranked(family)
    assert registry.names() == before
    cybn.ranked(family, force=True)
    assert "HalfNorm1d" in registry.names()


def test_further_bases_give_the_ranks(own_registry):
    plain = cybn.InstanceNorm1d, cybn.InstanceNorm2d, cybn.InstanceNorm3d
    mixed = cybn.ranked(type("MixedNorm", (cybn.Layer,), {}), beside=plain)
    assert [cls.__bases__[1] for cls in mixed] == list(plain)
    assert [cls.ranks for cls in mixed] == [(2, 3), (3, 4), (4, 5)]
    assert [cls.plain for cls in (cybn.LazyBatchNorm1d, cybn.LazyInstanceNorm3d)] == [
        cybn.BatchNorm1d, cybn.InstanceNorm3d,
    ]  # fmt: skip
