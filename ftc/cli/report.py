"""`ftc report`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftc.cli import options
from ftc.console import counted, progress

if TYPE_CHECKING:
    from bench.page.write import Form


@click.command()
@click.argument("results", nargs=-1, type=options.DIRECTORY, metavar="[RESULTS.jsonl]...")
@click.option(
    "-o", "--output", type=options.DIRECTORY, help="Where the report goes; - is stdout.  [default: report.html]"
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown", "csv"]),
    help="What it is written as.  [default: by the name of -o, else html]",
)
@options.artifacts_option
def report(results: tuple[Path, ...], output: Path | None, form: Form | None, artifacts: Path) -> None:
    """Show what ftc bench found out, on one page: the winner and why, plots, ranking, lineage and conditions.

    Without RESULTS: the latest run of ./artifacts/bench.jsonl, or of bench-cuda.jsonl beside it if that is later, and
    those under the same conditions. Of files that are named, every run is told of; each set of conditions has a section
    of its own, because what was measured under unlike conditions is never ranked together. The page is one file that
    needs no network.

    \b
    ftc report                                      report.html, of the latest run
    ftc report -o report.md                         Markdown
    ftc report --format csv -o -                    a table on stdout
    ftc report old.jsonl artifacts/bench.jsonl      several files
    """
    from bench.page import write
    from bench.results import FILE_NAME, GPU_FILE_NAME
    from ftc.errors import InputError

    named = write.SUFFIXES.get(output.suffix.lower()) if output is not None else None
    if form is not None and named not in (None, form):
        raise InputError(f"{output} is a name for {named}, --format says {form}: leave one of the two out.")
    if output is not None and str(output) != "-" and named is None and form is None:
        raise InputError(f"{output} does not say what it is to be: end it in .html, .md or .csv, or give --format.")
    form = form or named or "html"
    suffix = next(suffix for suffix, of in write.SUFFIXES.items() if of == form)
    target = output or Path("report").with_suffix(suffix)
    if str(target) != "-":
        write.check(target)
    kept = tuple(path for name in (FILE_NAME, GPU_FILE_NAME) if (path := artifacts / name).exists())
    found = write.find(results or kept or (artifacts / FILE_NAME,), only_latest=not results)
    with progress(f"ranking {counted(len(found), 'run')}"):  # 50 ms for a usual one; a file may hold a thousand
        document = write.report(found, form)
    if str(target) == "-":
        click.echo(document, nl=False)
        return
    write.write(document, target)
    click.echo(f"{target}  {len(document.encode()) / 1e3:.0f} kB")
