"""Whether an answer says anything: settled by rule, before any judge is asked.

A judge can be won by ":" , by "Thought process:" or by a lone emoji, because such text looks like the
beginning of a good answer (One Token to Fool LLM-as-a-Judge, 2507.08794). So what holds nothing but
punctuation, blanks, emoji, markup and announcements of an answer is never chosen. "4", "Yes", "東京",
"π" and "∞" are answers. Left out: judging whether the content is any good.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters by category, blank to the eye: Hangul fillers, the empty braille cell."""
_THINGS = frozenset("∞∅")
"""Symbols that can be a whole answer."""
_TAGS = "think|thinking|thought|answer|solution|reasoning|response|output|final|result|reflection|scratchpad"
_MARKUP = re.compile(rf"```\w*|</?(?:{_TAGS})\s*/?>|\\(?:boxed|text|begin|end)\b", re.IGNORECASE)
_BREAKS = re.compile(r"[\n\r\u2028\u2029:;.!?…。！？：；،؛؟।|{}\[\]()]+")

_OPENERS = frozenset(
    piece.strip()
    for piece in """
    solution | the solution | a solution | my solution | answer | the answer | an answer
    my answer | answers | the answer is | the answer is as follows | my answer is
    the solution is | final answer | the final answer | the final answer is | final solution
    response | my response | reply | output | result | results | the result is | thought
    thoughts | thinking | thought process | thinking process | my thought process | reasoning
    my reasoning | reasoning process | reason | explanation | the explanation is | analysis
    step by step | let s think step by step | let us think step by step | think step by step
    let s solve this problem step by step | let us solve this problem step by step
    let s solve this step by step | let s solve the problem step by step
    let s work through this step by step | let s break this down | let s break it down
    let s begin | let s start | let s see | let me think | let me think about this | let me see
    let me explain | here is the answer | here s the answer | here is the solution
    here s the solution | here is my answer | here s my answer | here is my solution
    here is my response | here it is | here you go | here we go | to solve this problem
    to solve this problem we need to | to answer this question | to answer your question
    in conclusion | conclusion | summary | in summary | introduction | okay so | great question
    good question | that s a great question | happy to help | glad to help | i d be happy to help
    i can help with that | sure i can help with that | sure here is the answer
    sure here s the answer | proof | steps | step | step 1 | task | question | problem | input
    your answer here | insert answer here | answer here | write your answer here | todo | tbd
    placeholder | lorem ipsum | n a | 解 | 解答 | 解析 | 解法 | 答 | 答案 | 答案是 | 回答
    回答如下 | 思考 | 思考过程 | 推理 | 推理过程 | 分析 | 让我们一步一步思考 | 让我们一步步思考
    让我们一步一步地解决这个问题 | 以下是答案 | 解決策 | 解説 | 答え | 答えは | 回答は | 考え方
    思考過程 | かいせつ | こたえ | 정답 | 답 | 답변 | 해설 | 풀이 | 풀이 과정 | 사고 과정
    solución | la solución | respuesta | la respuesta | la respuesta es | respuesta final
    razonamiento | proceso de pensamiento | explicación | réponse | la réponse | la réponse est
    réponse finale | raisonnement | processus de pensée | explication | lösung | die lösung
    antwort | die antwort | die antwort ist | antwort ist | gedankengang | begründung | erklärung
    resposta | a resposta | a resposta é | solução | raciocínio | explicação | risposta
    soluzione | ragionamento | ответ | ответ такой | решение | рассуждение | ход мыслей
    объяснение | حل | الحل | الجواب | الإجابة | الاجابة | التفكير | उत्तर | समाधान | हल | व्याख्या
    cevap | çözüm | trả lời | câu trả lời | giải | lời giải | jawaban | jawab | odpowiedź
    rozwiązanie | antwoord | oplossing | jibu | suluhisho
    """.replace("\n", "|").split("|")
    if piece.strip()
)
"""Announcements of an answer, casefolded, without punctuation. "OK" and "Sure" can be answers."""
_LONGEST_OPENER = max(map(len, _OPENERS))


def has_content(text: str, reference: str | None = None) -> bool:
    """Whether the text says anything beyond punctuation, blanks, emoji, markup and announcements.

    What a known good answer consists of is content too, whatever it is ("Solution" to a question about
    words).
    """
    if _announces_only(text):
        said = [*_pieces(text)]
        return bool(said) and reference is not None and said == [*_pieces(reference)]
    return True


def _announces_only(text: str) -> bool:
    """Whether every piece is an announcement, or all together are one; reads no further than it must."""
    said: list[str] = []
    new = False
    for piece in _pieces(text):
        said.append(piece)
        new = new or piece not in _OPENERS
        if new and sum(map(len, said)) > _LONGEST_OPENER:
            return False
    return not new or " ".join(said) in _OPENERS


def _pieces(text: str) -> Iterator[str]:
    """What stands between the marks that end an announcement, as words; empty pieces left out."""
    plain = _MARKUP.sub("\n", unicodedata.normalize("NFKC", text))
    return filter(None, map(_words, _BREAKS.split(plain)))


def _words(piece: str) -> str:
    """Words with a letter, a number or a symbol that is a thing; casefolded, one space between."""
    kept = piece.translate(_KEPT)
    return " ".join(word.casefold() for word in kept.split() if any(map(_says, word)))


class _Kept(dict[int, str]):
    """Letters, marks and numbers stay, invisible marks vanish, everything else parts words."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        stays = kind[0] in "LMN" or character in _THINGS
        return self.setdefault(code, "" if kind == "Cf" else character if stays else " ")


_KEPT = _Kept()


@cache
def _says(character: str) -> bool:
    """Letters and numbers of every script; marks and modifier letters alone say nothing."""
    kind = unicodedata.category(character)
    return character in _THINGS or (
        kind in ("Lu", "Ll", "Lt", "Lo", "Nd", "Nl", "No") and character not in _FILLERS
    )
