"""tokenizer.json files: byte-level and word pieces, trained here, so that nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ctxkit_tiktoken.config import HuggingFaceConfig
from ctxkit_tiktoken.huggingface import HuggingFaceTokenizer
from pydantic import ValidationError
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from ctxkit.errors import TokenizerError, UnsupportedError

EXAMPLE = Path(__file__).parents[1] / "src" / "ctxkit_tiktoken" / "example.json"
TEXTS = [
    "The harbour office opens at seven, and the ferry leaves when the tide allows it.",
    "Größe, naïve, 今天的天气很好。 👨\u200d👩\u200d👧 🦜",
    "<|endoftext|> and [CLS] are plain text here",
    "halves \ud83d\ude00 of one, and one \ud800 alone",
    "def area(radius):\n    return 3.14159 * radius ** 2\n",
    "   \n\t ",
    "antidisestablishmentarianism" * 10,
]


def changed(folder: Path, **values: Any) -> HuggingFaceConfig:
    """Write the example with other values, and return the configuration of it."""
    found = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**found, **values}), encoding="utf-8")
    return HuggingFaceConfig(file=folder)


@pytest.fixture(scope="module")
def word_pieces(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceConfig:
    """A vocabulary like BERT's, which lowers case, so that ids do not give the text back."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    tokenizer.train_from_iterator(TEXTS[:1], trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=9, pad_token="[PAD]", pad_id=3)  # noqa: S106 - a token of text
    folder = tmp_path_factory.mktemp("words-uncased")
    tokenizer.save(str(folder / "tokenizer.json"))
    return HuggingFaceConfig(file=folder)


def test_ids_give_the_text_back() -> None:
    """A byte-level file counts, encodes and decodes any text; special-token text is plain."""
    config = HuggingFaceConfig(file=EXAMPLE)
    tokenizer = HuggingFaceTokenizer(config)
    assert (tokenizer.name, tokenizer.exact, config.capabilities().encodes) == ("example", True, True)
    own = Tokenizer.from_file(str(EXAMPLE))
    for text in TEXTS:
        ids = tokenizer.encode(text)
        clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        assert tokenizer.count(text) == len(ids)
        assert tokenizer.decode(ids) == clean
        if "<|" not in text:
            assert ids == own.encode(clean).ids
    assert tokenizer.count("<|endoftext|>") > 1
    assert tokenizer.count("") == 0


def test_what_belongs_to_the_model_is_left_out(word_pieces: HuggingFaceConfig) -> None:
    """Special tokens around the text, the limit and the padding in the file do not count."""
    tokenizer = HuggingFaceTokenizer(word_pieces)
    assert tokenizer.name.startswith("words-uncased")
    assert tokenizer.count("the tide") == 2
    assert tokenizer.count("the tide " * 50) == 100
    assert tokenizer.count("[CLS]") > 1


def test_ids_that_would_change_the_text_are_refused(word_pieces: HuggingFaceConfig) -> None:
    """A vocabulary without case declares that it does not encode, and keeps to it."""
    assert word_pieces.capabilities().model_dump() == {"exact": True, "encodes": False}
    tokenizer = HuggingFaceTokenizer(word_pieces)
    for refused in (lambda: tokenizer.encode("a"), lambda: tokenizer.decode([1])):
        with pytest.raises(UnsupportedError):
            refused()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["bytes", "words"])
def test_cuts_fit_and_are_maximal(kind: str, side: Any, word_pieces: HuggingFaceConfig) -> None:
    """The part fits, and none of the next 16 longer ones does."""
    tokenizer = HuggingFaceTokenizer(HuggingFaceConfig(file=EXAMPLE) if kind == "bytes" else word_pieces)
    for text in [*TEXTS, TEXTS[0] * 20]:
        total = tokenizer.count(text)
        for budget in sorted({0, 1, total // 3, max(0, total - 1), total}):
            kept = tokenizer.truncate(text, budget, side)
            assert kept == (text[: len(kept)] if side == "right" else text[len(text) - len(kept) :])
            assert tokenizer.count(kept) <= budget
            for size in range(len(kept) + 1, min(len(kept) + 16, len(text)) + 1):
                at = size if side == "right" else len(text) - size
                if not ("\ud800" <= text[at - 1 : at] <= "\udbff" and "\udc00" <= text[at : at + 1] <= "\udfff"):
                    assert tokenizer.count(text[:at] if side == "right" else text[at:]) > budget


def test_split_joins_to_the_text() -> None:
    """Parts without an overlap are the text, each within the limit."""
    tokenizer = HuggingFaceTokenizer(HuggingFaceConfig(file=EXAMPLE))
    parts = tokenizer.split(TEXTS[0] * 3, 12)
    assert "".join(parts) == TEXTS[0] * 3
    assert all(0 < tokenizer.count(part) <= 12 for part in parts)


@pytest.mark.parametrize("ids", [[-1], [10**12], [0, 99_999]])
def test_impossible_ids_are_typed_errors(ids: list[int]) -> None:
    """The library would leave them out without a word."""
    with pytest.raises(TokenizerError, match=r"not all tokens of example.*Fix: "):
        HuggingFaceTokenizer(HuggingFaceConfig(file=EXAMPLE)).decode(ids)


@pytest.mark.parametrize(
    "values",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {"pre_tokenizer": None},
        {"decoder": None},
    ],
)
def test_what_changes_text_is_noticed(values: dict[str, Any], tmp_path: Path) -> None:
    """Normalising, adding a blank and dropping white space each mean that ids do not give the text back."""
    assert changed(tmp_path).capabilities().encodes
    assert not changed(tmp_path, **values).capabilities().encodes


def test_files_that_are_no_tokenizer_are_typed_errors(tmp_path: Path) -> None:
    """Missing, no JSON, other JSON, and JSON that the library refuses: each says which file, and what to do."""
    with pytest.raises(TokenizerError, match=r"absent\.json cannot be read as a tokenizer.*Fix: "):
        HuggingFaceTokenizer(HuggingFaceConfig(file=tmp_path / "absent.json"))
    file = tmp_path / "tokenizer.json"
    for content, message in (("{", "cannot be read"), ("[]", "no tokenizer"), ('{"model": {"type": "X"}}', "library")):
        file.write_text(content, encoding="utf-8")
        config = HuggingFaceConfig(file=tmp_path)
        assert not config.capabilities().encodes
        with pytest.raises(TokenizerError, match=message):
            HuggingFaceTokenizer(config).count("a boat")
    with pytest.raises(ValidationError):
        HuggingFaceConfig.model_validate({})
