"""Jinja settings of our HTML pages."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def html_environment(*packages: str) -> Environment:
    """Return the settings for templates that lie in `packages`; they may include `style.css`.

    Everything is escaped, and a name that is missing is an error.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (*packages, "pipeline.html")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
