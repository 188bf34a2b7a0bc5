"""cybn.torch.SyncBatchNorm in processes of torch.distributed, inside DDP too, and with faults."""

import pytest
from processes import PROGRAMS, torchrun

PROGRAM = PROGRAMS / "torch_ranks.py"


def values(ran, word):
    return [float(value) for told in ran.told(word).values() for value in told]


@pytest.fixture(scope="module", params=[2, 3])
def ran(request):
    """All that goes well, in one run: starting PyTorch is what takes long."""
    ran = torchrun(request.param, PROGRAM, "split,split:relu,split:silu,double,parallel,converted")
    assert ran.status == 0, ran.output
    return ran


def test_a_split_batch_is_the_whole(ran):
    for word, most in (("y", 3e-6), ("dx", 3e-6), ("dweight", 3e-5), ("running", 3e-6)):
        assert values(ran, word), word
        assert max(values(ran, word)) <= most, word


def test_the_same_bits_on_every_rank(ran):
    assert len(set(map(tuple, ran.told("var").values()))) == 1


def test_evaluation_on_one_rank_alone(ran):
    assert list(ran.told("eval")) == [0]
    assert max(values(ran, "eval")) <= 3e-6


def test_inside_ddp_it_trains_as_the_whole_batch_does(ran):
    assert all(told == ["SyncBatchNorm True"] for told in ran.told("layer").values())
    assert max(values(ran, "weights")) <= 3e-6


def test_a_converted_model_inside_ddp_trains_as_it_did(ran):
    assert all(told == ["True 4 1"] * 2 for told in ran.told("swapped").values())
    assert len(values(ran, "state")) > 30
    assert max(values(ran, "state")) <= 1e-5
    assert len(set(map(tuple, ran.told("bits").values()))) == 1


def test_process_groups_of_some_ranks():
    ran = torchrun(4, PROGRAM, "groups")
    assert ran.status == 0, ran.output
    assert len(values(ran, "y")) == 8
    assert max(values(ran, "y")) <= 3e-6


@pytest.mark.parametrize("what", ["order", "shape", "silent"])
def test_a_rank_that_is_elsewhere(what):
    ran = torchrun(3, PROGRAM, f"fault:{what}")
    errors = ran.told("error")
    assert sorted(errors) == ([0, 1] if what == "silent" else [0, 1, 2]), ran.output
    for rank, (error,) in errors.items():
        if what == "shape" and rank == 2:
            assert error.startswith("ValueError  SyncBatchNorm expects floats of 4 channels")
            continue
        assert error.startswith("SyncError (2,) ")
        said = {
            "order": "rank 2 is in the forward of layer 2, SyncBatchNorm(3000) of torch.float32; "
            "ranks 0 and 1 are in the forward of layer 1, SyncBatchNorm(4)",
            "shape": "rank 2 failed in the forward of layer 1, SyncBatchNorm(4)",
            "silent": "got no answer in the forward of layer 1, SyncBatchNorm(4)",
        }[what]
        assert said in error
    assert all(told == ["unchanged"] for told in ran.told("state").values())


def test_a_rank_that_is_killed():
    ran = torchrun(3, PROGRAM, "fault:killed")
    assert ran.status != 0
    assert "Signal 9 (SIGKILL)" in ran.output
    assert "got no answer in the forward of layer 1, SyncBatchNorm(4)" in ran.output
