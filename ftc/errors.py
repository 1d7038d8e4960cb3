"""The failures that `ftc` expects, and the exit code each one ends a command with.

    FtcError
    ├── InputError      exit 2   what the user gave or asked for is refused; nothing was started
    │   └── MissingExtra         a library that an optional extra brings is not installed
    └── RunError        exit 1   the work itself failed; nothing was left half-made
        └── ParityError          a float export does not reproduce its parent

Anything else that escapes is a bug of ours and keeps its traceback. `Terminated` is no failure: it is how a command
leaves that is told to end.
"""

from __future__ import annotations


class FtcError(Exception):
    """Base of every expected failure; its message is shown to the user as it is."""

    exit_code = 1


class InputError(FtcError):
    """The input or the request is refused: a path, a file's content, an option, a label."""

    exit_code = 2


class MissingExtra(InputError):
    """A step, task or runtime needs a library that is not installed.

    :param what: what was asked for, such as ``runtime 'onnxruntime'``
    :param module: the module that could not be imported
    :param extra: the extra of `ftc` that brings it
    """

    def __init__(self, what: str, module: str, extra: str) -> None:
        super().__init__(f"{what} needs the Python package {module!r}: {installing(extra)}")
        self.extra = extra


class RunError(FtcError):
    """The run failed after it had begun: a converter, a full disk, a service that does not answer."""


class ParityError(RunError):
    """A float export differs from its parent by more than the tolerance."""


class Terminated(SystemExit):
    """The process was told to end, by SIGTERM; its argument is the exit code."""


def installing(extra: str) -> str:
    """The command that adds an extra, at the versions that were tested together, from the checkout of `ftc`."""
    return f"pip install -c constraints.txt -e '.[{extra}]'"


def first_line(error: BaseException) -> str:
    """What a library says first of its error, 400 letters at most; the kind of error where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:400]
