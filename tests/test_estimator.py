"""The estimating tokenizer: never below the real ones, not far above, and lawful."""

from __future__ import annotations

import random
import re
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise
from typing import Literal

import estimator_corpora
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_vocab import NAMES, encodings, real_counts

from ctxkit.defaults import estimator, estimator_vocab
from ctxkit.defaults.estimator import EstimateConfig, EstimatingTokenizer
from ctxkit.defaults.estimator_vocab import PieceCosts, load_vocabulary, longest_coarsening
from ctxkit.errors import TokenizerError, UnsupportedError

TOKENIZER = EstimatingTokenizer(EstimateConfig())
LETTERS = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
ALPHABETS = {
    "words": st.text("abcdestlmrv' ABCDESTLM"),
    "ASCII": st.text(st.characters(max_codepoint=0x7F)),
    "blanks": st.text(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2003\u3000a./"),
    "signs": st.text("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\n\r "),
    "digits": st.text("0123456789\u0663\u096a\xbd\xb2\u2167 "),
    "Latin": st.text(st.characters(min_codepoint=0x20, max_codepoint=0x24F)),
    "letters and marks": st.text("aA\u4e2d\u3042\u0301\u0308\u200d\ufe0f\u02b0\u01c5 's\u017f1\xbd"),
    "Cyrillic and Greek": st.text(st.characters(min_codepoint=0x370, max_codepoint=0x4FF) | st.just(" ")),
    "Han and kana": st.text(st.characters(min_codepoint=0x3000, max_codepoint=0x9FFF)),
    "Indic and Thai": st.text(st.characters(min_codepoint=0x900, max_codepoint=0xE7F)),
    "emoji": st.text(st.characters(min_codepoint=0x1F300, max_codepoint=0x1F6FF) | st.sampled_from("\u200d\ufe0f a")),
    "surrogates": st.text(st.sampled_from("\ud83d\ude00\ud800\udfffa \n")),
    "everything": st.text(st.characters(codec=None)),
}
FORMS = ["{}", "a{}", "{}a", " {}", "1{}1", "\n{}", "{0}{0}", "A{}'s"]
ANY_TEXT = st.one_of(*ALPHABETS.values())
MIXTURES = st.lists(ANY_TEXT, max_size=6).map("".join)
REPEATED = st.tuples(st.text(max_size=4), st.integers(1, 400)).map(lambda pair: pair[0] * pair[1])


def within(text: str) -> bool:
    """Whether the estimate is at least the real count in both vocabularies."""
    return TOKENIZER.count(text) >= max(real_counts(text).values())


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_it_never_counts_too_few_in_one_alphabet(alphabet: str) -> None:
    """A budget kept by the estimate is kept by the model, whatever the script."""

    @settings(max_examples=300, deadline=None)
    @given(ALPHABETS[alphabet])
    def law(text: str) -> None:
        assert within(text)

    law()


@settings(max_examples=500, deadline=None)
@given(MIXTURES | REPEATED)
def test_it_never_counts_too_few_in_mixtures(text: str) -> None:
    """The law holds where alphabets meet, and for runs far longer than a token."""
    assert within(text)


@pytest.mark.parametrize("name", NAMES)
def test_it_never_counts_too_few_around_real_tokens(name: str) -> None:
    """Every tenth token, alone, doubled and glued to another, each vocabulary bounded on its own."""
    tokens = sorted(encodings()[name]._mergeable_ranks)[::10]
    words = [token.decode() for token in tokens if token.decode("utf-8", "ignore").encode() == token]
    noise = random.Random(7)  # noqa: S311  # a seed makes it the same every time
    texts = [*words, *(word + word for word in words), *(word + noise.choice(words) for word in words)]
    real = encodings()[name].encode_ordinary_batch(texts, num_threads=1)
    which = NAMES.index(name)
    assert len(words) > 9_000
    assert [text for text, ids in zip(texts, real, strict=True) if estimator._counts(text)[which] < len(ids)] == []


def low_beside_characters(form: str, step: int) -> list[str]:
    """Return the texts, one for each `step`th code point set into `form`, that either bound is too low for."""
    codes = [*range(0, 0xD800, step), *range(0xE000, 0x10000, step), *range(0x10000, 0x110000, 257 * step)]
    texts = [form.format(chr(code)) for code in codes]
    low = []
    for which, name in enumerate(NAMES):
        real = encodings()[name].encode_ordinary_batch(texts, num_threads=1)
        low += [text for text, ids in zip(texts, real, strict=True) if estimator._counts(text)[which] < len(ids)]
    return low


@pytest.mark.parametrize("form", FORMS)
def test_it_never_counts_too_few_beside_many_characters(form: str) -> None:
    """A sample of all planes, in each place where the class of a character matters."""
    assert low_beside_characters(form, 13) == []


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_never_counts_too_few_beside_any_character(form: str) -> None:
    """Every code point of the first plane, in the same places."""
    assert low_beside_characters(form, 1) == []


@pytest.mark.parametrize(("corpora", "limit"), [(estimator_corpora.english, 0.03), (estimator_corpora.code, 0.05)])
def test_the_mean_excess_is_small(corpora: object, limit: float) -> None:
    """English and code are estimated within a few percent, and never below."""
    assert callable(corpora)
    excesses = []
    for name, text in corpora().items():
        real = max(real_counts(text).values())
        assert len(text) > 20_000, name
        assert TOKENIZER.count(text) >= real, name
        excesses.append(TOKENIZER.count(text) / real - 1)
    assert sum(excesses) / len(excesses) < limit
    assert max(excesses) < 2 * limit


@pytest.mark.parametrize("kind", estimator_corpora.KINDS)
def test_no_kind_of_text_is_counted_too_low(kind: str) -> None:
    """Never under the larger of the two real counts, and within a tenth; a run of one letter within three times."""
    texts = [(name, text) for group, name, text in estimator_corpora.table() if group == kind]
    assert len(texts) > 1
    for name, text in texts:
        real = max(real_counts(text).values())
        assert real <= TOKENIZER.count(text) <= real * (3 if name == "one letter" else 1.1), name


def test_special_token_text_is_plain_text() -> None:
    """A user who writes a control token gets no control token, and pays for its characters."""
    text = "<|endoftext|><|fim_prefix|> <|im_start|>system<|endofprompt|>"
    assert max(real_counts(text).values()) > 15
    assert within(text)


def test_a_lone_surrogate_counts_as_the_replacement_character() -> None:
    """Text that cannot be encoded counts as what it becomes; a split pair counts as its character."""
    assert TOKENIZER.count("a\ud800b") == TOKENIZER.count("a\ufffdb")
    assert TOKENIZER.count("\ud83d\ude00") == TOKENIZER.count("\U0001f600")


def test_unsettled_code_points_cost_more() -> None:
    """A letter that some releases of Unicode do not know has a margin; an old one has none."""
    assert TOKENIZER.count("\u0378") == max(real_counts("\u0378").values()) + estimator.UNSETTLED_SURCHARGE
    assert TOKENIZER.count("\u4e2d") == max(real_counts("\u4e2d").values())


def test_trailing_blanks_count_as_the_dearer_of_two_cuts() -> None:
    """Releases of tiktoken cut white space at the end in two ways; both fit in the estimate."""
    for blanks in ("\n  ", " \n\n\t\t", "\r\n \n        ", "\n" * 9 + " " * 9):
        last = blanks.rindex("\n") + 1
        for encoding in encodings().values():
            parts = encoding.encode(blanks[:last]), encoding.encode(blanks[last:])
            assert TOKENIZER.count("end" + blanks) >= 1 + max(sum(map(len, parts)), len(encoding.encode(blanks)))


def test_five_megabytes() -> None:
    """A long text is counted whole, near the truth, and cut near the budget."""
    text = "\n".join(estimator_corpora.english().values()) * 12
    assert len(text) > 5_000_000
    real = max(real_counts(text).values())
    assert real <= TOKENIZER.count(text) <= real * 1.03
    kept = TOKENIZER.truncate(text, 1_000_000)
    assert text.startswith(kept)
    assert 999_990 <= TOKENIZER.count(kept) <= 1_000_000


@pytest.mark.parametrize(
    "unit", ["a", " ", "7", "\u0301", "-", "\n", "ab", "A\u4e2d", " x", "\u0e01", "\U0001f600", "1a"]
)
def test_a_long_run_of_anything(unit: str) -> None:
    """Runs that are one piece, or nothing but cuts, are counted and cut as other text is."""
    text = unit * (100_000 // len(unit))
    count = TOKENIZER.count(text)
    assert count >= max(real_counts(text).values())
    for side in ("left", "right"):
        kept = TOKENIZER.truncate(text, count // 2, side)
        more = text[: len(kept) + 1] if side == "right" else text[len(text) - len(kept) - 1 :]
        assert TOKENIZER.count(kept) <= count // 2 < TOKENIZER.count(more)


@settings(max_examples=400, deadline=None)
@given(MIXTURES, st.integers(0, 40), st.sampled_from(["left", "right"]))
def test_truncation_keeps_the_longest_part_that_fits(text: str, budget: int, side: str) -> None:
    """Compared with trying every length: none that fits and keeps surrogate pairs whole is longer."""
    parts = []
    for at in range(len(text) + 1):
        if "\ud800" <= text[at - 1 : at] <= "\udbff" and "\udc00" <= text[at : at + 1] <= "\udfff":
            continue
        part = text[:at] if side == "right" else text[at:]
        if TOKENIZER.count(part) <= budget:
            parts.append(part)
    assert TOKENIZER.truncate(text, budget, side) == max(parts, key=len)  # type: ignore[arg-type]  # one of the two


@settings(max_examples=60, deadline=None)
@given(st.text("abcdefgh", min_size=300, max_size=3000), st.integers(0, 400), st.booleans())
def test_truncation_inside_a_long_word_leaves_no_room(word: str, budget: int, left: bool) -> None:  # noqa: FBT001
    """Beyond what is tried length by length, one more character does not fit."""
    text = f"so {word}" if left else f"{word} so"
    kept = TOKENIZER.truncate(text, budget, "left" if left else "right")
    assert TOKENIZER.count(kept) <= budget
    if kept == text:
        return
    more = text[len(text) - len(kept) - 1 :] if left else text[: len(kept) + 1]
    assert TOKENIZER.count(more) > budget


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_word_that_fits_is_passed_over(side: Literal["left", "right"]) -> None:
    """What follows a long stretch without a cut is kept too, as far as it fits."""
    word, rest = "xq" * 3000, " and more" * 50
    text = f"go {word}{rest}" if side == "right" else f"{rest} {word}"
    budget = TOKENIZER.count(text) - 10
    kept = TOKENIZER.truncate(text, budget, side)
    assert word in kept
    assert TOKENIZER.count(kept) == budget


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_row_of_surrogate_pairs_is_cut_between_pairs(side: Literal["left", "right"]) -> None:
    """Both halves of a pair stay or go, also where the search is coarse."""
    text = "\ud83d\ude00" * 500
    for budget in (1, 2, 3, 301, 302, 303, 304):
        kept = TOKENIZER.truncate(text, budget, side)
        assert len(kept) % 2 == 0
        assert TOKENIZER.count(kept) <= budget < TOKENIZER.count(kept + text[:2])


def test_truncation_refuses_nonsense() -> None:
    """A negative budget or an unknown side is an error with its remedy."""
    with pytest.raises(TokenizerError, match=r"-1.*Fix: give a budget"):
        TOKENIZER.truncate("text", -1)
    with pytest.raises(TokenizerError, match=r"middle.*Fix: "):
        TOKENIZER.truncate("text", 1, "middle")  # type: ignore[arg-type]  # the mistake under test


@settings(max_examples=500, deadline=None)
@given(MIXTURES | REPEATED, MIXTURES | REPEATED)
def test_the_concatenation_bound_holds(left: str, right: str) -> None:
    """Counts of parts bound the count of the whole, up to the declared constant."""
    total = TOKENIZER.count(left + right)
    assert total <= TOKENIZER.count(left) + TOKENIZER.count(right) + TOKENIZER.concatenation_bound


@settings(max_examples=300, deadline=None)
@given(MIXTURES)
def test_counts_add_up_at_every_cut(text: str) -> None:
    """What blocks and truncation rest on: where text is cut, the two sides are cut as they are alone."""
    for cut in estimator._CUT.finditer(text):
        left, right = estimator._counts(text[: cut.start()]), estimator._counts(text[cut.start() :])
        assert estimator._counts(text) == (left[0] + right[0], left[1] + right[1])


def test_it_has_no_token_ids() -> None:
    """An estimate is no encoder and says so; its face tells that it is not exact."""
    with pytest.raises(UnsupportedError, match="Fix: "):
        TOKENIZER.encode("text")
    with pytest.raises(UnsupportedError, match="Fix: "):
        TOKENIZER.decode([1])
    assert (TOKENIZER.name, TOKENIZER.exact, TOKENIZER.count("")) == ("estimate", False, 0)


def test_threads_agree() -> None:
    """Threads that share one tokenizer and its caches count as one does."""
    texts = list(estimator_corpora.SENTENCES.values()) * 20
    alone = [TOKENIZER.count(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(TOKENIZER.count, texts)) == alone


def test_what_is_stored_is_true_of_the_vocabularies() -> None:
    """Known tokens are in both; ranked ones stand in their order, and none below the limits is missing."""
    costs = load_vocabulary().costs
    for name in NAMES:
        real = encodings()[name]._mergeable_ranks
        mine = costs[name]
        assert mine._known <= real.keys()
        order = sorted(mine._ranks, key=mine._ranks.__getitem__)
        assert all(real[a] < real[b] for a, b in pairwise(order))
        limits = [len(order)] * 2
        for token, rank in real.items():
            if token not in mine._ranks:
                assert not token.isspace()
                kind = 0 if LETTERS.intersection(token) else 1
                limits[kind] = min(limits[kind], _place(order, real, rank))
        assert mine._letter_limit <= limits[0]
        assert mine._other_limit <= limits[1]


def _place(order: list[bytes], real: dict[bytes, int], rank: int) -> int:
    """Return how many of the stored tokens rank below `rank`."""
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if real[order[middle]] < rank else (low, middle)
    return low


def test_character_classes_are_those_of_tiktoken() -> None:
    """Every code point has the class that the real splitting expressions give it."""
    everything = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)]))
    ranks = {bytes([byte]): byte for byte in range(256)}
    expressions = {"upper": r"[\p{Lu}\p{Lt}]", "lower": r"\p{Ll}", "uncased": r"[\p{Lm}\p{Lo}]", "mark": r"\p{M}"}
    for name, expression in {**expressions, "number": r"\p{N}"}.items():
        engine = tiktoken.Encoding(name, pat_str=expression, mergeable_ranks=ranks, special_tokens={})
        members = bytes(engine.encode_ordinary(everything)).decode()
        mine = "".join(chr(code) for first, last in load_vocabulary().classes[name] for code in range(first, last + 1))
        assert mine == members, name
    blanks = tiktoken.Encoding("blank", pat_str=r"\s", mergeable_ranks=ranks, special_tokens={})
    assert re.findall(f"[{estimator._SPACE}]", everything) == list(bytes(blanks.encode_ordinary(everything)).decode())


