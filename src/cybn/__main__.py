"""``python -m cybn`` is the command ``cybn``."""

import sys

from .cli import main

sys.exit(main())
