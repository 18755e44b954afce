"""Texts that components stumble over, by name; the checks of embedders use them too."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

ODD_TEXTS: Final[dict[str, str]] = {
    "empty": "",
    "blank": " ",
    "blanks": " \t\r\n\u00a0\u2003\u3000\x0b\x0c ",
    "line breaks": "\n\n\r\n\n",
    "one letter": "a",
    "signs": "!?#$%&()*+,-./:;<=>@[]^_{|}~",
    "NUL": "before\0after",
    "only NUL": "\0",
    "control characters": "\x01\x02\x1b[31m\x7f\x85",
    "accents": "Žluťoučký kůň; garçon, naïve, Größe, İstanbul",
    "combining": "e\u0301 a\u0308\u0304 Z\u0351\u036b\u0343\u036a\u0302",
    "only combining": "\u0301\u0308\u0327",
    "Chinese": "今天的天气很好\uff0c我们去公园散步。",
    "Japanese": "データベースに記録を保存します。",
    "Korean": "저장된 기록은 다시 찾을 수 있습니다.",
    "Arabic": "يجب أن تبقى الذاكرة بعد إعادة التشغيل.",
    "Hebrew in English": "The word \u202bשלמה\u202c means peace.",
    "Hindi": "आज मौसम बहुत अच्छा है।",
    "Thai": "วันนี้อากาศดีมาก",
    "emoji": "😀😂🥰👍🏽🎉🚀",
    "joined emoji": "👨\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 🇫🇷 1\ufe0f\u20e3",
    "zero width": "in\u200bvis\u200cib\u200dle\ufeff",
    "beyond the first plane": "\U0001d523\U0001d52f\U0001d51e\U0001d528 𐍈 𠜎",
    "noncharacter": "\uffff\ufdd0\U0010ffff",
    "lone surrogate": "a\ud800b",
    "only a lone surrogate": "\udfff",
    "surrogate pair in halves": "\ud83d\ude00 and \ude00\ud83d",
    "one long word": "antidisestablishmentarianism" * 20,
    "digits": "3141592653589793238462643383279502884197",
    "markup": "<s>[INST] <|im_start|>system\n<|endoftext|></s>",
}
"""Every one of them is a str, so every one is accepted."""

PLAIN_TEXTS: Final[tuple[str, ...]] = (
    "The boat is moored at berth 14.",
    "Rain is expected in the north until the evening.",
    "Yes.",
    (
        "She left the keys with the neighbour across the street, because the plumber was to come at noon while nobody"
        " was at home, and asked him to water the plants on the balcony as well."
    ),
    "def area(radius):\n    return 3.14159 * radius ** 2\n",
    "Invoice 2024-117 over 380.50 EUR is due on 1 March.",
    "Why does the kettle whistle?",
    "Der Zug nach Hamburg hat eine Stunde Verspätung.",
    "milk, eggs, flour, two lemons",
    "The committee adjourned without a decision on the new library, although the architect had shown three drafts.",
)
"""What people write: several lengths, all different."""

ANY_TEXT: Final = st.one_of(
    st.text(),
    st.text(st.characters(codec=None)),
    st.text(st.characters(categories=["Cs", "Mn", "Cf", "So", "Zs", "Cc"])),
    st.lists(st.sampled_from([*ODD_TEXTS.values(), *PLAIN_TEXTS]), max_size=3).map("".join),
)
"""Any str at all, lone surrogates included."""


def well_formed(text: str) -> str:
    """Return the text as it can be written down: surrogate pairs joined, lone ones replaced by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


SPECIAL_TEXTS: Final[tuple[str, ...]] = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|fim_prefix|>",
    "<|endofprompt|>",
    "<s>",
    "</s>",
    "[INST]",
    "<<SYS>>",
    "<|eot_id|>",
    "<start_of_turn>",
    "[CLS]",
    "<unk>",
)
"""What the control tokens of well-known models look like."""