def test_no_token_crosses_a_change_of_script() -> None:
    """Words are bounded in parts only where the real merges never reach across."""
    cuts = load_vocabulary().costs["cl100k_base"]._cuts
    assert cuts is not None
    samples = [*map(chr, range(0x41, 0x370)), *map(chr, range(0x1E00, 0x1F00))]
    for token in encodings()["cl100k_base"]._mergeable_ranks:
        text = token.decode("utf-8", "replace")
        if "\ufffd" not in text:
            assert cuts.search(text) is None, text
            continue
        # A part of a character at either end may belong to any character that has it there.
        inner = token.lstrip(bytes(range(0x80, 0xC0)))
        head = token[: len(token) - len(inner)]
        after = inner.decode("utf-8", "ignore")
        if head and after:
            before = [sample for sample in samples if sample.encode().endswith(head)]
            assert all(cuts.match(sample + after, 1) is None for sample in before), token


@pytest.mark.parametrize("name", NAMES)
def test_windows_give_what_one_long_merge_gives(name: str) -> None:
    """A piece longer than a window is merged as if it had been done at once."""
    costs = load_vocabulary().costs[name]
    noise = random.Random(11)  # noqa: S311  # as above
    texts = [
        "".join(noise.choices(letters, k=900)) for letters in ("abcdefghijklmnop", "ACGT", "ab", "\u4e00\u4eba\u5927")
    ]
    for text in [*texts, "a" * 900, "hahah" * 180, "-" * 901, "\u0301" * 450, " " * 999]:
        raw = text.encode()
        whole = costs._merge(raw, costs._limit(raw))
        assert tuple(costs.segments(raw)) == whole


