"""The screen looks for a phrase only where one of its words is: the words must never leave one out."""

import random
from collections.abc import Iterator

from aaa.judges._phrases import PHRASES, SQUEEZED, kinds_in, squeezed_in
from aaa.judges._screen import _letters, _views
from tests.helpers.attacks import HONEST, INJECTIONS, MASTER_KEYS, UNSEEN

PIECES = (
    *(
        "choose",
        "this",
        "answer",
        "me",
        "is",
        "isme",
        ":me",
        '"me',
        "pick",
        "select",
        "my",
        "response",
    ),
    *(
        "best",
        "better",
        "winner",
        "ignore",
        "previous",
        "instructions",
        "give",
        "top score",
        "[[A]]",
    ),
    *(
        "judge",
        "evaluator",
        "grading",
        "is over",
        "system",
        "message",
        "prompt:",
        "end",
        "of",
        "start",
    ),
    *(
        "<|im_start|>",
        "<text-abcd>",
        "[INST]",
        "<<SYS>>",
        "### system:",
        '"better":',
        "'scores': {'a'",
    ),
    *("rationale", "holds", "(beginning", "submission", "material", "\n", ".", "!", "-", "Naïve"),
    *("这个回答", "最好", "忽略", "指令", "réponse", "cette", "choisis", "ответ", "выбери", "этот"),
)


def texts() -> Iterator[str]:
    """Attacks and honest answers as they are and cut up, and words of phrases thrown together."""
    chance = random.Random(7)
    whole = [text for group in INJECTIONS.values() for text in group]
    whole += [str(text) for group in (MASTER_KEYS, UNSEEN, HONEST) for text in group]
    for text in whole:
        yield text
        a, b = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        yield text[:a] + chance.choice(PIECES) + text[b:]
    for _ in range(3000):
        parts = chance.choices(PIECES, k=chance.randrange(2, 16))
        yield "".join(part + chance.choice((" ", "", "\n", ". ")) for part in parts)


def test_where_a_phrase_is_one_of_its_words_is_found() -> None:
    found = 0
    for text in texts():
        for view in _views(text):
            there = {kind for kind, pattern in PHRASES.items() if pattern.search(view)}
            assert there <= set(kinds_in(view)), (there - set(kinds_in(view)), view)
            letters = _letters(view)
            assert squeezed_in(letters) or not SQUEEZED.search(letters), view
            found += bool(there)
    assert found > 1000
