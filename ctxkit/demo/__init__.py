"""A long conversation and questions about it: what ``ctxkit demo`` shows.

``conversation.jsonl`` holds one turn a line: ``turn_id`` ("s01-t01"), ``session_id``, ``timestamp`` (ISO 8601
with its offset from UTC), ``user`` and ``assistant``. The people, firms and order numbers in it are made up.

``questions.jsonl`` holds one question a line: ``id``, ``question``, a short ``answer``, ``kind``,
``evidence`` (turns that hold the answer, the one that first gave it in front), ``needle`` (verbatim pieces of
those turns), ``superseded`` (turns with the outdated value) and ``show`` (true for the six that make the best
display). How to read the lists depends on the kind:

- "fact": any one evidence turn, and any one needle, gives the answer.
- "corrected": the same, about a value that was changed in a later session; no needle stands in an older turn.
- "multi": each of two evidence turns holds a part, and every needle is needed.
"""
