"""What is tried: the post-training candidates of every installed runtime, and the shapes that pruning may aim at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ftc.errors import InputError, MissingExtra
from ftc.runtimes import why_not_on_gpu
from ftc.search.links import OPTIONS, Chain, link
from ftc.search.request import Effort, Objective, Target
from ftc.tasks import TASKS

if TYPE_CHECKING:
    from compress.steps import Mode
    from ftc.artifact import Artifact
    from ftc.search.bounds import Bounds
    from ftc.search.request import Request

REFERENCE: Chain = (link("export", to="onnx"),)
"""What all speeds are ratios to: the float ONNX export with ONNX Runtime."""

TIERS: Mapping[Effort, tuple[float, ...]] = {
    Effort.QUICK: (1.6,),
    Effort.BALANCED: (1.5, 2.0),
    Effort.THOROUGH: (1.4, 1.8, 2.3, 3.0),
}
"""How many times as fast as the best unpruned candidate the shapes shall be that pruning aims at."""

DEPTHS: Mapping[Effort, tuple[float, ...]] = {
    Effort.QUICK: (1.0,),
    Effort.BALANCED: (1.0,),
    Effort.THOROUGH: (1.0, 2 / 3, 1 / 2),
}
"""Parts of the layers that such shapes keep; the rest of the speed comes from narrower layers.

