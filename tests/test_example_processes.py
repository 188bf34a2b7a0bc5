"""examples/mpi_digits.py and ddp_digits.py: the same losses in any number of processes."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import mpi, torchrun

for package in ("sklearn", "matplotlib", "tqdm"):
    pytest.importorskip(package, reason=f'the example needs {package}: pip install ".[examples]"')

EXAMPLES = Path(__file__).parents[1] / "examples"


def losses(output):
    found = [float(each) for each in re.findall(r"epoch \d+: loss ([\d.]+)", output)]
    assert len(found) == 2, output
    return found


@pytest.fixture(scope="module")
def in_one():
    command = [sys.executable, EXAMPLES / "mpi_digits.py", "--epochs", "2"]
    return losses(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_mpi_has_the_losses_of_one_process(size, in_one):
    ran = mpi(size, EXAMPLES / "mpi_digits.py", "--epochs", "2")
    assert ran.status == 0, ran.output
    said = f"{size} process{'es' if size > 1 else ''}, test accuracy 0.9"
    assert said in ran.output
    np.testing.assert_allclose(losses(ran.output), in_one, rtol=2e-6)


def test_without_synchronizing_they_are_others(in_one):
    ran = mpi(2, EXAMPLES / "mpi_digits.py", "--epochs", "2", "--norm", "BatchNorm1d")
    assert abs(np.subtract(losses(ran.output), in_one)).max() > 1e-3


def test_ddp_has_the_losses_of_one_process():
    program = EXAMPLES / "ddp_digits.py"
    alone, two = (losses(torchrun(n, program, "--epochs", "2").output) for n in (1, 2))
    np.testing.assert_allclose(two, alone, rtol=1e-4)
