"""``show``: one component and its options."""

from __future__ import annotations

import json
import re
import textwrap
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import click
import tomli_w
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python
from rich.text import Text

from srframework.cli import completion
from srframework.cli.context import App, cited, component_row, json_option, output, print_json, print_text
from srframework.component import Options
from srframework.errors import UsageError
from srframework.faults import calling
from srframework.registry.registry import Registered
from srframework.training.options import TrainingOptions

_HEADERS = {
    "pruner": "[stages.pruner]  # of the stage above it",
    "debiaser": "[stages.loss]  # of the stage above it",
    "evaluator": "[[evaluators]]",
}
"""Kind -> the place of its table in a recipe, if it is not the name of the kind."""

_REQUIRED, _UNSET = "(required)", "(unset)"
_TRAINING_SOURCE = "App. B.3"

_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "table", tuple: "array"}


@click.command()
@click.argument("component", metavar="NAME", shell_complete=completion.components)
@click.option("--toml", "as_toml", is_flag=True, help="Print a table to paste into a recipe.")
@json_option
@click.pass_obj
def show(app: App, component: str, as_toml: bool, as_json: bool) -> None:
    """Show one component and its options.

    NAME is the name of a component, such as mask, or KIND/NAME, such as pruner/mask, if several kinds have
    that name. `srframework show training` shows the options of the table [training].
    """
    if component == "training":
        _show_training(as_json)
        return
    registered = app.registry.find(component)
    if as_toml and registered.kind == "launcher":
        raise UsageError(
            f"--toml: no recipe has a table for a launcher; use `srframework sweep --launcher {registered.name}`"
        )
    with calling(registered.owner, "options"):
        options = list(_options(registered.component.options, registered.component.source))
        json.dumps(options)
        for option in options:
            _default(option)
    if as_json:
        print_json({**component_row(registered), "options": options})
    elif as_toml:
        click.echo("\n".join(_toml(registered, component.rpartition(f"{registered.kind}/")[2], options)))
    else:
        _print_component(registered, options)


def _show_training(as_json: bool) -> None:
    options = list(_options(TrainingOptions, _TRAINING_SOURCE))
    if as_json:
        print_json(options)
    else:
        console = output()
        summary = "Options of training: in [training] for all stages, in [[stages]] for one stage."
        print_text(console, Text.assemble(("training", "bold"), f": {summary}"), hanging=2)
        print_text(console, f"source: {cited(_TRAINING_SOURCE)}", hanging=2)
        console.print()
        _print_options(options, _TRAINING_SOURCE)


def _print_component(registered: Registered, options: list[dict[str, Any]]) -> None:
    console, component, plugin = output(), registered.component, registered.plugin
    name = f"{registered.kind}/{registered.name}"
    print_text(console, Text.assemble((name, "bold"), f": {component.summary}"), hanging=2)
    print_text(console, f"source: {cited(component.source)}", hanging=2)
    print_text(console, f"from: {plugin.origin} ({plugin.value})", hanging=2)
    if options:
        console.print()
        _print_options(options, component.source)
    else:
        console.print("\nThis component has no options.")


def _print_options(options: list[dict[str, Any]], source: str) -> None:
    """Print a card for each option, with its source if that differs from the source of the component."""
    console = output()
    for option in options:
        allowed = f" in {option['range']}" if option["range"] else ""
        default = _default(option)
        default = default if default in (_REQUIRED, _UNSET) else f"default: {default}"
        head = Text.assemble((option["option"], "bold cyan"), f"  {option['type']}{allowed}  {default}")
        print_text(console, head, hanging=6)
        cited = f" [{option['source']}]" if option["source"] != source else ""
        print_text(console, f"{option['description']}{cited}", indent=4)


def _options(model: type[Options], source: str, prefix: str = "") -> Iterator[dict[str, Any]]:
    """A row for each option; those of a table inside the table follow it, under dotted names."""
    for name, field in model.model_fields.items():
        default = None if field.default is PydanticUndefined else field.default
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        yield {
            "option": prefix + name,
            "type": _type(field.annotation),
            "range": _range(field),
            "default": None if default is None else to_jsonable_python(default),
            "required": field.is_required(),
            "source": extra.get("source", source),
            "description": field.description,
        }
        inner, key = _table_in(field.annotation)
        if inner is not None:
            yield from _options(inner, source, f"{prefix}{name}.{key}")


def _table_in(annotation: Any) -> tuple[type[Options] | None, str]:
    """The options of a nested table, and, for a table of tables, ``NAME.``, the part that the user chooses."""
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return annotation, ""
    key = "NAME." if get_origin(annotation) is dict else ""
    for arg in get_args(annotation):
        inner, deeper = _table_in(arg)
        if inner is not None:
            return inner, key + deeper
    return None, ""


def _default(option: dict[str, Any]) -> str:
    """The default in TOML."""
    if option["required"]:
        return _REQUIRED
    if option["default"] is None:
        return _UNSET
    if isinstance(option["default"], list):  # tomli_w writes each item on a line of its own
        return f"[{', '.join(tomli_w.dumps({'x': each}).partition('= ')[2].strip() for each in option['default'])}]"
    return tomli_w.dumps({"x": option["default"]}).partition("= ")[2].strip() or "{}"


def _type(annotation: Any) -> str:
    origin = get_origin(annotation) or annotation
    args = get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(arg) for arg in args if arg is not type(None))
    if origin is Literal:
        return " | ".join(repr(arg) for arg in args)
    if origin is tuple:
        return f"array of {_plural(args[0])}" if args else "array"
    if origin is dict:
        return f"table of {_plural(args[1])}" if args else "table"
    if isinstance(origin, type) and issubclass(origin, Options):
        return "table"
    if hasattr(annotation, "__metadata__"):  # Annotated[X, ...]
        return _type(args[0])
    return _NAMES.get(origin, getattr(origin, "__name__", str(origin)))


def _plural(annotation: Any) -> str:
    name = _type(annotation)
    return name if "'" in name else f"{name}s"  # the values of a literal stay as they are


def _range(field: FieldInfo) -> str:
    """The allowed numbers as an interval; empty without bounds."""
    bounds = {type(bound).__name__.lower(): bound for bound in field.metadata}

    def bound(closed: str, opened: str, shut: str, ajar: str) -> str | None:
        name, sign = (closed, shut) if closed in bounds else (opened, ajar)
        return f"{_short(getattr(bounds[name], name))}{sign}" if name in bounds else None

    low, high = bound("ge", "gt", "[", "("), bound("le", "lt", "]", ")")
    if low is None and high is None:
        return ""
    start = f"{low[-1]}{low[:-1]}" if low else "(-∞"
    return f"{start}, {high or '∞)'}"


def _short(number: float) -> str:
    """A bound as people write it: 1e-6, not 1e-06 or 1000000.0."""
    text = f"{number:g}"
    return re.sub(r"e([+-])0*", lambda sign: "e" + sign[1].strip("+"), text) if float(text) == number else str(number)


def _toml(registered: Registered, name: str, options: list[dict[str, Any]]) -> Iterator[str]:
    """A table with every option; options without a default are comments to fill in."""
    yield _HEADERS.get(registered.kind, f"[{registered.kind}]")
    yield f'use = "{name}"'
    for option in options:
        value = _default(option)
        yield from textwrap.wrap(
            option["description"], 79, initial_indent="# ", subsequent_indent="# ", break_long_words=False
        )
        if value in (_REQUIRED, _UNSET, "{}"):
            yield f"# {option['option']} = {value}  # {option['type']}"
        else:
            yield f"{'# ' if '.' in option['option'] else ''}{option['option']} = {value}"