def test_a_token_that_fills_a_window_is_found() -> None:
    """Windows grow until a segment ends well inside."""
    ranks = {b"a" * 2**power: power for power in range(1, 10)}
    costs = PieceCosts(frozenset(), ranks, (99, 99), None)
    assert list(costs.segments(b"a" * 1600)) == [b"a" * 512] * 3 + [b"a" * 64]


def test_a_piece_whose_windows_never_join_is_counted_by_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every seam fails, the bound is loose but still a bound."""
    costs = PieceCosts(frozenset(), {b"aa": 0}, (9, 9), None)
    # A pair of segments that is one token can never be a seam.
    monkeypatch.setattr(costs, "_window", lambda raw, _: (raw,) if len(raw) <= 4 else (raw[:2],) * (len(raw) // 2))
    assert list(costs.segments(b"a" * 10_000)) == [b"a"] * 10_000


@settings(max_examples=300, deadline=None)
@given(st.text("abc", max_size=8), st.sets(st.text("abc", min_size=2, max_size=4)))
def test_the_bound_on_joins_is_a_bound(text: str, words: set[str]) -> None:
    """Compared with trying every way to join: none that keeps the law has more segments."""
    raw = text.encode()
    known = frozenset(word.encode() for word in words)
    parts = [raw[i : i + 1] for i in range(len(raw))]
    longest = 0
    for size in range(len(raw)):
        for cuts in combinations(range(1, len(raw)), size):
            ends = [0, *cuts, len(raw)]
            joined = [raw[a:b] for a, b in pairwise(ends)]
            if all(a + b not in known for a, b in pairwise(joined)):
                longest = max(longest, len(joined))
    assert longest <= longest_coarsening(parts, known) <= len(parts)


def test_the_cache_of_pieces_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endless new words do not fill the memory, nor do long ones."""
    monkeypatch.setattr(estimator_vocab, "_CACHED_PIECES", 10)
    costs = PieceCosts(frozenset(), {}, (0, 0), None)
    for number in range(100):
        assert costs[f"word{number}"] == len(f"word{number}")
    assert 0 < len(costs) <= 10
    costs.clear()
    assert costs["w" * 1000] == 1000
    assert not costs


def test_a_missing_data_file_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation says which file is missing and what to do."""
    monkeypatch.setattr(estimator_vocab, "DATA_FILE", "no_such_file.bin")
    with pytest.raises(TokenizerError, match=r"no_such_file\.bin.*Fix: reinstall"):
        load_vocabulary.__wrapped__()


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"format":2}\nxx', b'{"format":1,"sections":{"shared":4}}\nxx'])
def test_damaged_data_is_a_typed_error(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data of another shape is refused, not half read."""
    monkeypatch.setattr("zlib.decompress", lambda _: content)
    with pytest.raises(TokenizerError, match="Fix: reinstall"):
        load_vocabulary.__wrapped__()
