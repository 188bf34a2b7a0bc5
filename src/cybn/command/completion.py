"""`cybn completion SHELL`: a script that completes commands, options and names of layers.

The script is made by shtab from the parser, so it knows what the parser knows. Names of layers are
asked of `cybn list --names` when Tab is pressed, since plugins come and go.
"""

from __future__ import annotations

import argparse

__all__ = ["FILES", "LAYERS", "SHELLS", "script"]

SHELLS = ("bash", "zsh", "fish", "tcsh")
_NAMES = "cybn list --names 2>/dev/null"
#: how a shell completes the name of a layer
LAYERS = {"bash": "_cybn_layers", "zsh": f"($({_NAMES}))"}
FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
_PREAMBLE = {"bash": f'_cybn_layers() {{\n  compgen -W "$({_NAMES})" -- "$1"\n}}\n'}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell; ImportError where shtab is not installed."""
    try:
        import shtab
    except ImportError:
        raise ImportError('the script is made by shtab: pip install "cybn[completion]"') from None
    return shtab.complete(parser, shell=shell, preamble=_PREAMBLE)
