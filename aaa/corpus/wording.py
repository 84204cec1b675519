"""How refusals, leaks of identity, languages and personal data read: rules of our own, cheap and blunt.

Each errs on the side of saying nothing: a pair that slips through costs less than a set whose best answers
are gone. Refusals and identities are known in English, with the commonest forms of five other languages;
languages by their script, and among those in Latin letters by their function words. Left out: models that
classify.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

OPENING = 200
"""Characters of an answer in which a refusal stands, where there is one."""

_REFUSAL = re.compile(
    r"""
    \bI(?:'|’)?m\s(?:very\s|so\s)?sorry,?\s(?:but\s)?(?:I|that)\b
    | \b(?:I|we)\s(?:cannot|can(?:'|’)?t|can\snot|am\s(?:not\sable|unable)\sto|won(?:'|’)?t|will\snot)\s
      (?:\w+\s)?(?:help(?!\sbut\b)|assist|answer|provide|comply|fulfil|do\sthat|generate|create|discuss|engage)
    | \bI\smust\s(?:respectfully\s)?(?:decline|refuse)\b
    | \bI(?:'|’)?m\s(?:not\sable|unable)\sto\s(?:help|assist|answer|provide|comply|fulfil|generate|create)
    | \bunable\sto\s(?:comply|fulfill?)\s(?:with\s)?(?:that|this|your)\b
    | \b(?:es\stut\smir\sleid,?\s(?:aber\s)?ich\skann|ich\skann\s(?:dabei|ihnen|dir)\s\w*\s*nicht\shelfen)
    | \b(?:je\ssuis\sdésolée?,?\s(?:mais\s)?je\sne\speux)
    | \b(?:lo\ssiento,?\s(?:pero\s)?no\spuedo)
    | \b(?:mi\sdispiace,?\s(?:ma\s)?non\sposso)
    | 很抱歉[，,]?\s*(?:但)?我(?:无法|不能)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_MAKERS = r"OpenAI|Anthropic|Google|Meta|Mistral(?:\sAI)?|Alibaba(?:\sCloud)?|DeepSeek|Cohere"
_MODELS = r"ChatGPT|GPT-?[345]\w*|Claude|Gemini|Bard|Llama|Qwen|Mistral|DeepSeek|SmolLM\w*"
_IDENTITY = re.compile(
    rf"""
    \bas\san?\s(?:AI|artificial\sintelligence|(?:large\s)?language\smodel)\b
    | \bI(?:'|’)?m\s(?:just\s|only\s)?an?\s(?:AI\b|(?:large\s)?language\smodel)
    | \bI\sam\s(?:just\s|only\s)?an?\s(?:AI\b|(?:large\s)?language\smodel)
    | \bmy\s(?:training\sdata|knowledge\scut-?off)\b
    | \b(?:I(?:'|’)?m|I\sam|my\sname\sis)\s(?:{_MODELS})\b
    | \bI\s(?:was|am|have\sbeen)\s(?:trained|created|developed|made|built)\sby\s(?:{_MAKERS})\b
    | \b(?:als\s(?:eine?\s)?(?:KI|Sprachmodell)|en\stant\squ(?:'|’)IA)\b
    | \bcomo\s(?:una?\s)?(?:IA|modelo\sde\slenguaje)\b
    | 作为(?:一个)?(?:AI|人工智能|语言模型)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PERSONAL = re.compile(
    r"""
    \b[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b          # e-mail
    | \b[A-Z]{2}\d{2}(?:\ ?[A-Z0-9]{4}){3,7}(?:\ ?[A-Z0-9]{1,3})?\b        # IBAN
    | \b\d{3}-\d{2}-\d{4}\b                                                # US social security
    | (?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])                           # IPv4
    | (?<!\w)\+\d{1,3}[ .-]?(?:\(\d{1,5}\)[ .-]?)?\d(?:[ .-]?\d){6,12}\b     # phone, international
    | \b\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b                                  # phone, North American
    """,
    re.VERBOSE,
)
_CARD = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
_WORD = re.compile(r"[^\W\d_]+")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+", re.DOTALL)

FUNCTION_WORDS = {
    "en": "the of and to in is that it for was with as on are this be by not have from which you",
    "de": "der die und das ist nicht ein eine zu den mit von für auf sich des dem auch werden wird sie",
    "fr": "le la les des et est une dans que qui pour pas sur avec sont ce plus par cette aux ne",
    "es": "el los las del y que en una por con para es se su como más pero sus está son lo",
    "it": "il di che è un una per non con del della sono le gli si alla anche più dei nel",
    "pt": "o os as do da em um uma que não para com por se mais dos na no são é ao",
    "nl": "de het een en van is dat niet op te zijn voor met die aan er ook wordt door maar",
}
_LANGUAGE = {language: frozenset(words.split()) for language, words in FUNCTION_WORDS.items()}
ENOUGH = 4
"""Function words, and as many times the runner-up's, that it takes to name a language."""
LETTERS = 20
"""Letters, at least, of which a script is told."""


def refuses(text: str) -> bool:
    """Whether an answer begins by declining."""
    return _REFUSAL.search(text[:OPENING]) is not None


def says_who_it_is(text: str) -> bool:
    """Whether an answer tells that a model wrote it, or which."""
    return _IDENTITY.search(text) is not None


def personal(text: str) -> bool:
    """Whether something stands in it that may be of a person."""
    if _PERSONAL.search(text):
        return True
    return any(_luhn(found[0]) for found in _CARD.finditer(text))


def _luhn(digits: str) -> bool:
    """Whether these may be the digits of a card (ISO/IEC 7812)."""
    plain = [int(c) for c in digits if c.isdigit()]
    doubled = [
        d if place % 2 == 0 else sum(divmod(2 * d, 10)) for place, d in enumerate(plain[::-1])
    ]
    return sum(doubled) % 10 == 0


def differs(question: str, answer: str) -> bool:
    """Whether they are in languages that are surely not the same; what cannot be told is not."""
    one, other = language(question), language(answer)
    if one is None or other is None:
        return False
    script, tongue = one
    other_script, other_tongue = other
    if script != other_script:
        return True
    return None not in (tongue, other_tongue) and tongue != other_tongue


@lru_cache(maxsize=256)
def language(text: str) -> tuple[str, str | None] | None:
    """(script, language or `None`) of a text, code and addresses left aside; `None`: too short to tell."""
    plain = _CODE.sub(" ", text)
    script = _script(plain)
    if script is None:
        return None
    return (script, _tongue(plain)) if script == "LATIN" else (script, None)


def _script(text: str) -> str | None:
    """The script of most letters, by their Unicode names; Japanese and Korean count whole."""
    found: Counter[str] = Counter()
    for letter in text[:2000]:
        if letter.isascii():
            found["LATIN"] += letter.isalpha()
        elif letter.isalpha():
            found[unicodedata.name(letter, "?").split(" ", 1)[0]] += 1
    kana = found.pop("HIRAGANA", 0) + found.pop("KATAKANA", 0)
    if kana:
        found["JAPANESE"] = kana + found.pop("CJK", 0)
    script, most = max(found.items(), key=lambda item: item[1], default=("", 0))
    dense = script in ("CJK", "JAPANESE", "HANGUL")
    return script if most >= (LETTERS // 4 if dense else LETTERS) else None


def _tongue(text: str) -> str | None:
    words = [word.casefold() for word in _WORD.findall(text[:2000])]
    counts = {name: sum(w in known for w in words) for name, known in _LANGUAGE.items()}
    (first, most), (_, second) = sorted(counts.items(), key=lambda item: -item[1])[:2]
    return first if most >= ENOUGH and most >= 2 * second else None
