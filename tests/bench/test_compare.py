"""Then and now: which conditions must be alike, and what counts as slower."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench import alike
from bench.compare import compare, show, to_json
from ftc.errors import InputError
from ftc.measurement import Cell, Conditions, Run
from tests.bench.made import CONDITIONS, measurement, run
from tests.bench.test_results import write


def released(path: Path, int8_ns: int, *, torch_ns: int = 8000, conditions: Conditions = CONDITIONS) -> Path:
    made = run(measurement("torch", torch_ns), measurement("onnx", torch_ns // 2), measurement("int8", int8_ns))
    write(replace(made, conditions=conditions, id=path.stem), path)
    return path


def test_a_release_that_got_slower_is_found_though_the_machine_was_faster(tmp_path: Path) -> None:
    old = released(tmp_path / "old.jsonl", 2000)
    new = released(tmp_path / "new.jsonl", 1200, torch_ns=4000)
    comparison = compare(old, new)
    assert comparison.is_slower
    assert comparison.anchor == "onnx"
    changes = {one.name: (one.change, one.ratio.value) for one in comparison.compared}
    assert changes["int8"] == ("slower", pytest.approx(1 / 1.2, rel=0.01))
    assert changes["torch"] == ("no difference shown", pytest.approx(1))
    back = compare(new, old)
    assert not back.is_slower
    assert {one.name: one.change for one in back.compared}["int8"] == "faster"
    with (tmp_path / "out").open("w+") as file:
        show(comparison, Console(file=file))
        file.seek(0)
        shown = file.read()
    for part in ("int8", "0.83x", "slower", "speed against onnx", "onnx itself took"):
        assert part in shown
    assert '"is_slower":true' in to_json(comparison).replace(" ", "")


def test_a_winner_that_is_not_there_any_more_is_no_pass(tmp_path: Path) -> None:
    old, new = released(tmp_path / "old", 2000), tmp_path / "new"
    write(run(measurement("torch", 8000), measurement("onnx", 4000), measurement("other", 2000)), new)
    comparison = compare(old, new)
    assert comparison.gone == "int8"
    assert comparison.is_worse
    assert not comparison.is_slower
    with (tmp_path / "out").open("w+") as file:
        show(comparison, Console(file=file))
        file.seek(0)
        assert "int8, the winner then, is not among the candidates now" in file.read()
    assert compare(new, old).gone == "other", "the other way round as well"


def test_a_file_of_another_name_is_compared_as_the_same(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shipped = measurement("int8", 2000)
    shipped = replace(shipped, candidate=replace(shipped.candidate, sha256="f00d"))
    write(run(measurement("torch", 8000), measurement("onnx", 4000), shipped), old)
    slower = replace(measurement("other", 3000), candidate=replace(shipped.candidate, name="other"))
    write(run(measurement("torch", 8000), measurement("onnx", 4000), slower, id="2"), new)
    comparison = compare(old, new)
    assert comparison.gone is None
    assert {one.name: one.change for one in comparison.compared}["int8"] == "slower"


def test_a_winner_that_is_gone_is_told_where_nothing_else_is_compared(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write(run(measurement("onnx", 4000), measurement("int8", 2000)), old)
    write(run(measurement("onnx", 4000), measurement("other", 2000), id="2"), new)
    assert compare(old, new).gone == "int8"


def test_a_newer_run_that_was_interrupted_is_not_passed_over(tmp_path: Path) -> None:
    old, new = released(tmp_path / "old", 2000), released(tmp_path / "new", 2000)
    write(run(measurement("torch", 8000), id="killed"), new, finished=False)
    with pytest.raises(InputError, match=r"was interrupted: finish it with ftc bench --resume -o .*new and"):
        compare(old, new)


def test_a_little_slower_is_not_slower(tmp_path: Path) -> None:
    comparison = compare(released(tmp_path / "old", 2000), released(tmp_path / "new", 2060))
    assert not comparison.is_slower


def test_a_run_whose_self_check_failed_is_compared_with_a_caution(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = released(tmp_path / "old", 2000), tmp_path / "new"
    onnx = measurement("onnx", 4000)
    twin = replace(onnx.candidate, id="again", name="onnx-again", twin_of=onnx.candidate.id)
    write(run(onnx, measurement("int8", 2000), replace(measurement("again", 5000), candidate=twin)), new)
    compare(old, new)
    assert f"in {new} did not pass: no ratio to it is to be believed" in capsys.readouterr().err


def test_unlike_conditions_are_refused_and_named(tmp_path: Path) -> None:
    old = released(tmp_path / "old", 2000)
    machine = replace(CONDITIONS.machine, cpu="another", governor="powersave", busy_cores=1.0)
    elsewhere = released(tmp_path / "new", 2000, conditions=replace(CONDITIONS, machine=machine, threads=1))
    with pytest.raises(InputError, match="unlike conditions") as caught:
        compare(old, elsewhere)
    for part in ("processor: a processor then, another now", "threads: 2 then, 1 now", "governor: unknown then"):
        assert part in str(caught.value)
    assert "busy" not in str(caught.value)


def test_another_version_is_what_a_release_is_and_is_told(tmp_path: Path) -> None:
    newer = replace(CONDITIONS, machine=replace(CONDITIONS.machine, versions={"numpy": "3"}))
    comparison = compare(released(tmp_path / "old", 2000), released(tmp_path / "new", 2000, conditions=newer))
    assert comparison.versions == ("numpy 2 -> 3",)


def test_speed_is_taken_against_what_runs_as_it_did(tmp_path: Path) -> None:
    def with_versions(**versions: str) -> Conditions:
        return replace(CONDITIONS, machine=replace(CONDITIONS.machine, versions=versions))

    before = with_versions(torch="2.0", onnxruntime="1.30")
    for number, (after, anchor, changed) in enumerate(
        (
            (before, "onnx", None),
            (with_versions(torch="2.0", onnxruntime="1.31"), "torch", None),
            (with_versions(torch="2.1", onnxruntime="1.30"), "onnx", None),
            (with_versions(torch="2.1", onnxruntime="1.31"), "onnx", "onnxruntime"),
        )
    ):
        old = released(tmp_path / f"old{number}", 2000, conditions=before)
        comparison = compare(old, released(tmp_path / f"new{number}", 2000, conditions=after))
        assert (comparison.anchor, comparison.changed) == (anchor, changed)
    written = io.StringIO()
    show(comparison, Console(file=written))
    assert "onnxruntime, which runs onnx, has another version now" in written.getvalue()


def on(kernel: str, python: str, memory_bytes: int, libc: str = "glibc2.36") -> Conditions:
    """A machine with such a system."""
    system = f"Linux-{kernel}-x86_64-with-{libc}"
    machine = replace(CONDITIONS.machine, platform=system, python=python, memory_bytes=memory_bytes)
    return replace(CONDITIONS, machine=machine)


def test_a_patch_of_kernel_or_python_is_told_and_compared(tmp_path: Path) -> None:
    old = released(tmp_path / "old", 2000, conditions=on("6.8.0-45", "3.11.9", 16_000_000_000))
    patched = released(tmp_path / "new", 2000, conditions=on("6.8.0-47", "3.11.10", 15_990_000_000))
    assert compare(old, patched).versions == (
        "Python 3.11.9 -> 3.11.10",
        "system Linux-6.8.0-45-x86_64-with-glibc2.36 -> Linux-6.8.0-47-x86_64-with-glibc2.36",
    )


@pytest.mark.parametrize(
    "other",
    [
        on("6.8.0-45", "3.12.1", 16_000_000_000),
        on("6.8.0-45", "3.11.9", 8_000_000_000),
        on("6.8.0-45", "3.11.9", 16_000_000_000, "musl"),
    ],
)
def test_another_python_memory_or_system_is_not_compared(tmp_path: Path, other: Conditions) -> None:
    old = released(tmp_path / "old", 2000, conditions=on("6.8.0-45", "3.11.9", 16_000_000_000))
    with pytest.raises(InputError, match="unlike conditions"):
        compare(old, released(tmp_path / "new", 2000, conditions=other))


def test_what_cannot_be_compared_says_why(tmp_path: Path) -> None:
    old = released(tmp_path / "old", 2000)
    interrupted = tmp_path / "interrupted"
    write(run(measurement("torch", 8000)), interrupted, finished=False)
    with pytest.raises(InputError, match="no run that was measured to its end"):
        compare(old, interrupted)
    broken = tmp_path / "broken"
    write(run(measurement("torch", 8000), measurement("onnx", 4000), id="1"), broken)
    write(run(measurement("torch", None, failure="no memory"), id="2"), broken)
    with pytest.raises(InputError, match="every candidate failed"):
        compare(old, broken)
    alone: Run = run(measurement("int8", 2000))
    write(alone, tmp_path / "alone")
    with pytest.raises(InputError, match="no checkpoint or float export in common"):
        compare(old, tmp_path / "alone")


def test_the_same_rows_in_another_file_and_other_cores_of_a_kind_are_alike() -> None:
    assert CONDITIONS.data is not None
    moved = replace(CONDITIONS, data=replace(CONDITIONS.data, source="elsewhere.tsv"), pinned_cores=(1,))
    assert alike.differences(replace(CONDITIONS, pinned_cores=(0,)), moved) == ()
    wider = replace(CONDITIONS, cells=(*CONDITIONS.cells, Cell(32)))
    assert alike.differences(CONDITIONS, wider) == ()
    (other,) = alike.differences(CONDITIONS, replace(CONDITIONS, data=replace(CONDITIONS.data, fingerprint="beef")))
    assert other.startswith("data: ")


def test_a_candidate_that_fails_now_is_worse_and_not_merely_missing(tmp_path: Path) -> None:
    old = released(tmp_path / "old.jsonl", 2000)
    new = tmp_path / "new.jsonl"
    broken = measurement("int8", None, failure="the file is damaged")
    write(run(measurement("torch", 8000), measurement("onnx", 4000), broken, id="new"), new)
    comparison = compare(old, new)
    assert (comparison.is_slower, comparison.is_worse) == (False, True)
    assert comparison.failed == (("int8", "the file is damaged"),)
    assert comparison.missing == ()
    with (tmp_path / "out").open("w+") as file:
        show(comparison, Console(file=file))
        file.seek(0)
        assert "int8 failed now: the file is damaged" in file.read()
    assert not compare(new, old).is_worse, "what failed then may run now"


def test_a_run_is_not_compared_with_itself(tmp_path: Path) -> None:
    old = released(tmp_path / "old.jsonl", 2000)
    (tmp_path / "copy.jsonl").write_bytes(old.read_bytes())
    for same in (old, tmp_path / "copy.jsonl"):
        with pytest.raises(InputError, match=r"are the same, .*measure the newer release first"):
            compare(old, same)


def test_candidates_of_one_name_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    def both(path: Path, second_ns: int) -> Path:
        first, second = measurement("int8", 2000), measurement("int8", second_ns)
        second = replace(second, candidate=replace(second.candidate, id="another"))
        write(run(measurement("onnx", 4000), second, first, id=path.stem), path)
        return path

    comparison = compare(both(tmp_path / "old", 2000), both(tmp_path / "new", 4000))
    changes = {one.name: one.change for one in comparison.compared}
    assert changes == {"int8 (id-of-int8)": "no difference shown", "int8 (another)": "slower"}


def test_speed_is_not_taken_against_an_export_that_became_another_file(tmp_path: Path) -> None:
    def made(path: Path, sha256: str, onnx_ns: int) -> Path:
        onnx = measurement("onnx", onnx_ns)
        onnx = replace(onnx, candidate=replace(onnx.candidate, sha256=sha256))
        write(run(measurement("torch", 8000), onnx, measurement("int8", onnx_ns // 2), id=path.stem), path)
        return path

    comparison = compare(made(tmp_path / "old", "aa", 4000), made(tmp_path / "new", "bb", 5000))
    assert comparison.anchor == "torch"
    assert comparison.is_slower
    assert compare(made(tmp_path / "same", "aa", 5000), tmp_path / "old").anchor == "onnx"
