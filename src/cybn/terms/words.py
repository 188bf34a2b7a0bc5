"""What the names that norms share mean, in a docstring's form: for docstrings that do not say it.

A class explains what is its own. That `dtype` is the dtype of its arrays, and which errors a layer
raises, would be the same lines in every class, which drift apart; they stand here once. Names that
mean one thing here and another there, as `eps`, are not among them: of them a class has to speak.
"""

__all__ = ["NOTE", "WORDS"]

WORDS = """
Parameters
----------
num_features
    C, the number of channels.
affine
    Learn weight and bias; else both are None.
bias
    False leaves out the bias alone.
dtype
    Of parameters and buffers. Inputs may be float16, bfloat16, float32 or float64 with either.
channel_axis
    The axis of the channels: 1, or -1 for channels last.
trainable
    Whether parameters learn. False holds all of them fixed, "weight" or "bias" all but that one:
    they are buffers then, without gradients. Statistics move in any case.

Attributes
----------
grads : dict
    The gradients of the parameters by name, after `backward`.

Raises
------
TypeError
    For an option of another type, and for an x of another dtype than float16, bfloat16, float32
    and float64.
ValueError
    For an option out of range; for an x of another rank or number of channels; for an `out` that
    cannot be written to. The layer is unchanged then.
"""

NOTE = """\
y has the shape, dtype and memory order of x, and is written to `out` where it is given. x is kept
for `backward`, not copied (unless in place): leave it unchanged until then.
"""
