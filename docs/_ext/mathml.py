"""Formulas as MathML, which browsers draw by themselves: no script and no network.

A math renderer for Sphinx over the converter that docutils has. Rejected: MathJax and KaTeX, which
Sphinx has a browser fetch, and which are megabytes of script where they are copied into a site;
pictures of formulas, which need a TeX installation and do not follow a dark page; latex2mathml,
which does not know of aligned equations.
"""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)
MATH = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", MATH)
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;|quot;)\w+;")  # of HTML, which XML does not know

#: what is kept (a command, text in braces), or a word, as `weight` or `running\_mean`
_WORD = re.compile(
    r"(?P<kept>\\(?:text|mathrm|operatorname|begin|end)\{[^}]*\}|\\[A-Za-z]+)"
    r"|(?P<word>[A-Za-z]{3,}(?:\\_[A-Za-z]+)*)"
)


def words(text: str) -> str:
    r"""A name of several letters is one name, upright, and not a product of as many letters.

    >>> print(words(r"\frac{weight}{running\_var}"))
    \frac{\mathrm{weight}}{\mathrm{running}\_\mathrm{var}}
    """

    def upright(match: re.Match[str]) -> str:
        parts = (match["word"] or "").split(r"\_")
        return match["kept"] or r"\_".join(rf"\mathrm{{{part}}}" for part in parts)

    return _WORD.sub(upright, text)


def aligned(text: str) -> str:
    r"""The lines of a displayed formula, which blank lines or `\\` part, under one another."""
    lines = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
    inner = r" \\ ".join(lines)
    if (r"\\" in inner or "&" in inner) and r"\begin" not in inner:
        return rf"\begin{{aligned}} {inner} \end{{aligned}}"
    return inner


def mended(made: str) -> str:
    """The MathML of docutils, with two things set right.

    The index of a letter with an accent stands beside it and not below, and fractions and sums of
    aligned lines are as large as those of a line by itself.
    """
    tree = ElementTree.fromstring(_ENTITY.sub(lambda found: html.unescape(found[0]), made))
    for node in tree.iter(f"{{{MATH}}}munderover"):
        base, index, accent = node
        if accent.get("stretchy") == "false":
            marked = ElementTree.Element(f"{{{MATH}}}mover", accent="true")
            marked.extend([base, accent])
            node.tag = f"{{{MATH}}}msub"
            node[:] = [marked, index]
    for table in tree.iter(f"{{{MATH}}}mtable"):
        table.set("displaystyle", "true")
    return ElementTree.tostring(tree, encoding="unicode")


def mathml(text: str, block: bool, where: nodes.Node) -> str:
    """One formula; what is no LaTeX is a warning, and stands as it was written."""
    try:
        return mended(tex2mathml(words(text), as_block=block))
    except Exception as error:
        logger.warning("a formula is no LaTeX: %r (%s)", text, error, location=where)
        return f"<code>{nodes.Text(text)}</code>"


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), False, node))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    # A wide formula scrolls by itself, and the keyboard has to be able to reach it
    self.body.append('<div class="formula" tabindex="0">')
    self.body.append(mathml(aligned(node.astext()), True, node))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer(
        "mathml", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None)
    )
    app.connect(
        "config-inited", lambda app, config: setattr(config, "html_math_renderer", "mathml")
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
