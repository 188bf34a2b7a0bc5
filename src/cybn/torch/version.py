"""Is there a PyTorch that cybn.torch can use? Asked when it is imported, and said in one error."""

from __future__ import annotations

import re

OLDEST = (2, 11)
FIX = 'pip install --upgrade "cybn[torch]"'


def check() -> None:
    """ImportError without PyTorch, or with one that is too old."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"cybn.torch needs PyTorch, which is not installed; {FIX}") from error
    found = re.match(r"(\d+)\.(\d+)", torch.__version__)
    if found is None or tuple(map(int, found.groups())) < OLDEST:
        raise ImportError(
            f"cybn.torch needs PyTorch {'.'.join(map(str, OLDEST))} or newer, got "
            f"{torch.__version__}; {FIX}"
        )


check()
