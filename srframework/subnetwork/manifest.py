"""manifest.json: what an artifact contains, and the checksums of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from srframework.errors import DataError
from srframework.files import json_text, parse_json, read_json
from srframework.hashing import digest, sha256
from srframework.subnetwork.coding import Coding
from srframework.text import shorten

NAME = "manifest.json"
FORMAT = "srframework-subnetwork-1"

Size = Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Dtype = Literal["float32", "float16"]


class Matrix(msgspec.Struct, forbid_unknown_fields=True):
    """A matrix with a mask.

    Attributes:
        shape: ``(d_out, d_in)``.
        codings: For each level: how the entries that it keeps are coded, among those that the level before keeps.
    """

    shape: Annotated[list[Size], msgspec.Meta(min_length=1, max_length=4)]
    codings: Annotated[list[Coding], msgspec.Meta(min_length=1)]


class File(msgspec.Struct, forbid_unknown_fields=True):
    """Size in bytes and SHA-256 of a file."""

    bytes: int
    sha256: str


class Base(msgspec.Struct, forbid_unknown_fields=True):
    """The model whose weights the artifact does not repeat.

    Attributes:
        name: For people.
        path: Where it is: a directory, relative to the artifact, or a name on the hub; None if unknown.
        sha256: Hash of ``tensors``: the identity of the base.
        tensors: Name of each tensor that the subnetwork has from the base -> hash of its type, shape and bytes.
    """

    name: str
    path: str | None
    sha256: str
    tensors: dict[str, str]


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """The content of manifest.json.

    Attributes:
        format: :data:`FORMAT`.
        model: The configuration of the model, as in config.json of transformers.
        dtype: Type of the stored values; a model is float32 when it is loaded.
        levels: Sparsity of each mask, ascending, as a fraction of the entries of its matrices; the weights are those of
            the last.
        matrices: The matrices with a mask, by the name of their module.
        base: None if all weights are in the artifact.
        files: The other files of the artifact.
        about: Where the subnetwork comes from, for people.
    """

    format: str
    model: dict[str, Any]
    dtype: Dtype
    levels: Annotated[list[Fraction], msgspec.Meta(min_length=1)]
    matrices: Annotated[dict[str, Matrix], msgspec.Meta(min_length=1)]
    base: Base | None
    files: dict[str, File]
    about: dict[str, Any]

    def write(self, artifact: Path) -> None:
        """Write manifest.json with its own checksum, into a directory that is not in use yet."""
        content = parse_json(json_text(msgspec.to_builtins(self)))  # in JSON, labels are not numbers
        (artifact / NAME).write_text(json_text({**content, "sha256": digest(content)}), encoding="utf-8")

    @classmethod
    def read(cls, artifact: Path) -> Manifest:
        """Read manifest.json, and compare the checksums of all files.

        Raises:
            DataError: It is not the manifest of an artifact, or a file is missing or damaged; names the file.
        """
        path = artifact / NAME
        expected = f"{path}: expected the manifest of a subnetwork ({FORMAT})"
        try:
            content = read_json(path)
        except FileNotFoundError as error:
            got = "a directory without it" if artifact.is_dir() else "no such directory"
            raise DataError(f"{expected}, got {got}") from error
        except OSError as error:
            raise DataError(f"{path}: the manifest cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise DataError(f"{expected}, got a file that is not JSON: {error}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            got = shorten(content.get("format", sorted(content)) if isinstance(content, dict) else content)
            raise DataError(f"{expected}, got {got}")
        if content.pop("sha256", None) != digest(content):
            raise DataError(f"{path}: the manifest was changed after it was written: its checksum is another one")
        try:
            found = msgspec.convert(content, cls)
        except msgspec.ValidationError as error:
            raise DataError(f"{expected}: {error}") from error
        found._check(artifact)
        return found

    def _check(self, artifact: Path) -> None:
        path = artifact / NAME
        if self.levels != sorted(set(self.levels)):
            raise DataError(f"{path}: expected ascending levels, got {self.levels}")
        for name, matrix in self.matrices.items():
            if len(matrix.codings) != len(self.levels):
                raise DataError(f"{path}: {name}: expected {len(self.levels)} codings, got {len(matrix.codings)}")
        for name, expected in self.files.items():
            if "/" in name or "\\" in name or name.startswith("."):
                raise DataError(f"{path}: expected files of this directory, got {shorten(name)}")
            file = artifact / name
            try:
                size = file.stat().st_size
                found = sha256(file) if size == expected.bytes else ""
            except OSError as error:
                raise DataError(f"{file}: the file cannot be read: {error.strerror or error}") from error
            if size != expected.bytes:
                raise DataError(
                    f"{file}: expected {expected.bytes} bytes, got {size}; the file is incomplete or changed"
                )
            if found != expected.sha256:
                raise DataError(
                    f"{file}: expected SHA-256 {expected.sha256[:12]}, got {found[:12]}; the file is damaged"
                )
