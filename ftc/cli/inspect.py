"""`ftc inspect`"""

from __future__ import annotations

from pathlib import Path

import click

from ftc.cli import options


@click.command()
@options.source_argument
@options.declared_options
@click.option("--verify", is_flag=True, help="Also compare every file with the SHA-256 in the manifest.")
@options.json_option
def inspect(
    source: Path,
    task: str | None,
    labels: Path | None,
    processor: str | None,
    tokenizer: Path | None,
    verify: bool,
    as_json: bool,
) -> None:
    """Show what a checkpoint or an artifact is: task, labels, sizes, lineage, parity, and how to run it.

    \b
    ftc inspect ckpt/
    ftc inspect artifacts/ckpt-onnx-dynamic-int8 --verify
    """
    from ftc.checkpoint import open_any, with_operations
    from ftc.cli.show import description
    from ftc.manifest import to_json

    declared = options.declared(task, labels, processor, tokenizer)
    artifact = with_operations(open_any(source, declared, verify=verify))
    click.echo(to_json(artifact.manifest) if as_json else description(artifact), nl=not as_json)
