"""SplitBatchNorm and DomainSpecificBatchNorm: several batch norms in one layer."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import bits, state_bits

import cybn

KEYS = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
AUX = "aux_bn.0."


def randomized(layer, seed=0):
    """The layer with parameters, means and variances as after training."""
    rng = np.random.default_rng(seed)
    for name, a in (*layer.named_parameters(), *layer.named_buffers()):
        if not name.endswith("num_batches_tracked"):
            a[...] = rng.uniform(0.5, 2, a.shape)
    return layer


def alone(layer, prefix, cls=cybn.BatchNorm1d, **options):
    """A BatchNorm with a copy of one member's arrays."""
    plain = cls(layer.num_features, dtype=layer.dtype, **options)
    state = {name: a for name, a in layer.state_dict().items() if name.startswith(prefix)}
    state = {name.removeprefix(prefix): a for name, a in state.items()}
    plain.load_state_dict({name: a for name, a in state.items() if "." not in name})
    return plain.train(layer.training)


def state_of(layer, prefix):
    state = layer.state_dict()
    return {name: bits(state[prefix + name]) for name in KEYS if prefix + name in state}


def batch(*shape, seed=1):
    return np.random.default_rng(seed).normal(1, 2, (2, *shape)).astype(np.float32)


# Split


@given(st.integers(2, 4), st.integers(2, 5), st.sampled_from(["float32", "float64"]), st.booleans())
def test_each_part_goes_through_a_batch_norm_of_its_own(splits, size, dtype, bias):
    options = {"momentum": None, "bias": bias}
    layer = randomized(cybn.SplitBatchNorm1d(3, num_splits=splits, dtype=dtype, **options))
    prefixes = ["", *(f"aux_bn.{i}." for i in range(splits - 1))]
    plains = [alone(layer, prefix, **options) for prefix in prefixes]
    x, dy = batch(splits * size, 3)
    y, dx = layer(x), layer.backward(dy)
    for i, (prefix, plain) in enumerate(zip(prefixes, plains, strict=True)):
        part = slice(i * size, (i + 1) * size)
        assert bits(y[part]) == bits(plain(x[part]))
        assert bits(dx[part]) == bits(plain.backward(dy[part]))
        assert state_of(layer, prefix) == state_of(plain, "")
        for name, grad in plain.grads.items():
            assert bits(layer.grads[prefix + name]) == bits(grad)


def test_split_names_are_those_of_timm():
    layer = cybn.SplitBatchNorm2d(3, num_splits=3)
    assert list(layer.grads) == []
    names = [*KEYS, *("aux_bn.0." + key for key in KEYS), *("aux_bn.1." + key for key in KEYS)]
    assert sorted(layer.state_dict()) == sorted(names)
    x, _ = batch(6, 3, 2, 2)
    layer.backward(layer(x))
    assert list(layer.grads) == [name for name, _ in layer.named_parameters()]
    assert getattr(layer, "aux_bn.1.weight").shape == (3,)


def test_split_evaluation_is_that_of_the_main_one():
    layer = randomized(cybn.SplitBatchNorm1d(3)).eval()
    plain = alone(layer, "")
    x, dy = batch(5, 3)
    before = state_bits(layer)
    assert bits(layer(x)) == bits(plain(x))
    assert state_bits(layer) == before
    assert bits(layer.backward(dy)) == bits(plain.backward(dy))
    assert bits(layer.grads["weight"]) == bits(plain.grads["weight"])
    assert not layer.grads[AUX + "weight"].any()
    assert not layer.grads[AUX + "bias"].any()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((5, 3), r"SplitBatchNorm1d expects a batch of 2 equal parts in training, got 5 samples"),
        ((2, 3), r"Expected more than 1 value per channel when training"),
    ],
)
def test_split_refuses(shape, message):
    layer = randomized(cybn.SplitBatchNorm1d(3))
    before = state_bits(layer)
    with pytest.raises(ValueError, match=message):
        layer(np.zeros(shape, np.float32))
    assert state_bits(layer) == before


def test_a_spoilt_auxiliary_array_is_found_before_the_main_statistics_move():
    layer = randomized(cybn.SplitBatchNorm1d(3))
    setattr(layer, AUX + "weight", np.ones(4, np.float32))
    before = state_bits(layer)
    with pytest.raises(ValueError, match=r"SplitBatchNorm1d needs aux_bn.0.weight of shape \(3,\)"):
        layer(batch(4, 3)[0])
    assert state_bits(layer) == before


# Domains


