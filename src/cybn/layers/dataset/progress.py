"""A progress bar on a terminal; nothing elsewhere, and nothing without tqdm.

Writing a bar here was rejected: tqdm knows terminals. It is an optional extra, `cybn[progress]`,
and is imported only when a bar is to be shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["with_progress"]

T = TypeVar("T")


def with_progress(
    items: Iterable[T], what: str, total: int | None = None, show: bool | None = None
) -> Iterable[T]:
    """The items, with a bar on stderr while they are walked that is gone when they end.

    show: None shows a bar where stderr is a terminal and tqdm is installed, after a second, so that
    short work stays quiet; True shows one anyway, and raises ImportError without tqdm; False none.
    """
    if show is None and not (sys.stderr is not None and sys.stderr.isatty()):
        show = False
    if show is False:
        return items
    try:
        from tqdm import tqdm
    except ImportError as error:
        if show is None:
            return items
        raise ImportError(
            'a progress bar needs tqdm: pip install "cybn[progress]", or pass progress=None'
        ) from error
    return tqdm(items, what, total, leave=False, delay=0 if show else 1)
