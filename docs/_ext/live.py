"""What commands print, for pages that need more than NumPy: run now, or recorded.

A page calls `output("python examples/...", "torch")`. Where all that is needed is there, the
command is run while the site is built. Where something is missing, or the command fails, the page
has what it printed once, and says so, as it does with CYBN_DOCS_RECORDED=1;
`python docs/_ext/live.py` records the commands of all pages anew. Rejected: leaving such pages out,
since a reader of the site does not care what was installed where it was built.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "docs" / "gallery" / "recorded"
_CALL = re.compile(r'live\.output\(\s*"([^"]+)"')
SECONDS = 100


def output(command: str, *needs: str) -> str:
    """What the command prints, below itself; `needs` are modules that it imports."""
    lacking, asked = missing(command, needs), os.environ.get("CYBN_DOCS_RECORDED") == "1"
    printed = None if lacking or asked else run(command)
    if printed is None:
        why = f"{' and '.join(lacking)} not installed" if lacking else "not run"
        printed = f"{place(command).read_text(encoding='utf-8')}(recorded: {why} here)\n"
    return f"$ {command}\n{printed}"


def missing(command: str, needs: tuple[str, ...]) -> list[str]:
    """Which program or modules are not there."""
    program = command.split()[0]
    lacking = [program] if program != "python" and not shutil.which(program) else []
    return lacking + [name for name in needs if importlib.util.find_spec(name) is None]


def run(command: str) -> str | None:
    """What it prints, in the root of the repository; None where it fails."""
    env = {
        **os.environ,
        "OMP_WAIT_POLICY": "passive",
    }  # threads that spin while they wait slow all others
    words = [sys.executable if word == "python" else word for word in shlex.split(command)]
    try:
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=True, env=env
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def place(command: str) -> Path:
    """The file with its recorded output."""
    return RECORDED / (re.sub(r"\W+", "-", command.replace("examples/", "")) + ".txt")


def commands() -> list[str]:
    """Those of all pages."""
    pages = sorted((ROOT / "docs").glob("*/*.md"))
    return [each for page in pages for each in _CALL.findall(page.read_text(encoding="utf-8"))]


def record() -> None:
    """Run all of them and keep what they print."""
    RECORDED.mkdir(exist_ok=True)
    for command in commands():
        printed = run(command)
        if printed is None:
            sys.exit(f"it fails, or takes more than {SECONDS} s: {command}")
        place(command).write_text(printed, encoding="utf-8")
        print(command, "->", place(command).relative_to(ROOT))


if __name__ == "__main__":
    record()
