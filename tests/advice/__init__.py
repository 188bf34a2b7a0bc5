"""Situations in which an error advises something, and what it advises.

A situation is a function that yields first a call that fails, and then calls that do what the
message of the first one advises: they must work. Situations are given `given`, which has a folder
to write to, a fake site to install plugins in, and pytest's monkeypatch.

`test_advice.py` runs them all, and looks for advice in the source that no situation follows.
"""

from . import (
    dialects,
    functions,
    inputs,
    layers,
    processes,
    registration,
    saving,
    state,
    tools,
)

TOPICS = (
    inputs, functions, layers, state, saving, tools, registration, dialects, processes,
)  # fmt: skip
SITUATIONS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": situation
    for module in TOPICS
    for name, situation in vars(module).items()
    if callable(situation) and getattr(situation, "__module__", "") == module.__name__
    if not name.startswith("_")
}
