"""The page on PyTorch is collected where PyTorch is: its samples need that."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["pytorch.md"]
