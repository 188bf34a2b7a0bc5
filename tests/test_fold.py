"""fold and fold_into_next: against exact arithmetic, and against the layers one after the other."""

from fractions import Fraction
from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits

import cybn
from cybn.testing._subject import Subject

DTYPES = ("float32", "float64")
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def trained(channels, dtype="float64", seed=0, **options):
    """A batch norm in evaluation with statistics of any size."""
    rng = np.random.default_rng(seed)
    norm = cybn.BatchNorm1d(channels, dtype=dtype, **options).eval()
    values = {
        "weight": rng.normal(0, 2, channels),
        "bias": rng.normal(0, 2, channels),
        "running_mean": rng.normal(0, 5, channels),
        "running_var": rng.uniform(1e-3, 9, channels) ** 3,
    }
    for name, value in values.items():
        if getattr(norm, name) is not None:
            getattr(norm, name)[...] = value
    return norm


def conv(x, weight, bias, *, stride=1):
    """A convolution over x (N, in, L) without padding; weight (out, in/groups, K)."""
    out, per_group, size = weight.shape
    groups = x.shape[1] // per_group
    starts = range(0, x.shape[2] - size + 1, stride)
    windows = np.stack([x[:, :, i : i + size] for i in starts], -1)  # (N, in, K, positions)
    windows = windows.reshape(len(x), groups, per_group, size, -1)
    grouped = weight.reshape(groups, out // groups, per_group, size)
    return np.einsum("ngiks,goik->ngos", windows, grouped).reshape(len(x), out, -1) + bias[:, None]


def conv_transposed(x, weight, bias, groups):
    """Its transpose over x (N, in, L); weight (in, out/groups, K)."""
    inputs, per_group, size = weight.shape
    y = np.zeros((len(x), groups, per_group, x.shape[2] + size - 1))
    grouped = x.reshape(len(x), groups, inputs // groups, -1)
    kernel = weight.reshape(groups, inputs // groups, per_group, size)
    for k in range(size):
        y[..., k : k + x.shape[2]] += np.einsum("ngil,gio->ngol", grouped, kernel[..., k])
    return y.reshape(len(x), groups * per_group, -1) + bias[:, None]


def exact_scale_and_shift(norm):
    """By rational arithmetic, the square root to 200 bits."""
    pairs = []
    for c in range(norm.num_features):
        square = Fraction(float(norm.running_var[c])) + Fraction(norm.eps)
        whole = square * 2**400
        root = Fraction(isqrt(whole.numerator // whole.denominator), 2**200)
        scale = Fraction(float(norm.weight[c])) / root
        pairs.append((scale, Fraction(float(norm.bias[c]))
                      - Fraction(float(norm.running_mean[c])) * scale))  # fmt: skip
    return pairs


def assert_within_an_ulp(got, exact):
    ulp = Fraction(float(np.spacing(np.abs(got.dtype.type(float(exact))))))
    assert abs(Fraction(float(got)) - exact) <= ulp, (got, float(exact))


@both_dtypes
@given(seed=st.integers(0, 10**6), cancel=st.booleans())
def test_every_value_is_within_an_ulp_of_the_exact_one(dtype, seed, cancel):
    rng = np.random.default_rng(seed)
    norm = trained(4, DTYPES[seed % 2], seed)
    weight = (rng.normal(0, 1, (4, 5)) * 10.0 ** rng.integers(-8, 8, (4, 1))).astype(dtype)
    bias = rng.normal(0, 1, 4).astype(dtype)
    if cancel:  # scale * bias + shift is then small beside its terms
        norm.bias[...] = 0
        bias = norm.running_mean.astype(dtype)
    folded, new_bias = cybn.fold(weight, bias, norm)
    assert folded.dtype == new_bias.dtype == dtype
    for c, (scale, shift) in enumerate(exact_scale_and_shift(norm)):
        for got, old in zip(folded[c], weight[c], strict=True):
            assert_within_an_ulp(got, scale * Fraction(float(old)))
        assert_within_an_ulp(new_bias[c], scale * Fraction(float(bias[c])) + shift)


def test_a_case_worked_out_by_hand():
    """scale 3/sqrt(4) = 1.5, shift 7 - 2 * 1.5 = 4."""
    norm = cybn.BatchNorm1d(1, eps=0).eval()
    norm.weight[:], norm.bias[:], norm.running_mean[:], norm.running_var[:] = 3, 7, 2, 4
    weight, bias = np.float32([[2, -6]]), np.float32([10])
    folded, new_bias = cybn.fold(weight, bias, norm)
    assert (folded.tolist(), new_bias.tolist()) == ([[3, -9]], [19])
    folded, new_bias = cybn.fold(weight, None, norm)
    assert (folded.tolist(), new_bias.tolist()) == ([[3, -9]], [4])
    assert (weight.tolist(), bias.tolist()) == ([[2, -6]], [10])
    folded, new_bias = cybn.fold_into_next(weight.T, np.float32([1, 2]), norm)
    assert (folded.tolist(), new_bias.tolist()) == ([[3], [-9]], [9, -22])


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"bias": False}, {"eps": 0.1}], ids=str)
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_linear_layer_does_what_both_did(options, with_bias):
    rng = np.random.default_rng(1)
    x, weight = rng.normal(0, 1, (20, 7)), rng.normal(0, 1, (4, 7))
    bias = rng.normal(0, 1, 4) if with_bias else None
    norm = trained(4, **options)
    folded, new_bias = cybn.fold(weight, bias, norm)
    expected = norm(x @ weight.T + (0 if bias is None else bias))
    np.testing.assert_allclose(x @ folded.T + new_bias, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_convolution_does_what_both_did(groups):
    rng = np.random.default_rng(2)
    x, weight = rng.normal(0, 1, (3, 6, 9)), rng.normal(0, 1, (12, 6 // groups, 3))
    bias = rng.normal(0, 1, 12)
    after, before = trained(12), trained(6, seed=5)
    folded = cybn.fold(weight, bias, after, groups=groups)
    np.testing.assert_allclose(conv(x, *folded), after(conv(x, weight, bias)), atol=1e-12)
    folded = cybn.fold_into_next(weight, bias, before, groups=groups)
    expected = conv(before(x), weight, bias)
    np.testing.assert_allclose(conv(x, *folded), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_transposed_convolution_does_what_both_did(groups):
    rng = np.random.default_rng(3)
    x, weight = rng.normal(0, 1, (3, 6, 5)), rng.normal(0, 1, (6, 2, 3))
    bias = rng.normal(0, 1, 2 * groups)
    norm = trained(2 * groups)
    folded = cybn.fold(weight, bias, norm, transposed=True, groups=groups)
    got = conv_transposed(x, *folded, groups)
    expected = norm(conv_transposed(x, weight, bias, groups))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_images_and_volumes_fold_as_lines_do():
    norm = trained(4)
    weight = np.random.default_rng(0).normal(0, 1, (4, 3, 2, 5, 3))
    folded, _ = cybn.fold(weight, None, norm)
    lines, _ = cybn.fold(weight.reshape(4, -1), None, norm)
    assert bits(folded.reshape(4, -1)) == bits(lines)
    strided, _ = cybn.fold(np.asfortranarray(weight), None, norm)
    assert bits(strided) == bits(folded)


def test_frozen_layers_fold_in_any_mode():
    plain = trained(4)
    frozen = cybn.freeze(plain).train()
    weight = np.random.default_rng(0).normal(0, 1, (4, 3))
    for got, expected in zip(
        cybn.fold(weight, None, frozen), cybn.fold(weight, None, plain), strict=True
    ):
        assert bits(got) == bits(expected)


def test_a_normalize_folds_into_the_next_layer():
    """A constant feature has std 0, which counts as 1."""
    rng = np.random.default_rng(4)
    x, weight, bias = rng.normal(30, 2, (50, 3)), rng.normal(0, 1, (2, 3)), rng.normal(0, 1, 2)
    x[:, 1] = 0.1
    norm = cybn.Normalize.fit(x)
    folded, new_bias = cybn.fold_into_next(weight, bias, norm)
    np.testing.assert_allclose(x @ folded.T + new_bias, norm(x) @ weight.T + bias, atol=1e-12)
    outer = cybn.Normalize([1.0, 2.0], 4.0)
    folded, new_bias = cybn.fold(weight, bias, outer)
    assert bits(folded) == bits(weight / 4)
    assert bits(new_bias) == bits((bias - [1, 2]) / 4)


def test_what_does_not_fit_is_an_error_that_names_both():
    weight, norm = np.ones((4, 3)), trained(4)
    before = state_bits(norm)
    with pytest.raises(ValueError, match=r"BatchNorm1d has 5 channels, weight \(4, 3\) has 4 outp"):
        cybn.fold(weight, None, trained(5))
    with pytest.raises(ValueError, match=r"has 4 channels, weight \(4, 3\) has 6 outputs as \(in"):
        cybn.fold(weight, None, norm, transposed=True, groups=2)
    with pytest.raises(ValueError, match=r"has 4 channels, weight \(4, 3\) has 3 inputs"):
        cybn.fold_into_next(weight, None, norm)
    with pytest.raises(ValueError, match=r"bias of shape \(4,\) with weight \(4, 3\), got \(3,\)"):
        cybn.fold(weight, np.ones(3), norm)
    with pytest.raises(ValueError, match="divide axis 0 of weight"):
        cybn.fold_into_next(weight, None, norm, groups=3)
    with pytest.raises(ValueError, match="groups as an int >= 1, got 0"):
        cybn.fold_into_next(weight, None, norm, groups=0)
    with pytest.raises(ValueError, match="two or more dimensions"):
        cybn.fold(np.ones(4), None, norm)
    with pytest.raises(TypeError, match="float32 or float64 weight, got int64"):
        cybn.fold(np.ones((4, 3), int), None, norm)
    assert state_bits(norm) == before


def test_a_norm_that_is_not_fixed_is_an_error():
    weight = np.ones((4, 3))
    with pytest.raises(ValueError, match=r"BatchNorm1d in training.*call eval\(\) first"):
        cybn.fold(weight, None, trained(4).train())
    with pytest.raises(ValueError, match="BatchNorm1d without running statistics"):
        cybn.fold(weight, None, cybn.BatchNorm1d(4, track_running_stats=False).eval())
    with pytest.raises(ValueError, match="cannot fold ghost_inference=True of GhostBatchNorm1d"):
        cybn.fold(weight, None, cybn.GhostBatchNorm1d(4, ghost_inference=True).eval())
    with pytest.raises(ValueError, match=r"ConditionalBatchNorm1d needs weight of shape \(4,\)"):
        cybn.fold(weight, None, cybn.ConditionalBatchNorm1d(4).eval())
    with pytest.raises(TypeError, match="takes a batch norm, a frozen one or a Normalize, got int"):
        cybn.fold(weight, None, 3)


@pytest.mark.parametrize("where", ["weight", "bias", "running_mean", "running_var"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_an_error(where, bad):
    norm = trained(4)
    getattr(norm, where)[1] = bad
    with pytest.raises(ValueError, match=f"finite {where} of BatchNorm1d, got {bad}"):
        cybn.fold(np.ones((4, 3)), None, norm)
    arrays = {"weight": np.ones((4, 3)), "bias": np.ones(4)}
    if where in arrays:
        arrays[where][2] = bad
        with pytest.raises(ValueError, match=f"finite {where}, got {bad}"):
            cybn.fold(**arrays, norm=trained(4))


def test_a_result_that_overflows_is_an_error():
    norm = cybn.BatchNorm1d(1, eps=0, dtype="float64").eval()
    norm.running_var[:] = 1e-60
    with pytest.raises(ValueError, match="fold gives a weight that float32 cannot hold: 1e\\+40"):
        cybn.fold(np.full((1, 1), 1e10, np.float32), None, norm)
    norm.running_var[:] = 0
    with pytest.raises(ValueError, match="running_var \\+ eps > 0, got 0"):
        cybn.fold(np.ones((1, 1)), None, norm)


class Doubled(cybn.BatchNorm1d):
    """Twice the norm."""

    def apply(self, x, **inputs):
        y, saved = super().apply(x, **inputs)
        return 2 * y, saved


class Squared(cybn.Normalize):
    """Another output by a method of the object's use alone."""

    def forward(self, x, **inputs):
        return super().forward(x, **inputs) ** 2


class OtherStatistics(cybn.FrozenBatchNorm1d):
    """Another output by what it lets see of itself."""

    def __getattribute__(self, name):
        return super().__getattribute__(name)


class Declared(Doubled):
    """Twice the norm, and it says so."""

    def fixed(self, who):
        fixed = cybn.BatchNorm1d.fixed(self, who)
        return fixed._replace(weight=2 * fixed.weight, bias=2 * fixed.bias)


@pytest.mark.parametrize(
    ("norm", "own"),
    [
        (Doubled(4), "apply"),
        (Squared([0.0] * 4), "forward"),
        (OtherStatistics(4), "__getattribute__"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_that_computes_otherwise_is_not_known(norm, own):
    message = rf"got a {type(norm).__name__}, whose {own} is its own and may do anything; .*fixed"
    for tool, weight in ((cybn.fold, np.ones((4, 3))), (cybn.fold_into_next, np.ones((3, 4)))):
        with pytest.raises(TypeError, match=message):
            tool(weight, None, norm.eval())


def test_a_norm_with_a_forward_of_the_object_s_own_is_not_known():
    norm = trained(4)
    vars(norm)["forward"] = lambda x: x
    with pytest.raises(TypeError, match="whose forward is its own"):
        cybn.fold(np.ones((4, 3)), None, norm)


def test_a_subclass_that_computes_the_same_or_declares_itself_folds():
    class Same(cybn.BatchNorm1d):
        """The norm, with another repr."""

        def extra_repr(self):
            return "same"

    weight, x = np.ones((4, 3)), np.random.default_rng(0).normal(0, 1, (5, 3))
    for cls in (Same, Declared):
        norm = cls(4, dtype="float64")
        norm(np.random.default_rng(1).normal(3, 2, (9, 4)))
        folded, bias = cybn.fold(weight, None, norm.eval())
        np.testing.assert_allclose(x @ folded.T + bias, norm(x @ weight.T), rtol=1e-12, atol=1e-12)


FOLDING = {
    f"{family}{rank}"
    for family in ("BatchNorm", "FrozenBatchNorm", "LazyBatchNorm", "GhostBatchNorm",
                   "SplitBatchNorm", "BatchRenorm", "SyncBatchNorm")
    for rank in ("", "1d", "2d", "3d")
} | {"Normalize"}  # fmt: skip


@pytest.mark.parametrize("name", cybn.available())
def test_whatever_layer_folds_computes_the_same_and_no_other_is_taken(name):
    rng = np.random.default_rng(0)
    case = Subject(name, **({"num_features": 4} if name in FOLDING else {})).cases[0]
    norm = case.layer().eval()
    if name not in FOLDING:
        with pytest.raises((TypeError, ValueError), match=r"^fold"):
            cybn.fold(np.ones((4, 3)), None, norm)
        return
    x, weight = rng.normal(0, 1, (8, 3)), rng.normal(0, 1, (4, 3))
    folded, bias = cybn.fold(weight, None, norm)
    shape = (8, 4, *(1,) * (len(case.shape) - 2))
    expected = norm((x @ weight.T).reshape(shape)).reshape(8, 4)
    np.testing.assert_allclose(x @ folded.T + bias, expected, rtol=1e-5, atol=1e-5)


def test_a_norm_of_several_domains_says_so():
    norm = cybn.DomainSpecificBatchNorm1d(4).eval()
    with pytest.raises(ValueError, match="has running statistics for each domain") as caught:
        cybn.fold(np.ones((4, 3)), None, norm)
    assert "normalizes by each batch" not in str(caught.value)
    with pytest.raises(ValueError, match="LazyBatchNorm1d that has no num_features yet; call it"):
        cybn.fold(np.ones((4, 3)), None, cybn.LazyBatchNorm1d().eval())
    numbers = cybn.Normalize(1.0, 4.0)  # one mean and std for any number of channels
    folded, bias = cybn.fold(np.ones((4, 3)), None, numbers)
    assert (folded.tolist(), bias.tolist()) == ([[0.25] * 3] * 4, [-0.25] * 4)
