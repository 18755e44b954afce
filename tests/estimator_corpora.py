"""Texts of many kinds on which an estimate is measured; all from the installation, from a seed, or written here."""

from __future__ import annotations

import ast
import base64
import random
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_LIMIT = 150_000
_STDLIB = Path(sysconfig.get_path("stdlib"))
_PACKAGES = Path(sysconfig.get_path("purelib"))
KINDS = ("English", "code", "CJK", "emoji", "white space", "other scripts", "odd")
SENTENCES = {
    "Chinese": "今天的天气非常好\uff0c我们决定去公园散步。数据库的一致性与可用性之间需要权衡。",
    "Japanese": "昨日は友達と映画を見に行きました。データベースの設計では、正規化と性能のバランスを考えます。",
    "Korean": "오늘은 날씨가 매우 좋아서 공원에 산책을 갔습니다. 저장된 기록은 언제든지 검색할 수 있어야 합니다.",
    "Russian": "Сегодня прекрасная погода, и мы решили погулять. Память должна сохраняться после перезапуска.",
    "Arabic": "الطقس جميل اليوم وقررنا الذهاب إلى الحديقة للمشي. يجب أن تبقى الذاكرة بعد إعادة التشغيل.",
    "Hindi": "आज मौसम बहुत अच्छा है और हमने पार्क में टहलने का फैसला किया। स्मृति बनी रहनी चाहिए।",
    "Thai": "วันนี้อากาศดีมากเราจึงตัดสินใจไปเดินเล่นที่สวนสาธารณะ ความจำต้องคงอยู่หลังจากเริ่มใหม่",
    "German, French": "Das Wetter ist wunderschön, also gehen wir. La mémoire doit être gardée jusqu'à l'été.",
    "Vietnamese": "Hôm nay thời tiết rất đẹp nên chúng tôi đi dạo trong công viên. Bộ nhớ phải còn.",
    "emoji": "😀😂🥰👍🏽🎉🚀 👨\u200d👩\u200d👧\u200d👦🏳\ufe0f\u200d🌈 well done 🎉🎉!! bye 👋🏻 ⛄ 🇫🇷🇯🇵 1\ufe0f\u20e3",
}


def _docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text and len(text) > 200:  # prose, not a label
                yield text


def _joined(paths: list[Path]) -> str:
    return "\n".join(path.read_text("utf-8", "replace") for path in sorted(paths))[:_LIMIT]


def _metadata_body(path: Path) -> str:
    return path.read_text("utf-8", "replace").partition("\n\n")[2]


@cache
def english() -> dict[str, str]:
    """Return English prose: docstrings, licences, and what packages say of themselves."""
    docs = (text for path in sorted(_STDLIB.glob("[a-d]*.py")) for text in _docstrings(path))
    licences = [path for path in _PACKAGES.glob("*.dist-info/**/LICEN[CS]E*") if path.is_file()]
    bodies = (_metadata_body(path) for path in sorted(_PACKAGES.glob("*.dist-info/METADATA")))
    return {
        "docstrings": "\n\n".join(docs)[:_LIMIT],
        "licences": _joined(licences),
        "package descriptions": "\n".join(bodies)[:_LIMIT],
    }


@cache
def code() -> dict[str, str]:
    """Return source text: Python of several styles, JSON, and C where the interpreter brought its headers."""
    texts = {
        "Python, plain": _joined([_STDLIB / name for name in ("argparse.py", "ast.py", "dataclasses.py", "heapq.py")]),
        "Python, asyncio": _joined(list((_STDLIB / "asyncio").glob("*.py"))),
        "Python, tables": _joined(list((_STDLIB / "encodings").glob("cp*.py"))),
        "Python, numeric": _joined([_STDLIB / name for name in ("statistics.py", "fractions.py", "_pydecimal.py")]),
        "JSON": "["
        + ",\n".join(f'{{"id": {i}, "name": "user-{i * 7919 % 997}", "ok": {i % 3 == 0}}}' for i in range(900)),
        "JavaScript, minified": _minified(),
    }
    headers = list(Path(sysconfig.get_path("include")).glob("*.h"))
    return texts | ({"C headers": _joined(headers)} if headers else {})


def _minified() -> str:
    """Return what a minifier makes of a few small functions, over and over with other numbers."""
    source = (
        "!function(e,t){{'use strict';var n=t[{0}]||{{}};e.exports=function(r){{for(var o=0,i=r.length>>>0;o<i;++o)"
        "if(n.hasOwnProperty(r[o])&&null!=n[r[o]])return void(n[r[o]].x{0}=~~(.{0}*o));return!{0}}}}}(this,window);"
    )
    return "".join(source.format(number) for number in range(300))


@cache
def odd() -> dict[str, str]:
    """Return what is neither: encoded bytes, runs, identifiers, noise."""
    noise = random.Random(20)  # noqa: S311  # a seed makes it the same every time
    words = ("get", "user", "config", "http", "parse", "max", "token", "budget", "xml", "async", "vector", "sha")
    identifiers = ("".join(word.title() for word in noise.sample(words, 3)) for _ in range(800))
    return {
        "base64": base64.b64encode(noise.randbytes(20_000)).decode(),
        "hex": noise.randbytes(12_000).hex(),
        "digits": "".join(noise.choices("0123456789", k=20_000)),
        "identifiers": " ".join(f"{name}_{noise.randrange(256):02x}" for name in identifiers),
        "signs": "".join(noise.choices("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", k=4000)),
        "one line of letters": "".join(noise.choices("abcdefghijklmnopqrstuvwxyz", k=20_000)),
        "one letter": "a" * 20_000,
    }


@cache
def blanks() -> dict[str, str]:
    """Return white space of every sort, by itself and around a few letters."""
    noise = random.Random(21)  # noqa: S311  # as above
    usual = [" ", "  ", "\t", "\n", "\r\n", "    ", "        "]
    rare = ["\u00a0", "\u2003", "\u3000", "\u2028", "\x0b", "\x0c", "\x85"]
    return {
        "white space": "".join(noise.choices(usual, k=4000)),
        "rare white space": "".join(noise.choices(usual + rare, k=4000)),
        "indented letters": "".join("\n" * noise.randrange(1, 4) + " " * noise.randrange(40) + "x" for _ in range(400)),
        "blanks alone": " " * 20_000,
        "line breaks alone": "\n" * 20_000,
    }


@cache
def emoji() -> dict[str, str]:
    """Return pictures as people write them, and any of them with joiners, colours and variants between."""
    noise = random.Random(22)  # noqa: S311  # as above
    pictures = [chr(code) for code in (*range(0x1F300, 0x1F650), *range(0x1F680, 0x1F6D0), *range(0x2600, 0x2700))]
    joints = ["\u200d", "\ufe0f", "\U0001f3fb", "\U0001f3ff", "\u20e3", " "]
    return {"emoji": SENTENCES["emoji"], "any emoji": "".join(noise.choices([*pictures, *joints * 40], k=3000))}


def table() -> Iterator[tuple[str, str, str]]:
    """Yield (kind, name, text) of every corpus, kind by kind."""
    cjk = {name: SENTENCES[name] for name in ("Chinese", "Japanese", "Korean")}
    others = {name: text for name, text in SENTENCES.items() if name not in {*cjk, "emoji"}}
    corpora = (english(), code(), cjk, emoji(), blanks(), others, odd())
    for kind, texts in zip(KINDS, corpora, strict=True):
        for name, text in texts.items():
            yield kind, name, text
