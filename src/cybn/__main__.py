"""The command ``cybn``, which is ``python -m cybn`` as well."""

import sys


def main() -> int:
    """Run the command; a library that does not start is one line, too."""
    try:
        from .command.cli import main
    except ImportError as error:  # as where a variable of the environment makes no sense
        print(f"cybn: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return main()


if __name__ == "__main__":
    sys.exit(main())
