"""The static embedder's vectors: the contract of every embedder, and meaning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ctxkit_static.config import StaticConfig
from ctxkit_static.embedder import StaticEmbedder
from pydantic import ValidationError

from ctxkit.errors import EmbedderError

PARAPHRASES = [
    ("How do I reset my password?", "I forgot my password and need a new one."),
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch."),
    ("She bought a new car last week.", "Last week she purchased an automobile."),
    ("The meeting was moved to Friday.", "They rescheduled the meeting for Friday."),
    ("He plays the violin in an orchestra.", "He is a violinist with a symphony orchestra."),
    ("My flight was cancelled because of snow.", "The airline cancelled my plane due to the blizzard."),
    ("We adopted a dog from the shelter.", "We took home a puppy from the animal rescue."),
    ("The doctor prescribed antibiotics.", "The physician gave me medicine for the infection."),
    ("Interest rates are going up again.", "The central bank raised its lending rate."),
    ("The recipe needs two eggs and flour.", "You bake this cake with flour and a pair of eggs."),
    ("Our team won the football match.", "The soccer game ended in a victory for our club."),
    ("The child is afraid of the dark.", "The little boy gets scared at night without a light."),
    ("I am learning to paint with watercolours.", "I started a painting class with watercolor."),
    ("The server crashed after the update.", "After upgrading, the computer system went down."),
    ("They got married in a small church.", "Their wedding took place in a little chapel."),
    ("The museum opens at nine in the morning.", "The gallery's opening hours start at 9 am."),
    ("She is studying biology at university.", "She is a college student of life sciences."),
    ("The train to Paris leaves at noon.", "At twelve o'clock the railway departs for Paris."),
    ("He broke his leg while skiing.", "He fractured a bone on the ski slope."),
    ("The company laid off many workers.", "The firm dismissed a large number of employees."),
    ("Climate change melts the glaciers.", "Global warming is making ice sheets disappear."),
    ("Grandma's birthday is in April.", "My grandmother was born in April."),
]
ODD_TEXTS = [
    "",
    " ",
    "\t\n\r  ",
    "\0",
    "a\0b",
    "\ud800",
    "lone \udfff here",
    "今天天气很好",
    "東京へ行きました",
    "안녕하세요",
    "привет",
    "שלום",
    "ไทย",
    "😀",
    "👩‍👩‍👧‍👦",
    "\u0301",
    "\u200b",
    "\ufeff",
    "\ufffd",
    "[UNK]",
    "[CLS] [SEP]",
    "##ing",
    "x" * 5_000,
    "!" * 5_000,
    "\U0010ffff",
    "\U00020000\U0002a6df",  # ideographs beyond the first plane
    "\U0001d552\U0001d553 \U0001f9d1\u200d\U0001f4bb \ue000 \U000f0000",  # mathematics, a joined emoji, private use
    "a" + "\u0301\u0323" * 300,
    "\u202eabc\u202c \u2066\u05d9\u05db\u05dc\u2069",
    "مرحبا بالعالم",
    "\u3000\u00a0\u2028",
]


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    """Return one embedder with the defaults."""
    return StaticEmbedder()


def test_paraphrases_are_nearer_than_unrelated_texts(embedder: StaticEmbedder) -> None:
    """Each text's nearest among all second texts is its own paraphrase, with a clear margin on average."""
    left = embedder.embed_documents([first for first, _ in PARAPHRASES])
    right = embedder.embed_documents([second for _, second in PARAPHRASES])
    cosines = left @ right.T
    assert cosines.argmax(axis=1).tolist() == list(range(len(PARAPHRASES)))
    unrelated = cosines[~np.eye(len(PARAPHRASES), dtype=bool)]
    assert np.diag(cosines).mean() > unrelated.mean() + 0.4


