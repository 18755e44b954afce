"""The embedder on a real model: what the options change, what is shared, what fails how."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ctxkit_sentence_transformers
import numpy as np
import pytest
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.embedder import SentenceTransformersEmbedder
from ctxkit_sentence_transformers.failures import load_failure
from ctxkit_sentence_transformers.harness import packaged_model

from ctxkit.errors import EmbedderError
from ctxkit.interfaces import EmbedderCapabilities

# A child of a process that has embedded with several threads; the alarm ends it where it would wait for ever.
FORK = """
import os, signal, sys
import numpy, torch
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.embedder import SentenceTransformersEmbedder
torch.set_num_threads(2)
embedder = SentenceTransformersEmbedder(SentenceTransformersConfig(model=sys.argv[1], device="cpu"))
texts = ["word " * 20] * 16
expected = embedder.embed_documents(texts)
child = os.fork()
if not child:
    signal.alarm(60)
    os._exit(0 if numpy.allclose(embedder.embed_documents(texts), expected, atol=1e-5) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
TEXTS = ["I moved to Lisbon in May.", "", "Where do I live?", "a\ud800b", "word " * 400]


@pytest.fixture(scope="module", autouse=True)
def _politely() -> Iterator[None]:
    """Use one thread, and give back what was set."""
    import torch  # noqa: PLC0415 - takes seconds

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model() -> Path:
    """A copy of all-MiniLM-L6-v2 that may be changed, its weights linked."""
    folder = packaged_model()
    assert folder is not None
    return folder


def made(model: Path, **options: Any) -> SentenceTransformersEmbedder:
    """Return an embedder of the model."""
    return SentenceTransformersEmbedder(SentenceTransformersConfig(model=str(model), device="cpu", **options))


@pytest.fixture(scope="module")
def embedder(model: Path) -> Iterator[SentenceTransformersEmbedder]:
    """The embedder with its defaults."""
    with made(model) as one:
        yield one


def copied(model: Path, folder: Path) -> Path:
    """Return a copy of the model whose settings may be changed; its weights are linked."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").symlink_to(model / "model.safetensors")
    return folder


def test_vectors_are_the_library_s_own(embedder: SentenceTransformersEmbedder, model: Path) -> None:
    """What is embedded is what sentence-transformers makes, row by row, at unit length."""
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    library = SentenceTransformer(str(model), device="cpu", local_files_only=True)
    plain = [TEXTS[0], TEXTS[2]] * 20
    expected = library.encode(plain, show_progress_bar=False)
    assert np.allclose(embedder.embed_documents(plain), expected, atol=1e-5)
    assert np.allclose(np.linalg.norm(embedder.embed_documents(TEXTS), axis=1), 1, atol=1e-5)
    assert embedder.max_tokens == 254


def test_concurrent_callers_share_batches_and_get_their_own(embedder: SentenceTransformersEmbedder) -> None:
    """Sixteen threads get what each would get alone, in fewer runs of the model than there were calls."""
    texts = [f"text number {number}" for number in range(64)]
    expected = embedder.embed_documents(texts)
    encoder = embedder._loaded()
    runs: list[int] = []

    def counted(route: str, batch: list[str]) -> Any:
        runs.append(len(batch))
        return encoder.encode(route, batch)

    embedder._batcher._run = counted
    try:
        with ThreadPoolExecutor(16) as pool:
            found = np.stack(list(pool.map(embedder.embed_query, texts)))
    finally:
        embedder._batcher._run = embedder._run
    assert np.allclose(found, expected, atol=1e-5)
    assert sum(runs) == 64
    assert len(runs) < 40


def test_options_that_change_vectors_change_the_fingerprint(
    embedder: SentenceTransformersEmbedder, model: Path, tmp_path: Path
) -> None:
    """Prompts, length and weights make another model; batch size, device and a copy do not."""
    base = embedder.fingerprint
    same = [
        made(model, batch_size=7),
        made(copied(model, tmp_path / "copy")),
        made(model, normalize=False),  # this model scales its vectors itself
        made(model, query_prompt=""),
        made(model, dimension=384),
    ]
    for one in same:
        assert one.fingerprint == base, repr(one)
        one.close()
    changed = copied(model, tmp_path / "changed")
    (changed / "model.safetensors").unlink()
    (changed / "model.safetensors").write_bytes(b"others")
    others = [
        made(model, query_prompt="query: "),
        made(model, document_prompt="query: "),
        made(model, dimension=128),
        made(model, dimension=128, normalize=False),
        made(changed),
    ]
    assert len({one.fingerprint for one in others} | {base}) == 6
    for one in others:
        one.close()


def test_prompts_and_length_do_what_they_say(embedder: SentenceTransformersEmbedder, model: Path) -> None:
    """A query's prompt stands in front of queries only; fewer components are the first ones at unit length."""
    with made(model, query_prompt="query: ", dimension=128) as one:
        assert one.dimension == 128
        assert one.max_tokens == 252
        asked = one.embed_query(TEXTS[0])
        written = embedder.embed_query("query: " + TEXTS[0])[:128]
        assert np.allclose(asked, written / np.linalg.norm(written), atol=1e-5)
        plain = embedder.embed_query(TEXTS[0])[:128]
        assert np.allclose(one.embed_documents([TEXTS[0]])[0], plain / np.linalg.norm(plain), atol=1e-5)


def test_capabilities_follow_the_configuration(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder needs no network; a usual name has a known length; offline is honoured from the environment too."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    assert SentenceTransformersConfig(model=str(model)).capabilities().offline
    named = SentenceTransformersConfig(model="all-mpnet-base-v2").capabilities()
    assert (named.dimension, named.offline, named.costs) == (768, False, True)
    assert SentenceTransformersConfig(offline=True).capabilities().offline
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert SentenceTransformersConfig().capabilities().offline


def test_the_announcement_is_true_and_light(model: Path) -> None:
    """The hook's targets exist, the default's capabilities agree, and importing the plugin imports nothing heavy."""
    (spec,) = ctxkit_sentence_transformers.ctxkit_embedders()
    assert isinstance(spec.capabilities, EmbedderCapabilities)
    assert spec.capabilities.dimension == SentenceTransformersConfig().capabilities().dimension == 384
    assert spec.factory.endswith(":SentenceTransformersEmbedder")
    code = (
        "import sys, ctxkit_sentence_transformers as p; p.ctxkit_embedders();"
        "assert not {'torch', 'numpy', 'transformers', 'huggingface_hub', 'sentence_transformers'} & set(sys.modules);"
        "from ctxkit_sentence_transformers.config import SentenceTransformersConfig as C;"
        "from ctxkit_sentence_transformers.embedder import SentenceTransformersEmbedder as E;"
        f"e = E(C(model={str(model)!r})); assert e.dimension == 384; assert e.fingerprint;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def test_a_forked_child_embeds(model: Path) -> None:
    """A worker that was forked from a process with a loaded model answers as its parent does."""
    environ = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", FORK, str(model)], check=True, timeout=120, env=environ)


def test_damaged_files_are_a_disk_error(model: Path, tmp_path: Path) -> None:
    """Truncated weights and settings that are no JSON name the disk, and the way out."""
    weights = copied(model, tmp_path / "weights")
    (weights / "model.safetensors").unlink()
    (weights / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:100_000])
    settings = copied(model, tmp_path / "settings")
    (settings / "config.json").write_text("{")
    for folder in (weights, settings):
        with made(folder) as one, pytest.raises(EmbedderError, match=r"\(disk\)") as caught:
            one.embed_query("x")
        assert "'static'" in str(caught.value.fix)


def test_no_memory_is_a_memory_error(embedder: SentenceTransformersEmbedder) -> None:
    """What torch raises when it gets no memory is told as that, while loading and while embedding."""
    import torch  # noqa: PLC0415

    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**55)
    assert "(memory)" in load_failure(refused.value, "m").message
    assert "(memory)" in load_failure(MemoryError(), "m").message
    assert "(memory)" in load_failure(OSError(errno.ENOMEM, "Cannot allocate memory"), "m").message
    assert "(disk)" in load_failure(OSError(errno.ENOSPC, "No space left on device"), "m").message
    shown = str(load_failure(ValueError("the token hf_abcdef is wrong"), "m"))
    assert "hf_abcdef" not in shown
    assert embedder.embed_query("still there").shape == (384,)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dimension": 500}, "384 components"),
        ({"backend": "onnx"}, r"ctxkit-sentence-transformers\[onnx\]"),
    ],
)
def test_what_cannot_be_had_is_refused(
    model: Path, options: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More components than there are, and a backend that is not installed, are typed errors that say so."""
    monkeypatch.setitem(sys.modules, "optimum", None)  # as where it is not installed
    with made(model, **options) as one, pytest.raises(EmbedderError, match=words):
        one.embed_query("x")
