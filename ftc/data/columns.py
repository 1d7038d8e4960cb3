"""Which columns are taken: those the user named, the others by the names that datasets usually give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches

from ftc.data.dataset import Columns, Request
from ftc.data.usual_names import IMAGE, LABEL, PAIRS, PAIRS_ON_REQUEST, TEXT
from ftc.errors import InputError

OPTIONS = {
    "text": "--text-column",
    "text_pair": "--text-pair-column",
    "label": "--label-column",
    "image": "--image-column",
}
MEANING = {
    "text": "texts",
    "text_pair": "the second texts of pairs",
    "label": "labels",
    "image": "images or their files",
}


def choose(names: Sequence[str], request: Request) -> tuple[Columns, str]:
    """The columns to take from those of a file, and a remark that says so.

    A name that the user gave is taken literally; usual names are found in any case, in the order above.

    :raises InputError: if a column is not there or is there twice, or the checkpoint does not read its kind
    """
    _check_wish(names, request)
    if request.modality == "image":
        text = text_pair = None
        image, remark = _named_or_usual(request.columns.image, IMAGE, names, ())
        if image is None:
            raise _not_found("image", IMAGE, names, request)
        remarks = [f"image = {remark}"]
    else:
        image = None
        text, text_pair, remarks = _texts(names, request)
    label, remark = _named_or_usual(request.columns.label, LABEL, names, (text, text_pair, image))
    if label is None and request.need_labels:
        raise _not_found("label", LABEL, names, request)
    remarks.append(f"label = {remark}" if label is not None else "no label column")
    for taken in (text, text_pair, image, label):
        if taken is not None and names.count(taken) > 1:
            raise InputError(f"{request.source}: several columns are named {taken!r}; rename all but one")
    return Columns(text, text_pair, label, image), ", ".join(remarks)


def _check_wish(names: Sequence[str], request: Request) -> None:
    for kind, wish in asdict(request.columns).items():
        if wish is None:
            continue
        if kind != "label" and (kind == "image") != (request.modality == "image"):
            raise InputError(f"{OPTIONS[kind]} {wish!r}: the checkpoint reads {request.modality}s; leave it out")
        if kind == "text_pair" and request.pair is False:
            raise InputError(f"{OPTIONS[kind]} {wish!r}: the checkpoint reads single texts; leave it out")
        if wish not in names:
            by_lower = {name.lower(): name for name in names}
            near = get_close_matches(wish.lower(), by_lower, n=1, cutoff=0.5)
            meant = f"; did you mean {by_lower[near[0]]!r}?" if near else ""
            raise InputError(
                f"{request.source}: no column {wish!r} ({OPTIONS[kind]}); the columns are {_listed(names)}{meant}"
            )


def _texts(names: Sequence[str], request: Request) -> tuple[str, str | None, list[str]]:
    wish = request.columns
    if request.pair is not False:
        text, text_pair = _pair(names, request)
        if text is not None and text_pair is not None:
            return text, text_pair, [f"text = {text!r}", f"text_pair = {text_pair!r}"]
    single, remark = _named_or_usual(wish.text, TEXT, names, (wish.text_pair,))
    if single is None:
        raise _not_found("text", TEXT, names, request)
    remarks = [f"text = {remark}"]
    if wish.text_pair is not None:
        return single, wish.text_pair, [*remarks, f"text_pair = {wish.text_pair!r}"]
    if request.pair is False and (second := _pair(names, request)[1]) is not None:
        remarks.append(f"{second!r} is not read, as the checkpoint reads single texts")
    if request.pair:
        raise _not_found("text_pair", [second for _, second in PAIRS + PAIRS_ON_REQUEST], names, request)
    return single, None, remarks


def _pair(names: Sequence[str], request: Request) -> tuple[str | None, str | None]:
    wish = request.columns
    if wish.text is not None and wish.text_pair is not None:
        return wish.text, wish.text_pair
    usual = _by_usual_name(names)
    for first, second in PAIRS + (PAIRS_ON_REQUEST if request.pair else ()):
        text, text_pair = usual.get(first), usual.get(second)
        if text and text_pair and wish.text in (None, text) and wish.text_pair in (None, text_pair):
            return text, text_pair
    return None, None


def _named_or_usual(
    wish: str | None, usual: Sequence[str], names: Sequence[str], taken: Sequence[str | None]
) -> tuple[str | None, str]:
    """The column, and how a remark shows it."""
    if wish is not None:
        return wish, repr(wish)
    by_name = _by_usual_name([name for name in names if name not in taken])
    found = [by_name[name] for name in usual if name in by_name]
    if not found:
        return None, ""
    others = f" (not {', '.join(map(repr, found[1:]))})" if found[1:] else ""
    return found[0], f"{found[0]!r}{others}"


def _by_usual_name(names: Sequence[str]) -> dict[str, str]:
    return {name.strip().casefold(): name for name in reversed(names)}  # of equal names the first stays


def _not_found(kind: str, usual: Sequence[str], names: Sequence[str], request: Request) -> InputError:
    advice = f"name it with {OPTIONS[kind]}"
    if len(names) == 1 and ";" in names[0]:
        advice = "the fields seem to be separated by semicolons; save the file with commas"
    elif kind != "label":
        advice += "; if these are values, write the columns' names into a first row"
    return InputError(
        f"{request.source}: no column of {MEANING[kind]} found among {_listed(names)}\n"
        f"  usual names are {', '.join(dict.fromkeys(usual))}\n"
        f"  {advice}"
    )


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name if len(name) <= 60 else name[:57] + "...") for name in names[:20]]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(shown) + more