def test_shape_type_and_order(embedder: StaticEmbedder) -> None:
    """Rows are float32, of the declared dimension, and in the order of the texts."""
    texts = ["first", "second", "third"]
    vectors = embedder.embed_documents(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, embedder.dimension) == (3, 384)
    assert np.array_equal(vectors[::-1], embedder.embed_documents(texts[::-1]))
    assert embedder.embed_query("first").shape == (384,)
    assert embedder.normalized is True
    assert embedder.max_tokens is None


def test_no_texts_give_no_rows(embedder: StaticEmbedder) -> None:
    """An empty list gives shape (0, d)."""
    vectors = embedder.embed_documents([])
    assert vectors.shape == (0, 384)
    assert vectors.dtype == np.float32


@pytest.mark.parametrize("dimension", [384, 256, 128, 64])
def test_every_string_gives_a_finite_unit_vector(dimension: int) -> None:
    """Empty, blank, foreign, malformed and endless texts all have a direction, at every dimension."""
    embedder = StaticEmbedder(StaticConfig.model_validate({"dimension": dimension}))
    vectors = embedder.embed_documents(ODD_TEXTS)
    assert vectors.shape == (len(ODD_TEXTS), dimension)
    assert np.isfinite(vectors).all()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("dimension", [256, 128, 64])
def test_fewer_components_are_a_renormalised_prefix(embedder: StaticEmbedder, dimension: int) -> None:
    """Truncation keeps the first components, words outside the vocabulary included."""
    texts = [first for first, _ in PARAPHRASES] + ["今天天气很好", "привет, world", ""]
    prefix = embedder.embed_documents(texts)[:, :dimension]
    prefix /= np.linalg.norm(prefix, axis=1, keepdims=True)
    small = StaticEmbedder(StaticConfig.model_validate({"dimension": dimension})).embed_documents(texts)
    assert np.allclose(small, prefix, atol=1e-6)


def test_batch_equals_one_by_one(embedder: StaticEmbedder) -> None:
    """A text's vector does not depend on its company, across the borders of the internal groups."""
    texts = [f"turn {place}: {PARAPHRASES[place % 22][place % 2]}" for place in range(2_100)] + ODD_TEXTS
    batch = embedder.embed_documents(texts)
    for place in [*range(0, 2_100, 97), 1_023, 1_024, 1_025, *range(2_100, len(texts))]:
        assert np.array_equal(batch[place], embedder.embed_query(texts[place]))


def test_scripts_outside_the_vocabulary_are_told_apart(embedder: StaticEmbedder) -> None:
    """Texts that share words in another script are near, others are not, and none are all alike."""
    vectors = embedder.embed_documents(
        ["今天天气很好", "今天天气不错", "我喜欢吃苹果", "привет мир", "Привет, МИР!", "собака лает", "😀", "🚀"]
    )
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.4 > abs(cosines[0, 2])
    assert cosines[3, 4] > 0.95
    assert abs(cosines[3, 5]) < 0.4
    assert abs(cosines[6, 7]) < 0.4


def test_surrogate_pairs_count_as_their_character(embedder: StaticEmbedder) -> None:
    """Two halves of an emoji are the emoji; a lone half is dropped like any replacement character."""
    assert np.array_equal(embedder.embed_query("hi \ud83d\ude00"), embedder.embed_query("hi 😀"))
    assert np.array_equal(embedder.embed_query("hi \ud83d there"), embedder.embed_query("hi \ufffd there"))


def test_case_and_accents_do_not_matter(embedder: StaticEmbedder) -> None:
    """Text is normalised as the teacher normalises it."""
    assert np.array_equal(embedder.embed_query("Café SOCIÉTÉ"), embedder.embed_query("cafe societe"))


