"""The JSON Schema of recipes, for editors: completion, descriptions and checks while one writes.

It covers the installed components and their options. It accepts every recipe that ``srframework validate`` accepts,
and some others: only ``validate`` checks references to stages, files, and requirements of components.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema

from srframework.component import Options
from srframework.faults import calling
from srframework.recipe.schema import RecipeTable, StageTable
from srframework.registry.registry import Registered, Registry
from srframework.training.options import TrainingOptions

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The draft that editors of TOML support."""

_DEFINITIONS = "$defs"
_ANY_TABLE = {"type": "object"}


def recipe_schema(registry: Registry) -> dict[str, Any]:
    """Return the schema of recipes that use the components of a registry.

    Raises:
        PluginError: The options of a component cannot be described; names the plugin.
    """
    definitions: dict[str, Any] = {}
    of_kind = {kind: _uses(registry, kind, definitions) for kind in ("backbone", "dataset", "bias", "evaluator")}
    training = _table(TrainingOptions, "training", definitions)
    stage = _table(StageTable, "stage", definitions)
    stage["properties"] |= training["properties"]
    stage["properties"]["pruner"] |= _uses(registry, "pruner", definitions)
    stage["properties"]["loss"] |= _uses(registry, "debiaser", definitions)
    recipe = _table(RecipeTable, "recipe", definitions)
    tables = recipe["properties"]
    for kind in ("backbone", "dataset", "bias"):
        tables[kind] |= of_kind[kind]
    tables["evaluators"]["items"] = of_kind["evaluator"]
    tables["training"] |= training
    tables["stages"]["items"] = stage
    return {"$schema": DRAFT, "title": "srframework recipe", **recipe, _DEFINITIONS: definitions}


def _uses(registry: Registry, kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that names a component: a table with ``use``, or only the name."""
    components = registry.of_kind(kind)
    bare = [each.name for each in components]
    names, tables = [], []
    for each in components:
        own = [each.full_name] if bare.count(each.name) > 1 else [each.name, each.full_name]
        model = each.component.options
        with calling(each.owner, "options"):
            table = _options(model, f"{kind}/{each.full_name}", definitions)
        table["properties"] = {"use": {"enum": own, "description": each.component.summary}} | table["properties"]
        table["required"] = ["use", *table.get("required", ())]
        definitions[f"{kind}/{each.full_name}"] = table
        tables.append({"$ref": f"#/{_DEFINITIONS}/{_escaped(kind, each)}"})
        if not any(field.is_required() for field in model.model_fields.values()):
            names += own
    return {"anyOf": [{"enum": names}, *tables] if names else tables}


def _escaped(kind: str, each: Registered) -> str:
    """The name of a definition inside a JSON pointer."""
    return f"{kind}/{each.full_name}".replace("~", "~0").replace("/", "~1")


def _options(model: type[Options], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of the options of a component; names and descriptions alone where pydantic cannot describe a type."""
    try:
        return _table(model, name, definitions)
    except PydanticInvalidForJsonSchema:
        fields = model.model_fields.items()
        required = [key for key, field in fields if field.is_required()]
        properties = {key: {"description": field.description} for key, field in fields}
        return {**_ANY_TABLE, "properties": properties, "additionalProperties": False, "required": required}


def _table(model: type[Options], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a table; its nested tables go to ``definitions``, under names that start with ``name``."""
    prefix = f"{name}:".replace("~", "~0").replace("/", "~1")
    found = model.model_json_schema(by_alias=True, ref_template=f"#/{_DEFINITIONS}/{prefix}{{model}}")
    for key, nested in found.pop(_DEFINITIONS, {}).items():
        definitions[f"{name}:{key}"] = _cleaned(nested)
    cleaned: dict[str, Any] = _cleaned(found)
    cleaned.setdefault("properties", {})
    return cleaned


def _cleaned(schema: Any) -> Any:
    """Remove what TOML or an editor cannot use: null, generated titles, sources."""
    if isinstance(schema, list):
        return [_cleaned(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {
        key: {name: _cleaned(each) for name, each in value.items()} if key == "properties" else _cleaned(value)
        for key, value in schema.items()
        if key not in ("title", "source") and not (key == "default" and value is None)
    }
    choices = [each for each in found.pop("anyOf", ()) if each != {"type": "null"}]
    if len(choices) == 1:
        return {**choices[0], **found}
    return {**found, "anyOf": choices} if choices else found
