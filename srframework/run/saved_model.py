"""The saved model of a stage or a point, in full or packed: read it, save it, write it in full."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from srframework.contracts import Network
from srframework.errors import BackboneError
from srframework.faults import calling_model
from srframework.files import atomic_directory, atomic_file, link_file, link_only, remove
from srframework.hashing import sha256
from srframework.run.model_directory import ModelDirectory
from srframework.run.packing import CHANGED, FACTS, Packed, pack
from srframework.run.paths import MASK, MODEL, PACKED, point_in
from srframework.store.content import BASE, Sum
from srframework.store.drafts import Sums
from srframework.training.events import KeptModel

_SCRATCH = ".model"


class SavedModel:
    """The model in the directory of a stage or a point.

    Args:
        place: The directory, in the store or in a run directory.
    """

    def __init__(self, place: Path) -> None:
        self._place, self._packed = place, Packed(place)

    @property
    def is_packed(self) -> bool:
        """Whether its weights refer to those of another model."""
        return (self._place / PACKED).is_dir()

    def weights(self) -> dict[str, Tensor]:
        """Read the weights into memory, by name, in float32; see :meth:`ModelDirectory.weights`.

        Raises:
            BackboneError: A file is missing or damaged.
        """
        if not self.is_packed:
            return ModelDirectory(self._place / MODEL).weights()
        tensors = (each for file in self._packed.files() for each in self._packed.tensors(file))
        return {name: each.to(torch.float32, copy=True) for name, each in tensors if each.is_floating_point()}

    def base_files(self) -> list[Path]:
        """Return the files with weights to which another model may refer: its own, or those to which it refers."""
        return sorted((self._place / (BASE if self.is_packed else MODEL)).glob("*.safetensors"))

    def other_files(self) -> list[Path]:
        """Return the files of a packed model that are not in packed form: config, tokenizer."""
        folder = self._place / PACKED
        paths = (Path(path, name) for path, _, names in os.walk(folder) for name in names)
        return sorted(path for path in paths if path not in (folder / FACTS, folder / CHANGED))

    def sums(self) -> dict[str, str]:
        """Rebuild a packed model; return the SHA-256 of every file of the model in full, by its path from the place.

        Raises:
            BackboneError: A file is missing or damaged.
        """
        found = {f"{MODEL}/{each.relative_to(self._place / PACKED)}": sha256(each) for each in self.other_files()}
        for file, facts in self._packed.files().items():
            for _ in self._packed.tensors(file):
                pass  # compares the SHA-256 at the end
            found[f"{MODEL}/{file}"] = facts["sha256"]
        return found

    def unpack(self, target: Path, twins: Iterable[Path] = ()) -> None:
        """Write a packed model in full, for plain transformers; files that are already there stay.

        Args:
            target: The directory of the model.
            twins: Directories that may contain the same model; their files are linked, not written again.

        Raises:
            BackboneError: A file is missing or damaged.
        """
        for path in self.other_files():
            place = target / path.relative_to(self._place / PACKED)
            place.parent.mkdir(parents=True, exist_ok=True)
            link_file(path, place)
        target.mkdir(parents=True, exist_ok=True)
        for file, facts in self._packed.files().items():
            expected, path = Sum(facts["bytes"], facts["sha256"]), target / file
            if _is(path, expected) or any(_is(t / file, expected) and link_only(t / file, path) for t in twins):
                continue
            with atomic_file(path) as temporary:
                self._packed.write(file, temporary)

    def copy(self, target: Path) -> None:
        """Write the model in full into a new directory, atomically; no file is a link to one of the run.

        Raises:
            BackboneError: A file is missing or damaged.
        """
        if not self.is_packed and not (self._place / MODEL).is_dir():
            raise BackboneError(f"{self._place}: expected a model, got none")
        with atomic_directory(target) as temporary:
            folder = self._place / (PACKED if self.is_packed else MODEL)
            files = self.other_files() if self.is_packed else [each for each in folder.rglob("*") if each.is_file()]
            for path in files:
                place = temporary / path.relative_to(folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)
            for file in self._packed.files() if self.is_packed else ():
                self._packed.write(file, temporary / file)


def save(checkpoint: KeptModel, network: Network, draft: Path, sums: Sums, base: Sequence[Path]) -> None:
    """Save a model and its mask into a draft; the model in full, or packed if its weights are mostly those of a base.

    Args:
        checkpoint: The model.
        network: Has the configuration and the tokenizer.
        draft: The directory of the draft.
        sums: Its checksums.
        base: Safetensors files of other weights, in the store; empty to save the model in full.
    """
    place, scratch = point_in(draft, checkpoint.point), draft / _SCRATCH
    remove(scratch)
    scratch.mkdir()
    try:
        with calling_model("save_pretrained()"):
            network.model.save_pretrained(scratch / MODEL, state_dict=checkpoint.weights)
            network.tokenizer.save_pretrained(scratch / MODEL)
        for other in (MODEL, PACKED, BASE):
            sums.remove(place / other)
        folder = PACKED if base and _packed(scratch, checkpoint, place, sums, base) else MODEL
        with sums.directory(place / folder) as temporary:
            for each in sorted((scratch / MODEL).iterdir()):
                os.rename(each, temporary / each.name)
    finally:
        remove(scratch)
    if len(checkpoint.mask):
        with sums.file(place / MASK) as file:
            checkpoint.mask.save(file)


def _packed(scratch: Path, checkpoint: KeptModel, place: Path, sums: Sums, base: Sequence[Path]) -> bool:
    """Replace the weights in ``scratch/model`` by their packed form, and link the base into the draft.

    Returns:
        False if the model stays in full: it is too different, links are not possible, or rebuilding it from the packed
        form does not give the same bytes.
    """
    into = scratch / PACKED
    into.mkdir()
    if not pack(scratch / MODEL, checkpoint.mask, base, into):
        return False
    (scratch / BASE).mkdir()
    if not all(link_only(each, scratch / BASE / each.name) for each in base):
        return False
    checkpoint.mask.save(scratch / MASK)
    if not _is_exact(scratch):
        return False
    for each in base:
        (place / BASE).mkdir(parents=True, exist_ok=True)
        os.rename(scratch / BASE / each.name, place / BASE / each.name)
        sums.add(place / BASE / each.name, Sum.of(place / BASE / each.name))
    for name in Packed(scratch).files():
        (scratch / MODEL / name).unlink()
    for each in into.iterdir():
        os.rename(each, scratch / MODEL / each.name)
    return True


def _is_exact(place: Path) -> bool:
    """Whether a packed model can be rebuilt with the same bytes."""
    try:
        SavedModel(place).sums()
    except BackboneError:
        return False
    return True


def _is(path: Path, expected: Sum) -> bool:
    """Whether a file is there with this content."""
    return path.is_file() and path.stat().st_size == expected.bytes and Sum.of(path) == expected
