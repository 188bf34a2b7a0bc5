"""Pages for what lies outside of docs/: README.md, CONTRIBUTING.md and the like, and links to them.

`../CONTRIBUTING.md` is right for whoever reads a page as it stands. In the site it is the page
`project/contributing`, which has that file. A link to what is not there stays, is a warning and so
ends the build. A link that is named by its file is named by the title of the page in the site, and
the empty line that ends a doctest is left out.
"""

from __future__ import annotations

import re
from pathlib import Path

#: what lies beside docs/, and the page that has it
PAGES = {
    "README.md": "project/readme",
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "LICENSE": "project/license",
    "examples/README.md": "project/examples",
}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")
_SAMPLE = re.compile(r"^(```pycon\n.*?)\n+^```$", re.DOTALL | re.MULTILINE)
ROOT = Path(__file__).parents[2]


def rewritten(text: str, folder: Path) -> str:
    """The text with links that lead out of `folder`, or out of docs/, as the site has them.

    What is there but has no page, as an example's folder, is named without a link.
    """

    def link(match: re.Match[str]) -> str:
        image, words, place, anchor = match.groups(default="")
        target = (folder / place).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            return match[0]
        path = target.relative_to(ROOT).as_posix()
        words = "" if words.endswith(f"{target.stem}.md") else words  # MyST puts the title in
        if path in PAGES:
            return f"[{words}](/{PAGES[path]}.md{anchor})"
        if path.startswith("docs/"):
            return f"{image}[{words}](/{path.removeprefix('docs/')}{anchor})"
        return match[2]

    return _SAMPLE.sub(r"\1\n```", _LINK.sub(link, text))


def listed(text: str, folder: Path) -> str:
    """The text without the patterns of a table of contents for which there is no page (yet)."""

    def found(match: re.Match[str]) -> str:
        return match[0] if any(folder.glob(f"{match[1]}.*")) else ""

    return re.sub(r"^([\w/]+\*)\n", found, text, flags=re.MULTILINE)


def read(app, docname, source):
    if docname.startswith("project/"):
        for file, page in PAGES.items():
            if page == docname:
                text = (ROOT / file).read_text(encoding="utf-8")
                text = text if file.endswith(".md") else f"# License\n\n```text\n{text}```\n"
                source[0] = rewritten(text, (ROOT / file).parent)
    elif Path(app.env.doc2path(docname)).suffix == ".md":
        folder = Path(app.env.doc2path(docname)).parent
        source[0] = listed(rewritten(source[0], folder), folder)


def note(app, env, added, changed, removed):
    # An outer file that has changed is read again
    return [page for file, page in PAGES.items() if page in env.found_docs]


def setup(app):
    app.connect("source-read", read)
    app.connect("env-get-outdated", note)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
