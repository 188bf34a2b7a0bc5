"""A Ctrl-C while a kernel runs is raised before the running statistics move, never after."""

import ctypes
import os
import signal
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from runs import HUGE, bits

from cybn.functional.gates import OPEN
from cybn.kernels import move_running, of

FLOAT32 = np.dtype(np.float32)

C = 4


class StoppedError(Exception):
    pass


@contextmanager
def handler(number):
    """Signals of that number raise StoppedError while this lasts."""

    def interrupt(_number, _frame):
        raise StoppedError

    before = signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)


class CtrlC:
    """An argument that is a Ctrl-C at the very time when a compiled function makes a C value of it.

    No line of Python runs in between, so that nobody but that function can be the one to raise. It
    may be any value.
    """

    __bool__ = ctypes.PYFUNCTYPE(ctypes.c_bool)(("PyErr_SetInterrupt", ctypes.pythonapi))
    __float__ = ctypes.PYFUNCTYPE(ctypes.c_double)(("PyErr_SetInterrupt", ctypes.pythonapi))


def running():
    return np.full(C, 5, np.float32), np.full(C, 7, np.float32), np.array([3])


def untouched(*arrays):
    return [bits(a) for a in arrays] == [bits(a) for a in running()]


def test_while_a_kernel_runs():
    mean, var, count = running()
    x = np.ones((1500, C, 15, 15), np.float32).reshape(1500, C, 225)
    stats = np.empty((3, C))
    with handler(signal.SIGINT):
        with pytest.raises(StoppedError):
            of[FLOAT32].batch_forward(
                np.empty_like(x), stats, mean, var, count, x, None, None, None, 1e-5, 0.1, *OPEN,
                True, 1, HUGE, CtrlC(),
            )  # fmt: skip
        assert untouched(mean, var, count)
        assert (stats[0] == 1).all()  # the kernel had done its work


def test_when_only_the_statistics_are_to_move():
    mean, var, count = running()
    step = mean, var, count, np.ones((3, C)), 8
    with handler(signal.SIGINT), pytest.raises(StoppedError):
        move_running([(*step, 0.1), (*step, CtrlC())])
    assert untouched(mean, var, count)


def test_a_signal_from_outside():
    """Sent by another thread while outputs are being written, and handled before the end."""
    x = np.random.default_rng(0).normal(size=(1 << 12, C, 1 << 10)).astype(np.float32)
    y, stats = np.empty_like(x), np.empty((3, C))
    sent = []

    def send():
        while y[0, 0, 0] == 0:
            pass
        os.kill(os.getpid(), signal.SIGUSR1)
        sent.append(y[-1, -1, -1] == 0)  # the kernel has not come to the end yet

    with handler(signal.SIGUSR1):
        for _ in range(20):
            y.fill(0)
            mean, var, count = running()
            sender = threading.Thread(target=send)
            sender.start()
            stopped = False
            try:
                of[FLOAT32].batch_forward(
                    y, stats, mean, var, count, x, None, None, None, 1e-5, 0.1, *OPEN,
                    True, 1, HUGE, False,
                )  # fmt: skip
                sender.join()
            except StoppedError:
                stopped = True
            sender.join()
            if sent.pop():
                break
        else:
            pytest.fail("no signal came in time, in twenty tries")
    assert stopped
    assert untouched(mean, var, count)
    assert y[-1, -1, -1] != 0
