"""What a model's files say, and which of them are wanted, without the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.description import content_hash, dimension_in, is_normalized, prompts_in
from ctxkit_sentence_transformers.files import onnx_file, wanted_files

LISTED = [
    "README.md",
    "config.json",
    "modules.json",
    "tokenizer.json",
    "vocab.txt",
    "modeling.py",
    "model.safetensors",
    "pytorch_model.bin",
    "tf_model.h5",
    "training_args.bin",
    "2_Dense/config.json",
    "2_Dense/pytorch_model.bin",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "onnx/model_quint8_avx2.onnx",
    "onnx/model_qint8_arm64.onnx",
    "openvino/openvino_model.bin",
]
SETTINGS = {"config.json", "modules.json", "tokenizer.json", "vocab.txt", "2_Dense/config.json"}


def written(folder: Path, modules: list[tuple[str, str]], **settings: Any) -> Path:
    """Return a folder with these modules; `settings` are files of settings by their path, `_` for the slash."""
    folder.mkdir()
    listed = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in modules]
    (folder / "modules.json").write_text(json.dumps(listed))
    for name, value in settings.items():
        path = folder / name.replace("__", "/") / "config.json" if name != "root" else folder / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value))
    return folder


def test_only_what_the_backend_reads_is_wanted() -> None:
    """One format of weights in each folder, settings, and code only where it may be run."""
    torch = SentenceTransformersConfig(model="x/y")
    assert set(wanted_files(LISTED, torch)) == SETTINGS | {"model.safetensors", "2_Dense/pytorch_model.bin"}
    trusting = SentenceTransformersConfig(model="x/y", trust_remote_code=True)
    assert set(wanted_files(LISTED, trusting)) - set(wanted_files(LISTED, torch)) == {"modeling.py"}
    onnx = SentenceTransformersConfig(model="x/y", backend="onnx")
    beside = {"2_Dense/pytorch_model.bin", "onnx/model.onnx", "onnx/model.onnx_data"}
    assert set(wanted_files(LISTED, onnx)) == SETTINGS | beside
    small = SentenceTransformersConfig(model="x/y", backend="onnx-int8")
    assert set(wanted_files(LISTED, small)) == SETTINGS | {"2_Dense/pytorch_model.bin", str(onnx_file(small))}
    without = [name for name in LISTED if not name.startswith("onnx/")]
    assert "model.safetensors" in wanted_files(without, onnx)  # from which it is exported


@pytest.mark.parametrize(
    ("modules", "settings", "dimension"),
    [
        ([("Transformer", ""), ("Pooling", "1")], {"1": {"word_embedding_dimension": 384}}, 384),
        (
            [("Transformer", ""), ("Pooling", "1"), ("Normalize", "2")],
            {"1": {"word_embedding_dimension": 10, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}},
            20,
        ),
        ([("Pooling", "1")], {"1": {"embedding_dimension": 10, "pooling_mode": ["mean", "max", "cls"]}}, 30),
        ([("Pooling", "1")], {"1": {"embedding_dimension": 10, "pooling_mode": "cls"}}, 10),
        ([("Pooling", "1"), ("Dense", "2")], {"1": {"word_embedding_dimension": 768}, "2": {"out_features": 512}}, 512),
        ([], {"root": {"hidden_size": 768}}, 768),
        ([("Transformer", "")], {"root": {}}, None),
        ([("StaticEmbedding", "0")], {}, None),
    ],
)
def test_the_length_is_read_from_the_last_step(
    tmp_path: Path, modules: list[tuple[str, str]], settings: dict[str, Any], dimension: int | None
) -> None:
    """Pooling modes multiply it, a dense layer sets it, scaling leaves it, and what is unknown stays unknown."""
    assert dimension_in(written(tmp_path / "model", modules, **settings)) == dimension


def test_scaling_and_prompts_are_read(tmp_path: Path) -> None:
    """Whether the model ends with unit length, and the prompts that are not empty."""
    folder = written(tmp_path / "model", [("Transformer", ""), ("Normalize", "1")])
    assert is_normalized(folder)
    assert prompts_in(folder) == {"prompts": {}, "default": None}
    said = {"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said))
    assert prompts_in(folder) == {"prompts": {"query": "query: "}, "default": "query"}
    assert not is_normalized(written(tmp_path / "other", [("Normalize", "1"), ("Dense", "2")]))


def test_the_hash_is_that_of_what_counts(tmp_path: Path) -> None:
    """Weights, vocabulary and settings count; history, other files and the order of keys do not."""
    folder = written(tmp_path / "model", [("Transformer", "")], root={"hidden_size": 8, "transformers_version": "4"})
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"1")

    def hashed() -> str:
        return content_hash(folder, ["model.safetensors"])

    first = hashed()
    (folder / "config.json").write_text(json.dumps({"transformers_version": "5", "hidden_size": 8}, indent=3))
    (folder / "README.md").write_text("other")
    (folder / "vocab.txt").write_text("not read beside tokenizer.json")
    assert hashed() == first
    seen = {first}
    for name, data in (
        ("model.safetensors", b"22"),
        ("tokenizer.json", b"[ ]"),
        ("config.json", b'{"hidden_size": 9}'),
    ):
        (folder / name).write_bytes(data)
        seen.add(hashed())
    assert len(seen) == 4
