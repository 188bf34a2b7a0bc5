"""``python -m cybn`` is the command ``cybn``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
