"""What results are called: templates with fields in braces."""

from __future__ import annotations

import os
import string

from wctstyle.batch import Setup
from wctstyle.cli.outputs import check_suffix, is_format, plain_name, result_stem
from wctstyle.cli.specs import Format
from wctstyle.errors import ConfigError

FIELDS = ("{stem}", "{style}", "{model}", "{number}")
"""The photo's name without suffix, the names of its styles, the model, and the number of the result from 1."""

EACH_STYLE = "{stem}-{style}"
"""The template of results of every photo in every style, before the suffix."""


def template_of(name: str | None, format: Format | None, *, each_style: bool = False) -> str | None:
    """Check the template of --name, and give it a suffix; None for the plain name of each result.

    Raises:
        ConfigError: it has another field, leads out of the output folder, or contradicts --format.
        ImageError: its suffix is that of no format.
    """
    if name is None:
        return f"{EACH_STYLE}.{format or 'png'}" if each_style else None
    try:
        fields = [f"{{{field}}}" for _, field, spec, _ in string.Formatter().parse(name) if field is not None]
        wrong = [field for field in fields if field not in FIELDS]
        shown = name.format(**{field.strip("{}"): "x" for field in FIELDS}) if not wrong else ""
    except (ValueError, IndexError, KeyError, AttributeError) as error:
        raise ConfigError(f"--name {name}: is no template: {error}; its fields are {', '.join(FIELDS)}") from error
    if wrong:
        raise ConfigError(f"--name {name}: there is no field {wrong[0]}; there are {', '.join(FIELDS)}")
    if os.path.isabs(shown) or ".." in shown.replace(os.sep, "/").split("/") or not os.path.basename(shown):
        raise ConfigError(f"--name {name}: leads out of the output folder or to none; give a name, the folder with -o")
    suffix = os.path.splitext(shown)[1]
    if not suffix:
        return f"{name}.{format or 'png'}"
    check_suffix(f"--name {name}", suffix)
    if format is not None and not is_format(suffix, format):
        raise ConfigError(f"--name {name}: its suffix is not that of --format {format}; leave one of them out")
    return name


def named(template: str | None, content: str, setup: Setup, number: int, format: Format | None) -> str:
    """Name a result; without a template by its plain name."""
    if template is None:
        return plain_name(content, format)
    style = "+".join(result_stem(spec.source) for spec in setup.styles)
    return template.format(stem=result_stem(content), style=style, model=setup.model, number=number)
