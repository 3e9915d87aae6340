"""``import``: make an artifact of a mask that another program wrote."""

from __future__ import annotations

from pathlib import Path

import click

from srframework.cli import completion
from srframework.cli.context import Folder, json_option, print_json
from srframework.cli.streams import echo_error
from srframework.errors import UsageError


@click.command("import")
@click.argument("file", metavar="MASKFILE", type=click.Path(path_type=Path), shell_complete=completion.paths)
@click.option("--model", required=True, type=Folder(file_okay=False), help="The directory of the model.")
@click.option("--out", required=True, type=Folder(file_okay=False), help="Directory of the artifact; must not exist.")
@json_option
def import_command(file: Path, model: Path, out: Path, as_json: bool) -> None:
    """Make an artifact of a mask that another program wrote.

    MASKFILE is a checkpoint of torch.nn.utils.prune (NAME.weight_mask and NAME.weight_orig), or a file of torch.save
    with only masks (NAME.weight or NAME.weight_mask), as the authors of the paper release them. The mask is compared
    with the model, and the artifact refers to the model's weights. No code in MASKFILE is run.
    """
    from srframework.subnetwork.foreign import import_mask

    if out.exists():
        raise UsageError(f"--out {out}: expected a path that does not exist")
    out.parent.mkdir(parents=True, exist_ok=True)
    found = import_mask(file, model, out)
    if found.other_weights:
        first = found.other_weights[0]
        echo_error(
            f"warning: {file}: the weights of {len(found.other_weights)} matrices, such as {first}, are not those of "
            f"{model}; only the mask is imported"
        )
    mask = found.mask
    facts = {"matrices": len(mask), "pruned": mask.pruned, "entries": mask.entries, "sparsity": mask.sparsity}
    if as_json:
        print_json({"path": str(out), **facts, "other_weights": list(found.other_weights)})
        return
    share = f"{100 * mask.sparsity:.2f} %"
    click.echo(f"{out}: {len(mask)} matrices, {mask.pruned:,} of {mask.entries:,} entries pruned ({share})")
