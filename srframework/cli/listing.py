"""``list``, ``show``, ``plugins``, ``recipes``: what there is."""

from __future__ import annotations

import re
import types
from typing import Any, Literal, Union, get_args, get_origin

import click
import tomli
import tomli_w
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from srframework.cli.context import App, json_option, print_json, print_rows
from srframework.component import KINDS, Options
from srframework.errors import UsageError, nearest
from srframework.recipe import shipped
from srframework.registry import Registered


@click.command("list")
@click.argument("kind", type=click.Choice([*KINDS, *(f"{kind}s" for kind in KINDS)]), metavar="[KIND]", required=False)
@json_option
@click.pass_obj
def list_components(app: App, kind: str | None, as_json: bool) -> None:
    """List the components: all, or those of one KIND.

    KIND is backbone, pruner, debiaser, dataset or evaluator.
    """
    components = app.registry.of_kind(kind.removesuffix("s")) if kind else list(app.registry)
    print_rows([_row(each) for each in components], as_json, ("kind", "name", "summary", "dist", "version"))


def _row(each: Registered) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "name": each.name,
        "summary": each.component.summary,
        "dist": each.plugin.dist,
        "version": each.plugin.version,
        "source": each.component.source,
    }


@click.command()
@click.argument("component", metavar="KIND/NAME")
@click.option("--toml", "as_toml", is_flag=True, help="Print a table to paste into a recipe.")
@json_option
@click.pass_obj
def show(app: App, component: str, as_toml: bool, as_json: bool) -> None:
    """Show one component and its options, such as pruner/mask."""
    kind, slash, name = component.partition("/")
    if not slash or kind not in KINDS:
        near = nearest(kind, KINDS)
        hint = f"; did you mean {near!r}?" if near else ""
        raise UsageError(f"expected KIND/NAME with KIND one of {', '.join(KINDS)}; got {component!r}{hint}")
    registered = app.registry.get(kind, name)
    options = [_option(key, field) for key, field in registered.component.options.model_fields.items()]
    if as_json:
        print_json({**_row(registered), "options": options})
    elif as_toml:
        click.echo(_toml(registered, name), nl=False)
    else:
        click.echo(f"{registered.kind}/{registered.name}: {registered.component.summary}")
        click.echo(f"source: {registered.component.source}")
        click.echo(f"from: {registered.plugin.dist} {registered.plugin.version} ({registered.plugin.value})\n")
        columns = ("option", "type", "range", "default", "description")
        rows = [{**option, "default": _default_text(option)} for option in options]
        if rows:
            print_rows(rows, False, columns)
        else:
            click.echo("It has no options.")


def _option(name: str, field: FieldInfo) -> dict[str, Any]:
    default = None if field.default is PydanticUndefined else field.default
    if isinstance(default, Options):
        default = default.model_dump(mode="json", exclude_none=True)
    elif isinstance(default, tuple):
        default = list(default)
    return {
        "option": name,
        "type": _type_name(field.annotation),
        "range": _range(field),
        "default": default,
        "required": field.is_required(),
        "description": field.description,
    }


def _default_text(option: dict[str, Any]) -> str:
    if option["required"]:
        return "(required)"
    return (
        "(unset)" if option["default"] is None else tomli_w.dumps({"x": option["default"]}).partition("= ")[2].strip()
    )


def _type_name(annotation: Any) -> str:
    names = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "table", tuple: "array"}
    origin = get_origin(annotation) or annotation
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(arg) for arg in get_args(annotation) if arg is not type(None))
    if origin is Literal:
        return " | ".join(repr(arg) for arg in get_args(annotation))
    if origin is tuple:
        return f"array of {_type_name(get_args(annotation)[0])}s"
    if origin is dict:
        return f"table of {_type_name(get_args(annotation)[1])}s"
    if isinstance(origin, type) and issubclass(origin, Options):
        return "table"
    if hasattr(annotation, "__metadata__"):
        return _type_name(get_args(annotation)[0])
    return names.get(origin, getattr(origin, "__name__", str(origin)))


def _range(field: FieldInfo) -> str:
    bounds = {type(bound).__name__: bound for bound in field.metadata}
    low = next(
        (f"{sign}{getattr(bounds[n], n.lower())}" for n, sign in (("Ge", "["), ("Gt", "(")) if n in bounds), None
    )
    high = next(
        (f"{getattr(bounds[n], n.lower())}{sign}" for n, sign in (("Le", "]"), ("Lt", ")")) if n in bounds), None
    )
    return "" if low is None and high is None else f"{low or '(-∞'}, {high or '∞)'}"


def _toml(registered: Registered, name: str) -> str:
    """A table with every option: those without a default to be filled in, the rest as they are."""
    lines = [f"[{registered.kind}]", f'use = "{name}"']
    for key, field in registered.component.options.model_fields.items():
        option = _option(key, field)
        value = _default_text(option)
        line = f"{key} = {value}"
        unset = value in ("(required)", "(unset)") or "\n" in value
        if unset:
            line = f"# {key} = ...  ({option['type']}{', required' if option['required'] else ''})"
        lines.append(f"# {field.description}")
        lines.append(line)
    return "\n".join(lines) + "\n"


@click.command("plugins")
@json_option
@click.pass_obj
def list_plugins(app: App, as_json: bool) -> None:
    """List the plugins: where each comes from, and what became of it."""
    rows = [
        {
            "plugin": plugin.name,
            "dist": plugin.dist,
            "version": plugin.version,
            "entry point": plugin.value,
            "state": plugin.state,
            "components": len(plugin.components),
            "failure": plugin.failure,
        }
        for plugin in app.registry.plugins
    ]
    print_rows(rows, as_json, ("plugin", "dist", "version", "entry point", "state", "components", "failure"))


@click.command("recipes")
@json_option
def list_recipes(as_json: bool) -> None:
    """List the recipes that come with srframework; `run` takes them by name."""
    rows = []
    for name, path in shipped().items():
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"#\s*(.*)", text)
        summary = comment[1] if comment else tomli.loads(text).get("name", "")
        rows.append({"recipe": name, "summary": summary, "path": str(path)})
    print_rows(rows, as_json, ("recipe", "summary"))
