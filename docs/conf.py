"""How Sphinx builds the site from the pages in this folder; `make -C docs html` runs it.

Pages are Markdown (MyST) that can be read as they stand. Those with a `jupytext` head are executed
while the site is built (MyST-NB), and an error in them ends the build. The reference is written
from docstrings and from the registry (`_ext/reference.py`). Nothing is fetched, neither here nor
by a reader's browser: formulas become MathML (`_ext/mathml.py`), fonts and scripts are the theme's
own.
"""

import os
import sys
import tempfile
from pathlib import Path

import cybn

DOCS = Path(__file__).parent
# What pages import lies here; they are executed in processes of their own.
ROOMS = [str(DOCS / "_ext"), str(DOCS.parent / "examples")]
sys.path[:0] = ROOMS
os.environ["PYTHONPATH"] = os.pathsep.join([*ROOMS, *filter(None, [os.environ.get("PYTHONPATH")])])
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the networks of the pages are small
# A kernel tells of its own transport what is no matter of a page, and shows figures as pictures.
os.environ["IPYTHONDIR"] = folder = tempfile.mkdtemp()
(Path(folder) / "profile_default").mkdir()
(Path(folder) / "profile_default" / "ipython_kernel_config.py").write_text(
    "c.Application.log_level = 40\nc.InteractiveShellApp.matplotlib = 'inline'\n"
)

project = "cybn"
author = copyright = "The cybn developers"
version = release = cybn.__version__
language = "en"
smartquotes = False  # 'float32' is code in many a sentence

extensions = [
    "sphinx.ext.autodoc",
    "numpydoc",
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "mathml",
    "outside",
    "reference",
]
exclude_patterns = ["build", "_ext", "**.ipynb_checkpoints"]

# Markdown
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_cache_path = str(DOCS / "build" / "cells")
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # seconds of a cell: some run commands
nb_merge_streams = True

# Docstrings
default_role = "code"  # `x` in single ones
autodoc_typehints = "none"  # numpydoc's sections have them
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Code as it is pasted: without prompts and output
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
highlight_language = "none"

html_theme = "pydata_sphinx_theme"
html_title = "cybn"
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_sidebars = {"tutorial/lecture": [], "training": []}  # which no other pages are beside
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "cybn"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
