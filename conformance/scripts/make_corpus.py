"""Write the corpus by which estimating tokenizers are judged: our own texts and their true counts.

python conformance/scripts/make_corpus.py

Needs tiktoken and the vocabularies inside llama-index-core; the suite itself needs neither. Texts are taken from the
documentation and the source of this repository as they are now, and from below.
"""
# ruff: noqa: E501, RUF001 - the texts are data: their lines stay whole, and letters of other scripts are meant

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "conformance" / "src")]

from ctxkit_conformance.tokenizers.corpus import FILE, VOCABULARIES  # noqa: E402  # the path comes first
from tiktoken_vocab import real_counts  # noqa: E402

TARGET = ROOT / "conformance" / "src" / "ctxkit_conformance" / "tokenizers" / FILE
LONGEST = 1_800  # characters of one text

PAGES = ("README.md", "docs/architecture.md", "docs/memory.md", "docs/authors/index.md", "docs/authors/private.md")
MODULES = (
    "ctxkit/filters/evaluate.py",
    "ctxkit/defaults/extractive.py",
    "ctxkit/plugins/construction.py",
    "plugins/ctxkit-static/src/ctxkit_static/pooling.py",
    "plugins/ctxkit-static/src/ctxkit_static/unknown.py",
    "pyproject.toml",
)

