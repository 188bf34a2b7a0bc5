"""python -m benchmarks.models: cells, rounds in turns, goals, the commands. No time is tested."""

import json
import re

import pytest

torch = pytest.importorskip("torch", reason='PyTorch is not installed: pip install "cybn[torch]"')

from benchmarks.models import __main__ as command  # noqa: E402
from benchmarks.models import agree, exact, report, steps, zoo  # noqa: E402

TINY = zoo.Size(side=16, words=4)


def row(model, ratio, mode="training", layout="first", batch=1):
    return {"model": model, "mode": mode, "batch": batch, "format": layout, "threads": 1,
            "pairs": [[3.0 * ratio, 3.0], [ratio, 1.0], [2.0 * ratio, 2.0]]}  # fmt: skip


def run_of(*rows, **more):
    return {
        "format": command.FORMAT, "machine": {"processor": "one", "cpus": 2, "python": "3"},
        "versions": {"torch": "2"}, "options": {"side": 8}, "left_out": {}, "problems": [],
        "rows": list(rows), "agreement": {}, "memory": {}, **more,
    }  # fmt: skip


def test_the_cells_of_a_process_differ_in_batch_and_mode_alone():
    groups = steps.cells(["resnet50", "bert"], steps.MODES, [1, 8], steps.FORMATS, [1, 2])
    assert [len(group) for group in groups] == [4] * 6
    for group in groups:
        assert len({(cell.model, cell.format, cell.threads) for cell in group}) == 1
    assert {cell.format for group in groups for cell in group if cell.model == "bert"} == {""}
    assert str(groups[0][0]) == "resnet50, training, batch 1, channels first, 1 thread"


def test_rounds_are_in_turns():
    calls = []
    pairs = steps.in_turns(lambda: calls.append("a"), lambda: calls.append("b"), 4, 60.0)
    assert "".join(calls) == "ab" + "baab" * 2
    assert len(pairs) == 4
    assert len(steps.in_turns(list, list, 9, 0.0)) == steps.FEWEST
    assert len(steps.in_turns(list, list, 1, 9.0)) == 1


def test_a_ratio_is_the_median_over_rounds():
    assert steps.ratio({"pairs": [[2, 1], [3, 2], [9, 1]]}) == 2
    assert steps.spread({"pairs": [[2, 1], [2, 1], [2, 1]]}) == 0


def test_the_converted_copy_steps_as_the_model():
    if why := zoo.missing("llama"):
        pytest.skip(why)
    (((theirs, ours),),) = agree.gradients_apart("llama", TINY, range(1)).values()
    assert 0 < ours < 2 * theirs < 1e-4
    apart = agree.losses_apart("llama", TINY, steps=2)
    assert apart.pop("losses") < 1e-8
    assert set(apart.values()) == {None}


def test_batch_norms_in_long_double_are_those_of_the_model():
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()
    model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.BatchNorm1d(64)).double()
    long = exact.with_long_norms(model)
    if long is None:
        pytest.skip("long double is no longer than float64 here")
    x = torch.randn(5, 3, 6, 6, dtype=torch.float64)
    for given in (x, x.contiguous(memory_format=torch.channels_last)):
        results = []
        for each in (model, long):
            each.zero_grad()
            y = each(given)
            y.square().mul(torch.arange(64)).sum().backward()
            results.append([y, *(p.grad for p in each.parameters())])
        for a, b in zip(*results, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-11)
    assert exact.with_long_norms(torch.nn.Sequential(torch.nn.LayerNorm(3))) is None


def test_a_gradient_misses_its_goal_where_chance_does_not_make_it():
    def verdict(pairs):
        nothing = dict.fromkeys(("itself", "long", "theirs_long"))
        found = run_of(agreement={"bert": {"losses": 0.0, **nothing, "gradients": {"": pairs}}})
        return next(v for v in report.verdicts(found) if "gradient" in v.what)

    assert verdict([[1.0, 1.1]] * 11).misses == ("bert 1.100, nearer in 0 of 11",)
    assert verdict([[1.0, 1.1]] * 6 + [[9.0, 1.0]] * 5).met
    assert verdict([[1.1, 1.0]] * 11).got == "0.909"
    assert report.at_most(2, 11) == pytest.approx(67 / 2048)


