"""The command line: each command parses, makes one library call and prints. Heavy libraries wait for their use."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Any, NoReturn

import click

from ftc import __version__
from ftc.cli.bench import bench
from ftc.cli.demo import demo
from ftc.cli.distill import distill
from ftc.cli.doctor import doctor
from ftc.cli.export import export
from ftc.cli.finetune import finetune
from ftc.cli.inspect import inspect
from ftc.cli.optimize import optimize
from ftc.cli.package import package
from ftc.cli.prune import prune
from ftc.cli.quantize import quantize
from ftc.cli.report import report
from ftc.cli.serve import serve
from ftc.console import is_first, plain, verbosity
from ftc.errors import FtcError, Terminated
from ftc.extras import explain
from ftc.quiet import quiet_exit
from ftc.temporary import own_temporary_directory

_KEPT = (
    "nothing half-made has a final name. The same command starts again; a training or a search goes on, and so does a "
    "bench with --resume."
)

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class FtcGroup(click.Group):
    """Turns expected failures into one message and the exit code that belongs to it."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            # what could not be written would be tried again, and fail aloud, when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            fail(f"the result could not be written: {error.strerror}. Send it to a place with more room.", 1)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except FtcError as error:
            fail(str(error), error.exit_code)
        except ModuleNotFoundError as error:
            missing = explain(error)
            if missing is None:
                raise
            fail(str(missing), missing.exit_code)
        except KeyboardInterrupt:
            fail(f"interrupted; {_KEPT}", 130)
        except Terminated as terminated:
            if not is_first():  # of several that train together, which are told to end when one has failed
                raise
            fail(f"terminated; {_KEPT}", terminated.args[0])


def fail(message: str, exit_code: int) -> None:
    """End the process with a message on stderr."""
    click.echo(plain(f"Error: {message}"), err=True)
    sys.exit(exit_code)


@click.group(cls=FtcGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ftc")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no remarks; cautions stay.")
@click.option("-v", "--verbose", is_flag=True, help="Also show what the libraries underneath print.")
@click.pass_context
def main(context: click.Context, quiet: bool, verbose: bool) -> None:
    """From a fine-tuned checkpoint to the fastest form of it that can be shipped, proven by measurement.

    \b
    ftc optimize ckpt/ --data train.csv           all of it: the fastest form inside an accuracy budget
    ftc inspect  ckpt/                            what a checkpoint or an artifact is
    ftc quantize ckpt/                            INT8, with nothing else needed
    ftc prune    ckpt/ --data train.csv           a smaller network, without training
    ftc distill  ckpt/ --data train.csv --layers 3  fewer layers, trained by the whole network
    ftc bench    --data test.tsv                  everything in ./artifacts, side by side
    ftc report                                    what it found out, on a page
    ftc package                                   the winner, as a Bento
    ftc serve                                     the Bento, on this machine
    ftc doctor                                    what this machine and this installation offer

    Results go to stdout, progress and cautions to stderr. Exit code 2: the request or the input is refused;
    1: the run failed.
    """
    verbosity.quiet, verbosity.libraries = quiet or not is_first(), verbose
    if not verbose:
        os.environ.setdefault("TQDM_DISABLE", "1")  # read when it is imported, by whatever comes first
        quiet_exit()
    signal.signal(signal.SIGTERM, _terminate)
    context.with_resource(own_temporary_directory())


def _terminate(number: int, frame: object) -> NoReturn:
    """Let a terminated run clean up after itself like an interrupted one, even if it is told once more to end."""
    signal.signal(number, signal.SIG_IGN)
    raise Terminated(128 + number)


_COMMANDS = (
    optimize,
    finetune,
    inspect,
    export,
    prune,
    distill,
    quantize,
    bench,
    report,
    package,
    serve,
    demo,
    doctor,
)
for command in _COMMANDS:
    main.add_command(command)
