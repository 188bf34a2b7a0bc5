"""PyTorch's own inputs and checks of its norms, run against the modules of cybn.torch."""

import copy

import pytest
from torchnorms import assert_close, become_ours, ours, torch

try:
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db
except ImportError as error:
    pytest.skip(
        f"PyTorch's own tests cannot be imported: {error}; pip install expecttest",
        allow_module_level=True,
    )

MODULES = {info.name: info for info in module_db if info.module_cls in ours.OURS}
OPERATORS = {
    info.name.removeprefix("nn.functional."): info
    for info in op_db
    if info.name.startswith("nn.functional.") and info.name.endswith("_norm")
}
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
MODES = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
CLOSE = {torch.float32: 2e-4, torch.float64: 1e-10}


def test_there_are_as_many_as_there_are_norms():
    assert len(MODULES) == 10
    assert {"batch_norm", "layer_norm", "group_norm", "rms_norm"} <= set(OPERATORS)


def inputs_of(info, dtype, training):
    return info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=True, training=training
    )


def grads_of(y, tensors):
    wanted = [a for a in tensors if a.requires_grad]
    if not y.requires_grad or not y.numel():
        return []
    return torch.autograd.grad(y, wanted, torch.ones_like(y) * y.detach(), allow_unused=True)


@DTYPES
@MODES
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore")
def test_its_inputs_of_modules(name, dtype, training):
    info = MODULES[name]
    for given in inputs_of(info, dtype, training):
        make, call = given.constructor_input, given.forward_input
        theirs = info.module_cls(*make.args, **make.kwargs, dtype=dtype) if name != (
            "nn.LocalResponseNorm"
        ) else info.module_cls(*make.args, **make.kwargs)  # fmt: skip
        theirs.train(training)
        mine = become_ours(copy.deepcopy(theirs))
        assert type(mine) is ours.OURS[type(theirs)]
        y, y_mine = (module(*call.args, **call.kwargs) for module in (theirs, mine))
        assert_close(y_mine, y, CLOSE[dtype])
        found = [
            grads_of(out, [*call.args, *module.parameters()])
            for out, module in ((y, theirs), (y_mine, mine))
        ]
        for a, b in zip(*found, strict=True):
            assert_close(b, a, CLOSE[dtype] * 10)
        for a, b in zip(mine.buffers(), theirs.buffers(), strict=True):
            assert_close(a, b, CLOSE[dtype])


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore")
def test_its_errors_of_modules(name):
    info = MODULES[name]
    if info.module_error_inputs_func is None:
        pytest.skip(f"PyTorch has no error inputs of {name}")
    for given in info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=True
    ):
        make = given.module_error_input.constructor_input
        call = given.module_error_input.forward_input
        with pytest.raises(given.error_type, match=given.error_regex):
            become_ours(info.module_cls(*make.args, **make.kwargs))(*call.args, **call.kwargs)


def modules_of(name, sample):
    """Our module with the tensors of a sample of F.<name>; None where no module is called so."""
    x, args, kwargs = sample.input, list(sample.args), dict(sample.kwargs)

    def take(key, otherwise=None):
        return args.pop(0) if args else kwargs.get(key, otherwise)

    if name in ("batch_norm", "instance_norm"):
        mean, var, weight, bias = map(take, ("running_mean", "running_var", "weight", "bias"))
        if (mean is None) != (var is None) or x.dim() < 2:
            return None
        flag = "training" if name == "batch_norm" else "use_input_stats"
        training = take(flag, name == "instance_norm")
        momentum, eps = take("momentum", 0.1), take("eps", 1e-5)
        family = "BatchNorm" if name == "batch_norm" else "InstanceNorm"
        rank = {2: 1, 3: 1, 4: 2, 5: 3}[x.dim()]
        make = getattr(ours, f"{family}{rank}d")
        mine = make(x.shape[1], eps, momentum, weight is not None, mean is not None)
        if x.dim() == 2 and name == "instance_norm":
            return None
        mine.running_mean, mine.running_var = mean, var
        mine.train(training)
    elif name == "group_norm":
        groups, weight, bias = take("num_groups"), take("weight"), take("bias")
        mine = ours.GroupNorm(groups, x.shape[1], take("eps", 1e-5))
    else:
        shape, weight = take("normalized_shape"), take("weight")
        bias = take("bias") if name == "layer_norm" else None
        make = ours.LayerNorm if name == "layer_norm" else ours.RMSNorm
        mine = make(shape, take("eps", 1e-5 if name == "layer_norm" else None))
    for key, value in (("weight", weight), ("bias", bias)):
        if key in mine._parameters:
            del mine._parameters[key]
            setattr(mine, key, value)
    return mine


@DTYPES
@pytest.mark.parametrize("name", [n for n in OPERATORS if n != "local_response_norm"])
@pytest.mark.filterwarnings("ignore")
def test_its_samples_of_functions(name, dtype):
    info, compared = OPERATORS[name], 0
    for sample in info.sample_inputs("cpu", dtype, requires_grad=True):
        copied = copy.deepcopy(sample)
        mine = modules_of(name, copied)
        if mine is None:
            continue
        y = info.op(sample.input, *sample.args, **sample.kwargs)
        y_mine = mine(copied.input)
        assert_close(y_mine, y, CLOSE[dtype])
        found = grads_of(y, [sample.input]), grads_of(y_mine, [copied.input])
        for a, b in zip(*found, strict=True):
            assert_close(b, a, CLOSE[dtype] * 10)
        compared += 1
    assert compared