Of networks that are as fast, the narrow ones have lost less than the shallow ones before they are trained: 0.65 against
2.95 points at 1.5 times the speed on SST-2, 1.90 against 2.80 at twice.
"""


@dataclass(frozen=True, slots=True)
class Skipped:
    """What is not tried, and why."""

    what: str
    why: str


def post_training(
    root: Artifact, request: Request, bounds: Bounds | None = None
) -> tuple[tuple[Chain, ...], tuple[Skipped, ...]]:
    """The candidates that need no training and no pruning, the reference first.

    :param bounds: forms that it names are tried however unlikely they are to win, and no others
    :raises InputError: if nothing quantizes the checkpoint, or not as the bounds say; for a GPU, if nothing runs it
    """
    from compress.route import modes

    asked = bounds.forms if bounds is not None else None
    if request.target is Target.CUDA:
        if asked is not None:
            raise InputError("the recipe's forms are of INT8, made for CPUs: with --target cuda, leave them out.")
        return on_a_gpu(root)
    chains: list[Chain] = []
    skipped: list[Skipped] = []
    if (missing := _missing(root, "onnx", None)) is None:
        chains.append(REFERENCE)
    else:
        skipped.append(Skipped("the float ONNX export, which speeds are compared with", missing))
    known = tuple(modes(root.manifest.format))
    if unknown := [form for form in asked or () if form not in known]:
        there = ", ".join(f"{mode} to {to}" for to, mode in known)
        raise InputError(
            f"the recipe's forms: nothing makes a {unknown[0][1]} quantization to {unknown[0][0]} of "
            f"{root.manifest.format}; there are {there}."
        )
    for to, mode in known:
        if asked is not None and (to, mode) not in asked:
            continue
        if request.target is Target.EDGE and to != "tflite":
            continue
        if asked is None and mode not in ("dynamic", "static") and request.objective is not Objective.SIZE:
            continue  # weights of 16 bits are computed with in 32: smaller, and no faster
        name = f"{to}, {mode} INT8"
        if asked is None and (why := _unlikely(to, mode, root, request)) is not None:
            skipped.append(Skipped(name, why))
        elif (missing := _missing(root, to, mode)) is not None:
            skipped.append(Skipped(name, missing))
        else:
            chains.append(with_export(root, (link("quantize", to=to, mode=mode),)))
    chains.sort(key=_cost)
    if not any(chain != REFERENCE for chain in chains):
        raise InputError(
            f"nothing that is installed quantizes {root.path} for --target {request.target}: "
            + "; ".join(f"{one.what}: {one.why}" for one in skipped)
        )
    return tuple(chains), tuple(skipped)


def on_a_gpu(root: Artifact) -> tuple[tuple[Chain, ...], tuple[Skipped, ...]]:
    """The float export and the checkpoint itself, each of which is measured in all ways that its runtime has there.

    :raises InputError: if nothing that is installed executes either of them on a GPU
    """
    tried: tuple[tuple[Chain, str, str | None], ...] = (
        (REFERENCE, "the float ONNX export", _missing(root, "onnx", None) or why_not_on_gpu("onnxruntime")),
        ((), "the checkpoint as it is", why_not_on_gpu(root.manifest.run.runtime)),
    )
    chains = tuple(chain for chain, _, why in tried if why is None)
    skipped = tuple(Skipped(what, why) for _, what, why in tried if why is not None)
    if not chains:
        raise InputError(
            f"nothing that is installed runs {root.path} on a GPU: "
            + " ".join(f"{s.what}: {s.why.rstrip('.')}." for s in skipped)
        )
    return chains, skipped


def _unlikely(to: str, mode: Mode, root: Artifact, request: Request) -> str | None:
    """Why a quantization is not tried unless it is asked for; None if it is."""
    from compress.convolutional import is_convolutional

    if mode == "dynamic" and is_convolutional(root):
        return "convolutions run slower in dynamic INT8 than in float"
    if (to, mode) != ("onnx", "dynamic") and request.effort is Effort.QUICK and _is_one_enough(root, request):
        return "the time goes into a smaller network (--preset balanced tries it)"
    if (to, mode) == ("tflite", "static") and _is_text(root) and not _has_time_for_all(request):
        return "slower for texts than dynamic INT8, and minutes to make (--preset thorough)"
    return None


def _is_one_enough(root: Artifact, request: Request) -> bool:
    """Whether a quick search has the form for texts that leaves time to prune: TFLite takes a minute or more."""
    is_about_speed = request.objective is not Objective.SIZE and request.target is not Target.EDGE
    return is_about_speed and _is_text(root) and _missing(root, "onnx", "dynamic") is None


def _has_time_for_all(request: Request) -> bool:
    is_about_speed = request.objective is not Objective.SIZE and request.target is not Target.EDGE
    return request.effort is Effort.THOROUGH or not is_about_speed


def _is_text(root: Artifact) -> bool:
    return bool(TASKS.load(root.manifest.task).modality == "text")


def with_export(root: Artifact, chain: Chain) -> Chain:
    """The chain with the export on the way to a quantization as a link of its own, so that what it makes is shared.

    :raises InputError: if no steps lead there
    """
    from compress.route import route

    *before, last = chain
    options = dict(last.options)
    if last.verb != "quantize" or any(one.verb == "export" for one in before):
        return chain
    names = route(root.manifest.format, str(options["to"]), cast("Mode", options["mode"]))
    if len(names) == 1:
        return chain
    mine = {name: value for name, value in options.items() if name in OPTIONS["export"]}
    rest = {name: value for name, value in options.items() if name not in mine or name == "to"}
    return (*before, link("export", **mine), link("quantize", **rest))


def check(root: Artifact, chain: Chain, request: Request, where: str) -> None:
    """Refuse a chain of a recipe before anything is built.

    :param where: in the recipe, for the message
    :raises InputError: if no steps lead where it goes, one is told what it cannot do, or the target does not run what
        it makes
    """
    from compress import verbs

    made, quantized = root.manifest.format, False
    for one in chain:
        if quantized:
            raise InputError(f"{where}: {one.verb} comes after quantize, which must come last.")
        quantized = one.verb == "quantize"
        try:
            made = verbs.check(root, one.verb, dict(one.options), made)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    if request.target is Target.EDGE and made != "tflite":
        raise InputError(f"{where}: --target edge runs TFLite alone, and this makes {made}.")
    if request.target is not Target.CUDA:
        if chain[-1].verb not in ("export", "quantize"):
            raise InputError(f"{where}: it ends with {chain[-1].verb}; it must end with export or quantize, to be run.")
        return
    if made not in (root.manifest.format, "onnx") or any(one.verb == "quantize" for one in chain):
        raise InputError(f"{where}: --target cuda runs float checkpoints and ONNX; INT8 and the like are for CPUs.")
    why = why_not_on_gpu("onnxruntime" if made == "onnx" else root.manifest.run.runtime)
    if why is not None:
        raise InputError(f"{where}: {why}")


def _cost(chain: Chain) -> tuple[bool, bool, bool]:
    """What is quickly built comes first: calibration takes time, and TFLite converts once for each length."""
    options = dict(chain[-1].options)
    return chain != REFERENCE, options.get("mode") == "static", options["to"] == "tflite"


def _missing(root: Artifact, to: str, mode: Mode | None) -> str | None:
    """What is not installed of what a form needs; None if nothing is."""
    from compress.chain import options_of_step
    from compress.route import route

    try:
        for name in route(root.manifest.format, to, mode):
            options_of_step(name)
    except MissingExtra as error:
        return str(error)
    except InputError as error:
        return str(error)
    return None


def can_prune(root: Artifact) -> bool:
    """Whether there is anything to prune: Hugging Face checkpoints alone are pruned."""
    return root.manifest.format == "huggingface"


def parts_of_depth(request: Request) -> tuple[float, ...]:
    """Parts (0-1) of the layers that smaller networks keep: on a GPU fewer in every search.

    A row there takes about as long in narrow layers as in wide ones: each operation waits for the one before it.
    """
    return DEPTHS[Effort.THOROUGH if request.target is Target.CUDA else request.effort]


def depths(layers: int, request: Request) -> tuple[int, ...]:
    """Numbers of layers that are tried of a network that has so many."""
    return tuple(dict.fromkeys(max(1, round(part * layers)) for part in parts_of_depth(request)))


def fastest_first(ratios: Mapping[Chain, float]) -> Sequence[Chain]:
    """Chains by their speed."""
    return sorted(ratios, key=lambda chain: -ratios[chain])
