from collections.abc import Sequence
from typing import Any

import numpy as np

def move_running(steps: list[Sequence[Any]]) -> None: ...
def move_anew(running: np.ndarray, before: np.ndarray, by: np.ndarray) -> None: ...
