"""Where Cython finds ``cybn/primitives.pxd``, for the build of a plugin."""

from __future__ import annotations

import os

__all__ = ["get_include"]


def get_include() -> str:
    """Find the folder that has to be on Cython's include path for `cimport cybn.primitives`.

    Cython looks into `sys.path` by itself, so that a build in whose environment cybn is installed
    needs nothing. An editable install may reach `sys.path` by an import hook, which Cython does not
    ask; then this folder is `include_path=[cybn.get_include()]` for cythonize.

    Returns
    -------
    str
        The path of the folder.

    Examples
    --------
    >>> import cybn
    >>> from pathlib import Path
    >>> Path(cybn.get_include(), "cybn", "primitives.pxd").is_file()
    True
    """
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
