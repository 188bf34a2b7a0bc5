"""examples/digits.py from its command line: output, pictures, and one line for what is wrong."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tomllib
from pathlib import Path

import pytest

for package in ("sklearn", "matplotlib", "tqdm"):
    pytest.importorskip(package, reason=f'the example needs {package}: pip install ".[examples]"')

EXAMPLES = Path(__file__).parents[1] / "examples"
CONFIG = EXAMPLES / "digits.toml"
PICTURES = ("loss-curves.png", "percentiles.png", "learning-rates.png")
CLAIMS = (
    "Converges faster",
    "Better result",
    "Robust to initialization",
    "Stable",
    "Larger learning rate",
)
SMALL = """
[norm]
type = "BatchNorm1d"

[network]
widths = [8]

[training]
epochs = 2
learning_rates = [1.0]
batch_sizes = [64]
init_scales = [1.0]
seeds = [3]

[reference]
learning_rate = 1.0
batch_size = 64
init_scale = 1.0
"""


@pytest.fixture(scope="module")
def digits():
    """The example as a module."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        import digits
    finally:
        sys.path.remove(str(EXAMPLES))
    return digits


@pytest.fixture(scope="module")
def quick(digits, tmp_path_factory):
    """Folder and standard output of `digits.py --quick`."""
    folder = tmp_path_factory.mktemp("quick") / "new" / "pictures"
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert digits.main(["--quick", "--out", str(folder)]) == 0
    return folder, output.getvalue()


def small(tmp_path, *changes):
    """A config file with SMALL's text, after each (old, new) of the changes."""
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "small.toml"
    path.write_text(text)
    return path


def rows(text, name):
    """The table rows "without" or "with", as lists of words."""
    return [line.split() for line in text.splitlines() if re.match(rf" +[\d.e+-]+  {name} ", line)]


def test_table_has_every_setting_with_and_without(quick):
    _, text = quick
    table = tomllib.loads(CONFIG.read_text())["quick"]
    settings = len(table["learning_rates"]) * len(table["batch_sizes"]) + len(table["init_scales"])
    assert len(rows(text, "without")) == len(rows(text, "with")) == settings
    assert f"epoch {table['epochs']}" in text


def test_network_with_norm_learns_the_digits(quick):
    _, text = quick
    best = max(float(row[-3]) for row in rows(text, "with"))  # ..., accuracy, diverged, stuck
    assert best > 90


def test_five_claims_with_verdict_and_figures(quick):
    _, text = quick
    for number, claim in enumerate(CLAIMS, 1):
        verdict = re.search(
            rf"^{number}\. {claim}: (holds|holds in part|does not hold) \(", text, re.MULTILINE
        )
        assert verdict, claim
        assert re.search(r"  (better|equal|worse)$", text[verdict.end() :], re.MULTILINE)


def test_three_pictures(quick):
    folder, text = quick
    assert sorted(path.name for path in folder.iterdir()) == sorted(PICTURES)
    for name in PICTURES:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert (folder / name).stat().st_size > 5_000
        assert str(folder / name) in text


