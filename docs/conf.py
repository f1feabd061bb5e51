"""Sphinx: the guides as they are, and a reference of all modules from their docstrings."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the checkout, whatever is installed

project = "eri"
author = "the authors of eri"
copyright = "Apache-2.0"
release = version_of("eri")

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
root_doc = "index"
exclude_patterns = ["_build"]
default_role = "py:obj"  # `features.store.read_store` in a docstring is a link

# One page per module, made anew by every build.
apidoc_modules = [
    {
        "path": str(ROOT / name),
        "destination": f"api/{name}",
        "separate_modules": True,
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
    for name in ("features", "models", "pipeline")
]
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say them, with shapes and units
napoleon_google_docstring = False
napoleon_use_ivar = True

myst_heading_anchors = 3  # links such as compare.md#pooling, as GitHub has them

html_theme = "furo"
html_title = "eri"
html_copy_source = False
html_show_sphinx = False
