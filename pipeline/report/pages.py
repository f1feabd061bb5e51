"""The templates of the report's pages, and what they may call."""

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from pipeline.report.numbers import interval, plain, signed


def page_template(name: str) -> Template:
    """Return a template of ``pipeline/report/templates``.

    HTML escapes what is put into it; Markdown has the filter ``cell`` for names in tables.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"signed": signed, "plain": plain, "cell": _cell}
    environment.globals["interval"] = interval
    return environment.get_template(name)


def _cell(text: object) -> str:
    """Keep a text in its cell of a Markdown table, and from being read as HTML."""
    flat = " ".join(str(text).split())
    return flat.replace("|", "\\|").replace("<", "&lt;")