def test_losses_that_differ_by_the_rounding_of_pytorch_are_no_miss():
    agreement = {"losses": 2e-8, "itself": 1e-9, "long": 3e-10, "theirs_long": 1.9e-8,
                 "gradients": {"": [[1.0, 1.0]]}}  # fmt: skip
    found = run_of(agreement={"resnet50": agreement})
    (losses,) = (v for v in report.verdicts(found) if "losses" in v.what)
    assert (losses.met, losses.got) == (True, "3.0e-10")
    agreement["long"] = 2e-8
    (losses,) = (v for v in report.verdicts(found) if "losses" in v.what)
    assert losses.misses == ("resnet50 2.0e-08",)


def test_goals_and_what_misses_them():
    nothing = dict.fromkeys(("itself", "long", "theirs_long"))
    run = run_of(
        row("resnet50", 1.2), row("resnet50", 1.1, layout="last"), row("llama", 1.01),
        row("bert", 0.9, "inference"),
        agreement={"bert": {"losses": 1e-7, **nothing, "gradients": {"": [[3.0, 2.5]] * 3}}},
        memory={"bert": {"theirs": 100, "ours": 120}, "llama": {"theirs": 100}},
        problems=["bert broke"],
    )  # fmt: skip
    found = {each.what: each for each in report.verdicts(run)}
    assert [each.met for each in found.values()] == [True, None, False, False, True, False, False]
    below = "bert, inference, batch 1, channels first, 1 thread 0.900"
    assert found["every ratio"].misses == (below,)
    for text in (report.whole(run), report.whole(run, markdown=True)):
        assert re.search(r"resnet50, training, mean[ |]+>= 1.10[ |]+1.15[ |]+met", text)
        assert "misses of peak memory of training, of PyTorch's: bert 1.200" in text
        assert "PROBLEM: bert broke" in text
    assert "| model | channels | threads | batch 1 | ms of a step |" in text


def test_the_command(tmp_path, monkeypatch, capsys):
    if why := zoo.missing("llama"):
        pytest.skip(why)
    monkeypatch.setattr(command, "apart", lambda function, *given, threads: function(*given))
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(zoo, "missing", lambda name: "not here" if "timm" in name else "")
    kept = tmp_path / "a.json"
    some = [
        "--models",
        "llama",
        "timm:resnet18",
        "--words",
        "4",
        "--threads",
        "1",
        "--batches",
        "2",
    ]
    assert command.main(["--quick", *some, "--no-agreement", "--json", str(kept)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^llama +- +1 +[\d.]+ / [\d.]+ \+-\d+ +[\d.]+$", shown, re.MULTILINE)
    assert "left out: timm:resnet18: not here" in shown
    assert command.main(["--show", str(kept)]) == 0
    assert capsys.readouterr().out == shown
    both = command.together(map(command.load, (kept, kept)))
    assert len(both["rows"]) == 2 * len(json.loads(kept.read_text())["rows"]) == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--models", "vgg"], "'vgg' is no model; resnet50, "),
        (["--batches", "0"], "'0' is no integer from 1 to 1024"),
        (["--json", "{tmp}/none/a.json"], "none/a.json: no file can be written there"),
        (["--show", "{tmp}/a.json"], "a.json"),
    ],
)
def test_bad_option_is_one_line(tmp_path, capsys, arguments, told):
    try:
        status = command.main([argument.format(tmp=tmp_path) for argument in arguments])
    except SystemExit as exit_:
        status = exit_.code
    shown = capsys.readouterr()
    assert (status, shown.out) == (2, "")
    assert re.fullmatch(r"python -m benchmarks.models: error: .+\n", shown.err)
    assert told in shown.err
