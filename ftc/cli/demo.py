"""`ftc demo`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftc.cli import options

if TYPE_CHECKING:
    from ftc.demo.run import Done

_COMMAND_WIDTH = 64


@click.command()
@click.option(
    "--task",
    type=click.Choice(["text", "image"]),
    default="text",
    show_default=True,
    help="text: a customer's intent, by a small BERT; image: handwritten digits, by a small ResNet.",
)
@click.option(
    "-o",
    "--output",
    type=options.DIRECTORY,
    help="Where everything goes.  [default: demo, or demo-image for --task image]",
)
@click.option("--force", is_flag=True, help="Begin anew where a demo or something else stands.")
def demo(task: str, output: Path | None, force: bool) -> None:
    """Do the whole job once, with nothing but what is installed: no files of yours, no network.

    Writes a small data set, trains a small model on it (about a minute), quantizes it, measures every
    candidate, packages the winner as a Bento, starts it and asks it one question. A second run goes on where
    the first one ended.

    \b
    ftc demo
    ftc demo --task image -o /tmp/digits
    """
    from bench.report import show
    from ftc.demo.image import Digits
    from ftc.demo.place import ARTIFACTS
    from ftc.demo.run import run
    from ftc.demo.text import Intents

    subject = Intents() if task == "text" else Digits()
    directory = output or Path("demo" if task == "text" else "demo-image")
    done = run(subject, directory, force=force)
    show(done.board, directory / ARTIFACTS)
    click.echo(_report(done))


def _report(done: Done) -> str:
    lines = (f"  {command:<{_COMMAND_WIDTH}}  # {purpose}" for command, purpose in done.next)
    return "\n".join(
        (
            "",
            f"asked over HTTP:  {done.answer.question}",
            f"answered:         {done.answer.label}, score {done.answer.score:.3f}",
            "",
            "what to type next:",
            *lines,
        )
    )
