"""examples/torch_convert.py from its command line."""

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

EXAMPLE = Path(__file__).parents[1] / "examples" / "torch_convert.py"


@pytest.fixture(scope="module")
def main():
    spec = importlib.util.spec_from_file_location("torch_convert", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.mark.parametrize("more", [[], ["--no-fuse"]])
def test_quick(main, more, capsys):
    main(["--quick", *more])
    printed = capsys.readouterr().out
    assert re.search(r"^15 norms: 15 swapped", printed, re.M)
    assert ("fused" in printed.splitlines()[0]) is not bool(more)
    losses = re.findall(r"^ +\d  +([\d.]+)  ([\d.]+)$", printed, re.M)
    assert len(losses) == 3
    for before, after in losses:
        assert float(after) == pytest.approx(float(before), abs=2e-4)
    assert re.search(r"ratio \d+\.\d\d, on \d+ threads$", printed.strip())


def test_a_model_of_transformers(main, capsys):
    pytest.importorskip("transformers", reason="transformers is not installed")
    main(["--quick", "--model", "hf:llama", "--steps", "1"])
    assert "LlamaRMSNorm: as rms_norm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--steps", "0"], "1 or more"), (["--model", "hf:none"], "hf:resnet")],
)
def test_what_is_wrong_is_said_in_a_line(main, arguments, said, capsys):
    with pytest.raises(SystemExit) as error:
        main(["--quick", *arguments] if arguments[0] != "--steps" else arguments)
    assert said in str(error.value) + capsys.readouterr().err