@given(st.integers(1, 4), st.data(), st.booleans(), st.sampled_from([(6, 3), (2, 3, 5), (0, 3)]))
def test_the_domain_of_the_call_is_a_batch_norm(domains, data, training, shape):
    domain = data.draw(st.integers(0, domains - 1))
    layer = randomized(cybn.DomainSpecificBatchNorm1d(3, num_domains=domains)).train(training)
    prefix = f"bns.{domain}."
    plain = alone(layer, prefix)
    before = layer.state_dict()
    x, dy = batch(*shape)
    assert bits(layer(x, domain=domain)) == bits(plain(x))
    assert bits(layer.backward(dy)) == bits(plain.backward(dy))
    assert state_of(layer, prefix) == state_of(plain, "")
    assert list(layer.grads) == [name for name, _ in layer.named_parameters()]
    for name, a in layer.state_dict().items():
        if not name.startswith(prefix):
            assert bits(a) == bits(before[name])
    for name, grad in layer.grads.items():
        of_plain = plain.grads.get(name.removeprefix(prefix), np.zeros(3, np.float32))
        assert bits(grad) == bits(of_plain)


def test_without_a_domain_it_is_the_first():
    one, other = (randomized(cybn.DomainSpecificBatchNorm2d(3)) for _ in range(2))
    x, _ = batch(4, 3, 2, 2)
    assert bits(one(x)) == bits(other(x, domain=np.int32(0)))
    assert state_bits(one) == state_bits(other)
    assert one.sample_inputs(x) == {"domain": 1}


def test_domain_names_are_those_of_the_authors():
    state = cybn.DomainSpecificBatchNorm2d(3, num_domains=2).state_dict()
    assert sorted(state) == sorted(f"bns.{i}.{key}" for i in range(2) for key in KEYS)
    untracked = cybn.DomainSpecificBatchNorm1d(3, track_running_stats=False, bias=False)
    assert list(untracked.state_dict()) == ["bns.0.weight", "bns.1.weight"]


@pytest.mark.parametrize(
    ("domain", "error", "message"),
    [
        (2, ValueError, "has the domains 0 to 1, got domain=2"),
        (-1, ValueError, "has the domains 0 to 1, got domain=-1"),
        (1.0, TypeError, r"takes an int as domain, got 1.0 \(float\)"),
        (True, TypeError, r"takes an int as domain, got True \(bool\)"),
        (None, TypeError, "takes an int as domain, got None"),
    ],
)
def test_a_domain_that_there_is_not(domain, error, message):
    layer = randomized(cybn.DomainSpecificBatchNorm1d(3))
    x, dy = batch(4, 3)
    layer(x, domain=1)
    dx, before = layer.backward(dy), state_bits(layer)
    with pytest.raises(error, match=f"DomainSpecificBatchNorm1d {message}"):
        layer(x, domain=domain)
    assert state_bits(layer) == before
    assert bits(layer.backward(dy)) == bits(dx)


# Both


def both():
    yield randomized(cybn.SplitBatchNorm1d(3)), {}
    yield randomized(cybn.DomainSpecificBatchNorm1d(3)), {"domain": 1}


def test_options_that_are_set_later_hold_for_every_member():
    for layer, inputs in both():
        x, _ = batch(4, 3)
        layer.momentum = 0
        before = layer.state_dict()
        layer(x, **inputs)
        for name, a in layer.state_dict().items():
            assert bits(a) == bits(before[name]) or name.endswith("num_batches_tracked")


def test_reset_reaches_every_member():
    for layer, inputs in both():
        new = type(layer)(3)
        layer(batch(4, 3)[0], **inputs)
        layer.reset_running_stats()
        for name, a in layer.named_buffers():
            assert bits(a) == bits(dict(new.named_buffers())[name])
        assert state_bits(layer)[1] != state_bits(new)[1]
        layer.reset_parameters()
        assert state_bits(layer)[1] == state_bits(new)[1]


def test_copies_go_their_own_way():
    for layer, inputs in both():
        x, dy = batch(4, 3)
        layer(x, **inputs)
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            before = state_bits(layer)
            assert state_bits(twin) == before
            twin(x, **inputs)
            twin.backward(dy)
            twin.reset_parameters()
            assert state_bits(layer) == before
            with pytest.raises(RuntimeError, match="backward needs a forward first"):
                copy.copy(twin).backward(dy)


def test_weights_of_the_forward_are_those_of_the_backward():
    for layer, inputs in both():
        x, dy = batch(4, 3)
        layer(x, **inputs)
        dx = layer.backward(dy)
        for parameter in layer.parameters():
            parameter[:] = 9
        assert bits(layer.backward(dy)) == bits(dx)


def test_in_place():
    for layer, inputs in both():
        other = copy.deepcopy(layer)
        x, dy = batch(4, 3)
        y, dx = layer(x, **inputs), layer.backward(dy)
        assert other(x, out=x, **inputs) is x
        assert other.backward(dy, out=dy) is dy
        assert (bits(x), bits(dy)) == (bits(y), bits(dx))