def test_vectors_are_the_same_in_another_process(embedder: StaticEmbedder) -> None:
    """Nothing depends on the hash seed or on the process."""
    texts = ["a plain sentence", "東京へ行きました", "неизвестное слово", ""]
    code = (
        "import sys, json; from ctxkit_static.embedder import StaticEmbedder;"
        "print(StaticEmbedder().embed_documents(json.loads(sys.argv[1])).tobytes().hex())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "12345"}
    found = subprocess.check_output([sys.executable, "-c", code, json.dumps(texts)], env=environment, text=True)
    assert found.strip() == embedder.embed_documents(texts).tobytes().hex()


def test_threads_share_one_embedder() -> None:
    """Eight threads that also race for the first load get what one thread gets."""
    texts = [first for first, _ in PARAPHRASES] + ODD_TEXTS
    expected = StaticEmbedder().embed_documents(texts)
    shared = StaticEmbedder()
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(lambda _: shared.embed_documents(texts), range(32)):
            assert np.array_equal(found, expected)


def test_a_text_of_5_mb_counts_to_its_end(embedder: StaticEmbedder) -> None:
    """Nothing is truncated: the words after the first millions of characters still turn the vector."""
    cold, music = "the weather in the mountains was cold ", "violin concert orchestra music "
    long = cold * 100_000 + music * 50_000
    assert len(long) > 5_000_000
    vector = embedder.embed_query(long)
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-5)
    assert vector @ embedder.embed_query(cold * 2 + music) > 0.9999
    assert vector @ embedder.embed_query(cold) < 0.95


@pytest.mark.parametrize("character", ["a", "東", "!", "\u0301"])
def test_a_long_text_without_white_space_is_accepted(embedder: StaticEmbedder, character: str) -> None:
    """Text that offers no place to cut still gives a unit vector."""
    vector = embedder.embed_query(character * 100_000)
    assert np.isclose(np.linalg.norm(vector), 1, atol=1e-5)


def test_cutting_a_long_text_does_not_change_its_words(embedder: StaticEmbedder) -> None:
    """Repeating a text often gives its own direction, so no word is lost or split at the inner cuts."""
    text = "Grandmother's unforgettable chrysanthemums bloomed near Wolverhampton. "
    assert embedder.embed_query(text * 2_000) @ embedder.embed_query(text) > 0.99999


def test_fingerprint_names_the_dimension_and_needs_no_model() -> None:
    """Each dimension has its own fingerprint, equal for equal configurations."""
    names = [
        StaticEmbedder(StaticConfig.model_validate({"dimension": dimension})).fingerprint
        for dimension in (384, 256, 128, 64, 384)
    ]
    assert len(set(names)) == 4
    assert names[0] == names[4] == StaticEmbedder().fingerprint


@pytest.mark.parametrize("wrong", [{"dimension": 100}, {"dimension": "large"}, {"dimensions": 384}])
def test_wrong_configuration_is_refused(wrong: dict[str, object]) -> None:
    """Unknown dimensions and unknown names are errors."""
    with pytest.raises(ValidationError):
        StaticConfig.model_validate(wrong)


def test_configuration_is_frozen_and_answers_its_capabilities() -> None:
    """A configuration cannot change under an embedder, and says its own dimension."""
    config = StaticConfig(dimension=128)
    assert config.capabilities().dimension == 128
    with pytest.raises(ValidationError):
        config.dimension = 64  # type: ignore[misc]


def test_what_is_not_a_list_of_texts_is_a_typed_error(embedder: StaticEmbedder) -> None:
    """One bare text, and an element that is no text, are named instead of embedded wrongly."""
    with pytest.raises(EmbedderError, match="list of texts"):
        embedder.embed_documents("text")
    with pytest.raises(EmbedderError, match="text 1 is a int"):
        embedder.embed_documents(["text", 1])  # type: ignore[list-item]
    for nothing in (None, 7):
        with pytest.raises(EmbedderError, match="list of texts"):
            embedder.embed_documents(nothing)  # type: ignore[arg-type]  # that is the point


def test_closed_embedder_refuses_work() -> None:
    """Closing twice is fine; embedding afterwards is a typed error."""
    embedder = StaticEmbedder()
    embedder.embed_query("hello")
    embedder.close()
    embedder.close()
    with pytest.raises(EmbedderError, match="closed"):
        embedder.embed_query("hello")
