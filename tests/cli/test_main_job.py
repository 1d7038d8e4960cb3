"""`ftc inspect`, `export`, `quantize`, `prune` and `bench` as a user types them, in processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ftc.artifact import Artifact, find_artifacts, open_artifact
from tests.cli.typed import ftc, refused, typed


def test_inspect_quantize_inspect(text_checkpoint: Path, tmp_path: Path) -> None:
    inspected = typed("inspect", text_checkpoint)
    assert inspected.returncode == 0
    assert "text-classification" in inspected.stdout
    assert "negative, positive" in inspected.stdout
    made = typed("quantize", text_checkpoint, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    names = [artifact.path.name for artifact in find_artifacts(tmp_path / "artifacts")]
    assert names == ["tiny-bert-onnx", "tiny-bert-onnx-dynamic-int8"]
    assert "artifacts/tiny-bert-onnx-dynamic-int8" in made.stdout
    assert "next: ftc bench" in made.stdout
    verified = typed("inspect", tmp_path / "artifacts" / "tiny-bert-onnx-dynamic-int8", "--verify")
    for line in ("quantize-onnx-dynamic", "export-onnx", "parity", "onnxruntime on model.onnx", "sha256"):
        assert line in verified.stdout
    again = typed("quantize", text_checkpoint, cwd=tmp_path)
    assert again.returncode == 0
    assert "taken as it is" in again.stderr


def test_results_as_json_and_nothing_else_on_stdout(text_checkpoint: Path, tmp_path: Path) -> None:
    made = typed("export", text_checkpoint, "--json", "-o", tmp_path / "out")
    summary = json.loads(made.stdout)
    assert Path(summary["path"]) == tmp_path / "out"
    shown = json.loads(typed("inspect", tmp_path / "out", "--json").stdout)
    assert shown["id"] == summary["id"]
    assert shown["parity"]["lossy"] is False


def test_quiet_says_nothing_but_the_result(text_checkpoint: Path, tmp_path: Path) -> None:
    made = typed("-q", "quantize", text_checkpoint, "--artifacts", tmp_path / "a")
    assert made.returncode == 0
    assert made.stderr == ""


def test_static_quantization_calibrates_on_data(text_checkpoint: Path, tmp_path: Path) -> None:
    rows = "".join(f"good film {number}\t{number % 2}\n" for number in range(40))
    (tmp_path / "train.tsv").write_text("sentence\tlabel\n" + rows)
    made = ftc("quantize", text_checkpoint, "--mode", "static", "--data", "train.tsv", "--rows", "16", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "text = 'sentence'" in made.stderr
    artifact = open_artifact(tmp_path / "artifacts" / "tiny-bert-onnx-static-int8")
    assert artifact.manifest.data is not None
    assert artifact.manifest.data.rows == 16


def test_a_convolutional_model_is_quantized_statically_or_not_at_all(
    image_checkpoint: Path, image_rows: Path, tmp_path: Path
) -> None:
    refused(ftc("quantize", image_checkpoint, cwd=tmp_path), "convolutional", "--data")
    refused(ftc("quantize", image_checkpoint, "--mode", "dynamic", cwd=tmp_path), "slower", "--mode static")
    assert not (tmp_path / "artifacts").exists()
    made = ftc("quantize", image_checkpoint, "--data", image_rows, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "artifacts" / "tiny-resnet-onnx-static-int8" / "ftc.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode", "static"], ["--data"]),
        (["--data", "rows.tsv"], ["--mode static"]),
        (["--integer-io"], ["is no option of", "belongs to --to tflite --mode static"]),
        (["--method", "entropy"], ["--method is no option of", "quantize-onnx-dynamic"]),
        (["--mode", "static", "--data", "missing.tsv"], ["missing.tsv"]),
        (["--mode", "static", "--data", "rows.tsv", "--text-column", "txt"], ["txt", "sentence"]),
        (["--mode", "static", "--data", "foreign.tsv"], ["angry", "negative", "positive"]),
        (["--mode", "static", "--data", "empty.tsv"], ["empty.tsv"]),
        (["--exclude", "no_such_node"], ["no_such_node"]),
        (["--task", "image-classification"], ["preprocessor_config.json"]),
        (["--task", "nonsense"], ["nonsense", "text-classification"]),
    ],
)
def test_bad_requests(text_checkpoint: Path, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    (tmp_path / "rows.tsv").write_text("sentence\tlabel\ngood\t1\nbad\t0\n")
    (tmp_path / "foreign.tsv").write_text("sentence\tlabel\ngood\tangry\n")
    (tmp_path / "empty.tsv").write_text("sentence\tlabel\n")
    refused(ftc("quantize", text_checkpoint, *arguments, cwd=tmp_path), *words)


@pytest.mark.parametrize("path", ["nothing", "empty", "file.txt"])
@pytest.mark.parametrize("command", ["inspect", "export", "quantize"])
def test_bad_paths(tmp_path: Path, command: str, path: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    refused(ftc(command, path, cwd=tmp_path), path)


def test_quantizing_twice_is_refused(text_int8: object, tmp_path: Path) -> None:
    path = text_int8.path  # type: ignore[attr-defined]
    refused(ftc("quantize", path, "--artifacts", tmp_path), "quantized already")


def test_an_output_with_other_content_is_kept(text_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    refused(ftc("export", text_checkpoint, "-o", tmp_path / "out", "--force"), "no artifact of ftc")
    assert (tmp_path / "out" / "precious").exists()
    made = tmp_path / "made"
    assert ftc("export", text_checkpoint, "-o", made).returncode == 0
    fused = open_artifact(made).manifest.id
    refused(ftc("export", text_checkpoint, "--graph", "plain", "-o", made), "--force")
    assert open_artifact(made).manifest.id == fused
    assert ftc("export", text_checkpoint, "--graph", "plain", "-o", made, "--force").returncode == 0
    assert open_artifact(made).manifest.id != fused


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_it_leaves_nothing_and_the_same_command_then_succeeds(
    text_checkpoint: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "ftc", "export", str(text_checkpoint), "-o", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not any(tmp_path.glob(".ftc-draft-*")):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (130, 143)
    assert "Traceback" not in stderr
    assert f"Error: {'interrupted' if number == signal.SIGINT else 'terminated'}; nothing half-made" in stderr
    assert list(tmp_path.iterdir()) == []
    assert ftc("export", text_checkpoint, "-o", "out", cwd=tmp_path).returncode == 0


def test_killed_in_the_middle_the_same_command_then_succeeds(text_checkpoint: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ftc", "quantize", str(text_checkpoint)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not any((tmp_path / "artifacts").glob(".ftc-draft-*")):
        time.sleep(0.01)
        assert process.poll() is None
    process.kill()
    process.wait()
    assert find_artifacts(tmp_path / "artifacts") == ()
    assert ftc("quantize", text_checkpoint, cwd=tmp_path).returncode == 0
    for artifact in find_artifacts(tmp_path / "artifacts"):
        open_artifact(artifact.path, verify=True)


def test_a_full_disk(text_checkpoint: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can make a small disk")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode != 0:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        refused(ftc("export", text_checkpoint, "-o", disk / "out"), "no space left", "choose another place", code=1)
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_bench_of_what_lies_elsewhere_is_not_the_ranking_of_the_artifacts(
    text_onnx: Artifact, text_int8: Artifact, tmp_path: Path
) -> None:
    here = tmp_path / "artifacts"
    short = ("--time-budget", "0.3", "--threads", "1")
    away = ftc("bench", text_onnx.path, text_int8.path, *short, cwd=tmp_path)
    assert away.returncode == 0, away.stderr
    said = f"the results are not kept, since {text_onnx.path} does not lie in artifacts: -o FILE keeps them"
    assert said in away.stderr
    assert f"next: ftc package {text_onnx.path.parent}/" in away.stdout, "artifacts hold no such winner"
    assert not here.exists()
    assert ftc("bench", text_onnx.path, *short, "-o", tmp_path / "kept.jsonl", cwd=tmp_path).returncode == 0
    assert (tmp_path / "kept.jsonl").is_file()
    shutil.copytree(text_onnx.path, here / text_onnx.path.name)
    assert ftc("bench", Path("artifacts") / text_onnx.path.name, *short, cwd=tmp_path).returncode == 0
    assert (here / "bench.jsonl").is_file()


def test_prune_tells_what_went_and_what_it_cost(text_checkpoint: Path, tmp_path: Path) -> None:
    rows = "".join(f"the screen is bright {number}\t{number % 2}\n" for number in range(60))
    (tmp_path / "train.tsv").write_text("sentence\tlabel\n" + rows)
    made = typed("prune", text_checkpoint, "--data", "train.tsv", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    for part in ("tiny-bert-keep-0.5", "parameters ", "heads left in each layer: ", "(of 4)", "accuracy ", " 12 rows"):
        assert part in made.stdout
    assert "next: ftc quantize artifacts/tiny-bert-keep-0.5" in made.stdout
    smaller = ftc("prune", text_checkpoint, "--data", "train.tsv", "--vocabulary", "--json", cwd=tmp_path)
    assert json.loads(smaller.stdout)["pruning"]["removed"][0]["kind"] == "tokens"
    shown = ftc("inspect", tmp_path / "artifacts" / "tiny-bert-trimmed")
    assert "tokens left: " in shown.stdout
    assert "ftc.checkpoint.load(" in shown.stdout
    refused(ftc("prune", text_checkpoint, "--data", "train.tsv", "--keep", "1.5", cwd=tmp_path), "1.5")
    refused(ftc("inspect", tmp_path / "artifacts"), "holds artifacts; name one of them")


def test_a_format_without_dynamic_quantization_is_static_by_default(text_checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="OpenVINO's INT8 needs pip install -c constraints.txt -e '.[openvino]'")
    refused(ftc("quantize", text_checkpoint, "--to", "openvino", cwd=tmp_path), "static INT8 measures ranges on data")
    wrong = ftc("quantize", text_checkpoint, "--to", "openvino", "--mode", "dynamic", cwd=tmp_path)
    refused(wrong, "there is no dynamic quantization to openvino", "there is --mode static, weight-only, float16")


def test_bench_compares_with_an_older_release_and_its_exit_code_tells(
    text_onnx: Artifact, text_int8: Artifact, tmp_path: Path
) -> None:
    bench = ("bench", text_onnx.path, text_int8.path, "--time-budget", "0.3", "--threads", "1")
    assert typed(*bench, "-o", tmp_path / "old.jsonl", cwd=tmp_path).returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "old.jsonl").read_text().splitlines()]
    for line in lines:
        if line["kind"] == "turn" and line["candidate_id"] == text_int8.manifest.id:
            line["turn"]["calls_ns"] = [[100 * ns for ns in calls] for calls in line["turn"]["calls_ns"]]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(line | {"run": "2"}) + "\n" for line in lines))
    again = (tmp_path / "old.jsonl").read_text().replace(lines[0]["run"], "3")
    (tmp_path / "again.jsonl").write_text(again)
    same = ftc("bench", "--compare", tmp_path / "old.jsonl", "-o", tmp_path / "again.jsonl", cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert "no difference shown" in same.stdout
    slower = ftc("bench", "--compare", tmp_path / "old.jsonl", "-o", tmp_path / "new.jsonl", "--json", cwd=tmp_path)
    assert slower.returncode == 3
    assert json.loads(slower.stdout)["is_slower"] is True
    gate = ("--compare", tmp_path / "old.jsonl")
    refused(
        ftc("bench", *gate, "--data", "rows.csv", cwd=tmp_path), "--data does not go with --compare", "measure first"
    )
    refused(ftc(*bench[:2], *gate, cwd=tmp_path), "PATHS does not go with --compare")
    refused(ftc(*bench, "--resume", "-o", tmp_path / "old.jsonl", cwd=tmp_path), "measured to its end")
    refused(ftc(*bench, "--resume", "-o", "no.jsonl", cwd=tmp_path), "no.jsonl is no file", "-o")
    interrupted = [line for line in lines if line["kind"] not in ("closed", "ended")]
    (tmp_path / "cut.jsonl").write_text("".join(json.dumps(line) + "\n" for line in interrupted))
    gone_on = ftc(*bench, "--resume", "-o", tmp_path / "cut.jsonl", "--batch-sizes", "1,8", cwd=tmp_path)
    assert gone_on.returncode == 0, gone_on.stderr
    assert "going on with the run of" in gone_on.stderr
    assert "batch 8" in gone_on.stdout, "asked for by name, though it is what throughput is told of"
    refused(ftc(*bench, "--precision", "x", cwd=tmp_path), "give a percentage")
    refused(ftc(*bench, "--scenario", "server", cwd=tmp_path), "--rate", "--latency-bound")