ENGLISH = {
    "letter": """Dear Mrs Oakley,

thank you for lending me the ladder. I have cleaned the gutters, as you said I should have done in October, and found
two tennis balls, a wasps' nest (empty) and what I believe is your late husband's trowel. I'll bring it all round on
Saturday, unless it rains again; it usually does. You'd asked whether we would sell the apple tree's fruit: we won't,
there isn't enough. But you're welcome to as much as you can carry.

Yours, T. Marsh
""",
    "story": """Nobody in the village could remember when the clock had stopped. It had always been ten past four: on the
mornings when the fishermen went out, at the weddings, on the day the bank burned down. Children learned to tell the
time from it and had to learn again at school. When the new vicar had it repaired, in the spring of his first year,
there was an outcry. "What are we to look at now?" asked old Hannah, and she drew her curtains. It took a whole
summer before somebody climbed the tower by night and set it right, that is to say, to ten past four.
""",
    "dialogue": """User: hey, can you remind me what I said about the dentist?
Assistant: You told me on Tuesday that your appointment is on the 14th at 9:30, with Dr. Amari, not with Dr. Lee.
User: ok thx!! and did I say anything abt. the insurance?? I think it's the blue card
Assistant: Yes. You said that the blue card is the old one, and that the new one hasn't arrived yet.
User: lol right. pls remind me tmrw morning to call them, 0800-5550199 or so
Assistant: I'll remind you tomorrow morning. The number you gave me last week was 0800 555 0119, though.
""",
    "recipe": """Pancakes for four. 250 g of flour, 3 eggs, half a litre of milk, a pinch of salt, 30 g of melted butter.
Whisk the eggs with half of the milk, add the flour spoon by spoon, then the rest. Let it stand for 20-30 minutes
(don't skip this!). Heat a pan to about 180 °C, brush it with butter, and bake each side for 1½ minutes. Keep warm at
80 °C. Serve with lemon and sugar; with cheese & ham; or with nothing at all.
""",
    "minutes": """MINUTES OF THE 3RD MEETING, 12/03/2024. Present: A. Brandt (chair), L. N'Diaye, S. O'Rourke, J. Wu.
1) The minutes of the 2nd meeting were approved, 3:0:1. 2) Budget: EUR 14,250.00 are left of EUR 38,000.00, i.e. 37.5%;
the treasurer expects a deficit of approx. EUR 2k by Q4. 3) The roof: three offers, the cheapest at £9,999. Decision
postponed, again. 4) Any other business: none. The meeting closed at 21:47.
""",
}
CODE = {
    "JavaScript": """export async function fetchPages(urls, { limit = 4, signal } = {}) {
  const queue = [...urls], results = new Map();
  await Promise.all(Array.from({ length: limit }, async () => {
    while (queue.length) {
      const url = queue.shift();
      try {
        const res = await fetch(url, { signal, headers: { 'Accept': 'text/html' } });
        if (!res.ok) throw new Error(`HTTP ${res.status} for ${url}`);
        results.set(url, (await res.text()).replace(/\\s{2,}/g, ' ').trim());
      } catch (err) { results.set(url, null); console.warn(err?.message ?? err); }
    }
  }));
  return urls.map((u) => results.get(u) ?? '');
}
""",
    "SQL": """CREATE TABLE IF NOT EXISTS turns (id INTEGER PRIMARY KEY, session TEXT NOT NULL, said_at REAL, body TEXT);
CREATE INDEX turns_by_session ON turns (session, said_at DESC);
WITH latest AS (SELECT session, MAX(said_at) AS at FROM turns GROUP BY session HAVING COUNT(*) > 10)
SELECT t.session, substr(t.body, 1, 80) AS head, julianday('now') - t.said_at / 86400.0 AS age
FROM turns t JOIN latest l ON l.session = t.session AND l.at = t.said_at
WHERE t.body NOT LIKE '%\\_draft%' ESCAPE '\\' ORDER BY age LIMIT 25 OFFSET 50;
""",
    "JSON": "[\n"
    + ",\n".join(
        f'  {{"id": {i}, "name": "user-{i * 7919 % 997:03d}", "score": {i * i % 101 / 100}, "tags": ["a{i % 3}", null]}}'
        for i in range(24)
    )
    + "\n]\n",
    "shell": """#!/usr/bin/env bash
set -euo pipefail
for f in "$@"; do
    n=$(wc -l < "$f") || { echo "cannot read $f" >&2; exit 1; }
    if [[ "$n" -gt 1000 && ! -e "${f%.log}.gz" ]]; then gzip -9 --stdout -- "$f" > "${f%.log}.gz" && rm -f -- "$f"; fi
done
find . -name '*.tmp' -mtime +7 -print0 | xargs -0 -r rm -v | awk '{ s += 1 } END { printf "%d removed\\n", s }'
""",
    "C": """static size_t utf8_trim(const unsigned char *s, size_t n, size_t max) {
    size_t i = n < max ? n : max;
    while (i > 0 && i < n && (s[i] & 0xC0u) == 0x80u) --i;   /* 10xxxxxx goes on */
    return i;
}

int main(int argc, char **argv) {
    for (int k = 1; k < argc; k++)
        printf("%zu\\t%s\\n", utf8_trim((const unsigned char *)argv[k], strlen(argv[k]), 16), argv[k]);
    return argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
""",
    "HTML": """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Berths &amp; boats</title>
<style>.free{color:#2a7a3b;font-weight:600}@media (max-width:40rem){td{display:block;padding:.25em 0}}</style></head>
<body><table id="berths"><tr><td class="free" data-berth="14">14</td><td>&mdash;</td></tr></table>
<script defer>document.querySelectorAll('[data-berth]').forEach(e=>e.onclick=()=>alert(e.dataset.berth))</script></body></html>
""",
}
SCRIPTS = {
    "Chinese": "港口管理处昨天宣布\uff0c十四号泊位从下周一起关闭维修\uff0c预计需要三个星期。在此期间\uff0c停泊在那里的船只可以"
    "免费使用北码头。老王对此不太满意\u201c北码头离市场太远了\uff01\u201d他说\uff0c\u201c我每天早上四点就要卸鱼。\u201d",
    "Japanese": "昨日の夕方、古い時計台の鐘が五十年ぶりに鳴りました。修理したのは、町でただ一人の時計屋である山田さんです。"
    "「部品が見つからなくて、自分で作りました」と笑います。来月からは毎日正午に鳴る予定です。",
    "Korean": "할머니는 매년 가을이 되면 마당에서 감을 따서 말리셨다. 올해는 비가 많이 와서 감이 얼마 열리지 않았지만, 그래도"
    " 이웃집 아이들에게 나누어 줄 만큼은 되었다. \u201c내년에는 더 많이 열릴 거야.\u201d",
    "Russian": "Поезд опоздал на сорок минут, и никто на перроне этому не удивился. Дежурный по станции пил чай и смотрел,"
    " как снег заметает рельсы. «Придёт, куда он денется», — сказал он, не оборачиваясь.",
    "Ukrainian and Greek": "Ґанок пофарбували торік, а він уже облазить. Η βροχή άρχισε το απόγευμα και δεν σταμάτησε ως το"
    " πρωί· οι δρόμοι του χωριού έγιναν ποτάμια.",
    "Arabic": "وصلت السفينة إلى الميناء بعد غروب الشمس بقليل، وكان البحر هادئاً كالمرآة. قال القبطان إن الرحلة استغرقت ثلاثة"
    " عشر يوماً، وإنهم لم يروا اليابسة إلا مرتين.",
    "Hebrew": "הדוור הגיע היום מאוחר מהרגיל, והביא איתו רק מכתב אחד. על המעטפה לא היה שם השולח, אבל את כתב היד הכרתי מיד.",
    "Hindi": "बाज़ार में आज आम बहुत सस्ते थे, इसलिए दादी ने पूरी टोकरी खरीद ली। शाम को सारे मोहल्ले के बच्चे हमारे आँगन में इकट्ठा"
    " हो गए और रात तक आम का रस बनता रहा।",
    "Thai": "เมื่อวานนี้ฝนตกหนักจนน้ำท่วมถนนหน้าตลาด แม่ค้าต้องยกของขึ้นที่สูง แต่ทุกคนก็ยังหัวเราะกันได้",
    "Tamil and Bengali": "காலையில் கடற்கரையில் நடந்தால் மனம் அமைதியாகிறது. নদীর ধারে পুরোনো বটগাছটা এখনও দাঁড়িয়ে আছে।",
    "Vietnamese, Polish, Turkish": "Sáng nay trời se lạnh, bà ngoại nhóm bếp sớm hơn mọi ngày. Źdźbła trawy chrzęściły pod"
    " śniegiem, gdy szliśmy do młyna. Çarşıdaki fırıncı bugün geç açtı; şaşırdık doğrusu.",
    "German, French, Spanish": "Der Bürgermeister überreichte der Küchenhilfe Blumensträuße. L'été dernier, nous avons goûté"
    " des cerises à l'ombre du clocher. ¿Quién dejó la puerta abierta? Ningún niño lo sabía, señora.",
    "Georgian, Armenian, Ethiopic": "მეზღვაურმა ღამით შუქურა დაინახა. Ծերունին նստել էր պատուհանի մոտ։ ዝናቡ ሌሊቱን ሙሉ ዘነበ።",
}
EMOJI = {
    "faces": "😀😂🥰😎🤔🙃😴🤯🥳😭 so happy!!! 😊😊😊 ok 👌 bye 👋",
    "joined": "👨\u200d👩\u200d👧\u200d👦 👩🏽\u200d🚀 🧑🏿\u200d🤝\u200d🧑🏻 🏳\ufe0f\u200d🌈 🏴\u200d☠\ufe0f ❤\ufe0f\u200d🔥 👁\ufe0f\u200d🗨\ufe0f",
    "flags and keys": "🇫🇷🇯🇵🇧🇷🇿🇦 1\ufe0f\u20e32\ufe0f\u20e3#\ufe0f\u20e3 🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "in text": "The launch 🚀 went well 🎉🎉 but the cake 🎂 didn't survive 🐶😅. See you at 7️⃣ pm ☕️?",
    "recent": "🫠🫡🫶🫥🪩🪿🫨🩷🐦\u200d⬛",
}
BLANKS = {
    "indentation": "".join("    " * (i % 6) + "x\n" for i in range(40)),
    "tabs": "a\tb\t\tc\t\t\td\n" * 30,
    "line breaks": "one\n\ntwo\n\n\nthree\r\n\r\nfour\r\n" * 12,
    "runs": " " * 3 + "a" + " " * 17 + "b" + " " * 90 + "c" + "\n" * 40 + "d" + " \n" * 25 + "\t" * 33 + " " * 12,
    "odd blanks": "a\u00a0b\u2003c\u3000d\u200be\u2028f\x0bg\x0ch\x85i " * 15,
    "trailing": "the end" + " " * 9 + "\n" * 5 + " " * 9,
}
SIGNS = {
    "rules": "-" * 79 + "\n" + "=" * 79 + "\n" + "*" * 20 + "\n" + "#" * 9 + "/" * 40 + "." * 60 + "_" * 33 + "\n",
    "table": "| a | b | c |\n|---|:-:|--:|\n" + "| 1 | 2.5 | -3e8 |\n" * 20,
    "hexadecimal": "".join(f"{i * 2654435761 % 2**32:08x}" for i in range(60)),
    "digits": "3.14159265358979323846264338327950288419716939937510 " * 4
    + "1,000,000.00 +49 (0)30 901820 2024-02-29T23:59:60Z",
    "no blanks": "".join(chr(97 + i * i * 31 % 26) for i in range(400)),
    "long word": "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3,
    "addresses": "https://example.org/a/b%20c?x=1&y=%C3%A9#top mailto:no.body+tag@example.com C:\\Users\\me\\AppData\\x.tmp ::1",
    "control tokens": "<|endoftext|><|im_start|>system\nYou are<|im_end|> <s>[INST] <<SYS>> </s> <|fim_prefix|><|endofprompt|>",
    "broken": "a\ufffdb\x00c\x07d\x1b[0m\u0301e\u0301\u0301\u0301 \ufeffz\u0336a\u0336l\u0336g\u0336o\u0336",
    "mathematics": "∀ε>0 ∃δ>0: |x−x₀|<δ ⇒ |f(x)−f(x₀)|<ε; ∑ₙ 1/n² = π²/6, ∫₀^∞ e^{-x²}dx = √π/2 ≈ 0.886",
}


def prose(page: str) -> str:
    """Return the paragraphs of a page of documentation, without its code, tables and headings."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    paragraphs = (part.strip() for part in text.split("\n\n"))
    kept = [part for part in paragraphs if part and not part.startswith(("|", "#", "    ", "!", "<"))]
    return "\n\n".join(kept)[:LONGEST]


def texts() -> Iterator[tuple[str, str, str]]:
    """Yield the kind, the name and the text of each."""
    for page in PAGES:
        yield "English", page, prose(page)
    for module in MODULES:
        yield "code", module, (ROOT / module).read_text("utf-8")[-LONGEST:]
    groups = {
        "English": ENGLISH,
        "code": CODE,
        "other scripts": SCRIPTS,
        "emoji": EMOJI,
        "white space": BLANKS,
        "signs": SIGNS,
    }
    for kind, group in groups.items():
        for name, text in group.items():
            yield kind, name, text


def main() -> None:
    """Write the file."""
    entries = [
        {"kind": kind, "name": name, "text": text} | {each: real_counts(text)[each] for each in VOCABULARIES}
        for kind, name, text in texts()
    ]
    TARGET.write_text(json.dumps({"format": 1, "texts": entries}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(f"{len(entries)} texts, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
