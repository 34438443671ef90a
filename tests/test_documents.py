"""The documents are held to the code."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from edged import errors
from edged.deployment import Deployment

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += keys(inner, f"{prefix}{name}.")
        else:
            found.append(prefix + (field.alias or name))
        for entry in entries(field):
            found += keys(entry, f"{prefix}{name}.<task>.")
    return found


def entries(field: FieldInfo) -> list[type[BaseModel]]:
    """The models that a mapping by task may hold."""
    if get_origin(field.annotation) is not Mapping:
        return []
    value = get_args(field.annotation)[1]
    if not get_args(value):
        return []  # a mapping of plain values
    union = get_args(value)[0]
    return list(get_args(union))


def test_every_setting_is_documented_and_every_documented_one_exists():
    documented = set(re.findall(r"`([a-z_]+(?:\.<?[a-z_]+>?)+|tasks|validation)`", CONFIGURATION))

    assert documented >= set(keys(Deployment))
    assert {name for name in documented if "." in name} <= set(keys(Deployment))


def test_every_error_stands_in_the_picture_of_its_tree():
    classes = [
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.LoopaiError)
    ]

    picture = errors.__doc__ or ""
    assert [name for name in classes if not re.search(rf"\b{name}\b", picture)] == []


@pytest.mark.parametrize(
    "document", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_somewhere(document):
    path = ROOT / document
    targets = re.findall(r"\]\(([^)#:]+)\)", path.read_text())

    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_folder_of_the_map_exists():
    rows = re.findall(r"^\| `([a-z/]+)/`", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert len(rows) >= 6
    assert [row for row in rows if not (ROOT / row).is_dir()] == []
