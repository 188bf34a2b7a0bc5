"""Whole PyTorch models before and after `cybn.torch.convert`: `python -m benchmarks.models`.

zoo.py builds the models, with random weights; steps.py times whole training steps and inference of
a model and of its converted copy in turns; agree.py holds losses and gradients of both against
float64, and the memory that each takes; report.py has the goals and the tables.
"""
