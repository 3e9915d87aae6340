"""The weights that a stage starts from, as files of the store to which its models may refer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from srframework.faults import calling_model
from srframework.files import remove
from srframework.hashing import digest
from srframework.run import versions
from srframework.run.packing import raw, resembles
from srframework.run.resources import Materials
from srframework.run.saved_model import SavedModel
from srframework.store.drafts import Sums, emptied
from srframework.store.store import Store
from srframework.training.events import KeptModel

PRETRAINED_KIND = "pretrained"
"""The kind of the entry with the weights of θ_pt. A store has it as soon as a result refers to it."""

_FILE = "model.safetensors"


@dataclass(frozen=True)
class Origin:
    """The weights that a stage starts from.

    Attributes:
        place: The directory of the stage or point that they are of, in the store; None for θ_pt.
        store: The store.
        materials: Have θ_pt.
        about: The recipe and the stage, for people.
    """

    place: Path | None
    store: Store
    materials: Materials
    about: Mapping[str, str]

    def files(self, kept: KeptModel) -> Sequence[Path]:
        """Return the safetensors files of the weights, if a model may have most of its weights from them.

        θ_pt is saved into the store when the first model is like it: without its head, which is random and differs
        between the seeds.

        Raises:
            StoreError: The store cannot be written.
        """
        if self.place is not None:
            return SavedModel(self.place).base_files()
        encoder = _encoder(self.materials.pretrained.model.state_dict(), self._prefix)
        if not resembles(kept.weights, kept.mask, encoder):
            return []
        identity = {"weights": _hash(encoder), "versions": versions.computing_versions()}
        key = digest(identity)
        entry, _ = self.store.get_or_compute(key, PRETRAINED_KIND, "θ_pt", identity, self._save, about=self.about)
        return [entry.files / _FILE]

    @property
    def _prefix(self) -> str:
        return f"{self.materials.pretrained.model.base_model_prefix}."

    def _save(self, draft: Path) -> Sums:
        sums, scratch = emptied(draft), draft / ".model"
        with calling_model("save_pretrained()"):
            self.materials.pretrained.model.save_pretrained(scratch)
        tensors: dict[str, Tensor] = {}
        for path in sorted(scratch.glob("*.safetensors")):
            tensors.update(load_file(path))
        with sums.file(draft / _FILE) as file:
            save_file(_encoder(tensors, self._prefix), file, metadata={"format": "pt"})
        remove(scratch)
        return sums


def _encoder(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors of the encoder; all tensors of a model that does not name it in the usual way."""
    return {name: each for name, each in tensors.items() if name.startswith(prefix)} or dict(tensors)


def _hash(tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for name, each in tensors.items():
        sha.update(f"{name}:{each.dtype}:{tuple(each.shape)};".encode())
        sha.update(raw(each))
    return sha.hexdigest()