def test_pictures_can_be_read(digits, tmp_path):
    """Log axes, one size of letters, settings below, and a legend where a cell would be empty."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    from digits_pictures import LETTERS, STYLE, learning_rates, loss_curves, percentiles
    from digits_runs import Runs

    rates = "[0.1, 0.3, 1.0, 3.0, 10.0]"
    config = digits.read_config(
        small(tmp_path, ("learning_rates = [1.0]", f"learning_rates = {rates}"))
    )
    data = digits.load_data()
    runs = Runs(config, {each: digits.train(each, config, data) for each in config.settings()})
    with rc_context(STYLE):
        figures = [picture(runs) for picture in (loss_curves, learning_rates, percentiles)]
    for figure in figures:
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        assert {text.get_fontsize() for text in texts} == {LETTERS}
        assert any("seed 3" in text.get_text() for text in texts)
    for figure in figures[:2]:
        shown = [panel for panel in figure.axes if panel.axison]
        assert all(panel.get_yscale() == "log" for panel in shown)
        spare = [panel for panel in figure.axes if not panel.axison]
        assert figure.legends or spare[0].get_legend()


def test_same_seeds_same_figures(digits, tmp_path, capsys):
    arguments = ["--config", str(small(tmp_path)), "--out", str(tmp_path)]
    texts = []
    for extra in ([], [], ["--seeds", "4"]):
        assert digits.main(arguments + extra) == 0
        texts.append(capsys.readouterr().out.partition(" runs in ")[0].partition("\n")[2])
    assert texts[0] == texts[1] != texts[2]


def test_quiet_without_a_terminal(digits, tmp_path, capsys):
    assert digits.main(["--config", str(small(tmp_path)), "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_options_take_the_place_of_the_config(digits, tmp_path, capsys):
    config = small(tmp_path)
    assert (
        digits.main(
            ["--config", str(config), "--out", str(tmp_path), "--seeds", "5", "6", "--epochs", "1"]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert "seeds 5, 6." in text
    assert "epoch 1" in text
    assert "epoch 2" not in text
    assert "4 runs in" in text


def test_divergence_is_reported_quietly(digits, tmp_path, capsys):
    config = small(
        tmp_path, ("[1.0]\nbatch", "[1e38]\nbatch"), ("learning_rate = 1.0", "learning_rate = 1e38")
    )
    assert digits.main(["--config", str(config), "--out", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [row[-2:] for row in rows(captured.out, "without")] == [["1", "0"]] * 2
    for name in PICTURES:
        assert (tmp_path / name).stat().st_size > 5_000


@pytest.mark.parametrize("norm", ["bn1d", "batch_norm_1d"])
def test_norm_is_named_as_in_any_config(digits, tmp_path, norm):
    config = digits.read_config(small(tmp_path, ("BatchNorm1d", norm)))
    network = digits.Network([64, 8, 10], config.norm, 1.0, seed=0)
    assert [type(layer).__name__ for layer in network.norms] == ["BatchNorm1d"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('type = "BatchNorm1d"', 'type = "BatchNrm1d"', "BatchNorm1d"),
        ('type = "BatchNorm1d"', 'type = "torch.nn.BatchNorm1d"', "torch.nn.BatchNorm1d"),
        ('type = "BatchNorm1d"', 'type = "BatchNorm1d"\nepsilon = 1e-5', "eps"),
        ('type = "BatchNorm1d"', 'type = "BatchNorm1d"\neps = -1.0', "eps"),
        ('type = "BatchNorm1d"', "", "type"),
        ("[norm]", "[nrom]", "unknown section [nrom]"),
        ("[norm]", "norm = 3\n[network]\n[x]", "small.toml"),
        ("widths = [8]", "widths = []", "widths must be a list"),
        ("widths = [8]", "widths = [8]\ndepth = 2", "[network] has no 'depth'"),
        ("epochs = 2", "", "[training] lacks 'epochs'"),
        ("epochs = 2", "epochs = 0", "epochs must be an integer from 1"),
        ("epochs = 2", "epochs = true", "epochs must be an integer from 1"),
        ("epochs = 2", "epochs = [", "small.toml"),
        ("seeds = [3]", "seeds = 3", "seeds must be a list"),
        ("batch_sizes = [64]", "batch_sizes = [1]", "batch_sizes must be a list"),
        ("learning_rate = 1.0", "learning_rate = 2.0", "[reference] learning_rate 2.0 is not in"),
        ("learning_rate = 1.0", "learning_rate = nan", "learning_rate must be a number > 0"),
    ],
)
def test_bad_config_is_one_line(digits, tmp_path, capsys, old, new, told):
    out = tmp_path / "out"
    assert digits.main(["--config", str(small(tmp_path, (old, new))), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(r"digits\.py: error: .*small\.toml: .+\n", captured.err)
    assert told in captured.err
    assert captured.out == ""
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--config", "{tmp}/none.toml"], "none.toml: No such file"),
        (["--config", "{tmp}"], "{tmp}: "),
        (["--quick"], "--quick needs a section [quick]"),
        (["--epochs", "0"], "--epochs must be an integer from 1"),
        (["--seeds", "-1"], "--seeds must be a list, each an integer from 0"),
        (["--out", "{tmp}/small.toml"], "small.toml"),
    ],
)
def test_bad_option_is_one_line(digits, tmp_path, capsys, arguments, told):
    defaults = ["--config", str(small(tmp_path)), "--out", str(tmp_path / "out")]
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    assert digits.main(defaults + given) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(r"digits\.py: error: .+\n", captured.err)
    assert told.format(tmp=tmp_path) in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [["--epochs", "many"], ["--seeds"], ["--frobnicate"]])
def test_bad_usage_is_one_line(digits, capsys, arguments):
    with pytest.raises(SystemExit) as exit_:
        digits.main(arguments)
    assert exit_.value.code == 2
    assert re.fullmatch(r"digits\.py: error: .+\n", capsys.readouterr().err)


def test_images_are_scaled_by_the_training_set(digits):
    data = digits.load_data()
    assert abs(data.x.mean(dtype="f8")) < 1e-6
    assert abs(data.x.std(dtype="f8") - 1) < 1e-6
    assert abs(data.test_x.mean(dtype="f8")) > 1e-4  # its own statistics are not used
    assert (len(data.x), len(data.test_x)) == (1297, 500)


def test_gradients_of_the_network(digits):
    np = pytest.importorskip("numpy")
    data = digits.load_data()
    x, labels = data.x[:32].astype("f8"), data.labels[:32]
    norm = {"type": "BatchNorm1d", "dtype": "float64"}
    network = digits.Network([64, 6, 5, 10], norm, 1.0, seed=0)
    for layer in network.layers:
        for name in ("weight", "bias") if isinstance(layer, digits.Linear) else ():
            setattr(layer, name, getattr(layer, name).astype("f8"))
    network.train_step(x, labels, learning_rate=0.0)
    for layer in network.layers:
        for name, grad in layer.grads.items():
            values = getattr(layer, name)
            index = np.unravel_index(np.abs(grad).argmax(), grad.shape)
            losses = []
            for step in (1e-5, -2e-5):
                values[index] += step
                losses.append(digits.cross_entropy(network.forward(x), labels)[0])
            values[index] += 1e-5
            assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(grad[index], rel=1e-4, abs=1e-8)
