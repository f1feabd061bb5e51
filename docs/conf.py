"""Sphinx: the guides as they are, and a reference of all modules from their docstrings."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

# Before autodoc looks at classes: it edits the annotations of pydantic's base class, after which
# models that allow further fields, as fastapi's do, cannot be made.
import fastapi  # noqa: F401
from numpydoc.numpydoc import mangle_signature
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the checkout, whatever is installed

project = "eri"
author = "the authors of eri"
copyright = "Apache-2.0"
release = version_of("eri")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
]
root_doc = "index"
exclude_patterns = ["_build"]
default_role = "py:obj"  # `features.store.read_store` in a docstring is a link

# One page per package, made anew by every build.
apidoc_modules = [
    {
        "path": str(ROOT / name),
        "destination": f"api/{name}",
        "separate_modules": False,
        "module_first": True,
        "automodule_options": {"members", "show-inheritance"},
    }
    for name in ("features", "models", "pipeline")
]
add_module_names = False
autodoc_member_order = "bysource"
autodoc_default_options = {
    "ignore-module-all": True,  # what a package hands on is documented where it is defined
    # scikit-learn's, without meaning here
    "exclude-members": "set_fit_request, set_score_request, set_transform_request",
}
autodoc_typehints = "none"  # docstrings say them, with shapes and units
numpydoc_show_class_members = False  # their docstrings follow anyway

myst_heading_anchors = 3  # links such as compare.md#pooling, as GitHub has them

suppress_warnings = ["ref.python"]  # a bare class name that two modules have

html_theme = "furo"
html_title = "eri"
html_copy_source = False
html_show_sphinx = False


def setup(app: Sphinx) -> None:
    """Let numpydoc look for no signatures in docstrings: it fails on type aliases."""
    for listener in list(app.events.listeners["autodoc-process-signature"]):
        if listener.handler is mangle_signature:
            app.disconnect(listener.id)
