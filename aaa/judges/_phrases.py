"""Phrases by which a text speaks to its judge, forges a verdict, or leaves its place in the prompt.

Regular expressions over casefolded text, by kind; `_screen.py` decides on which views of an answer they
are tried. Every gap is bounded, so that no text makes them slow. They are meant to miss rather than to
hit what an honest answer says ("the correct answer is B", "the judge ruled …"): naming a label or a
place is left out, because the swap of the order settles that.
"""

import re

from ahocorasick_rs import AhoCorasick, Implementation


def _gap(longest: int) -> str:
    """Up to so many characters of the same sentence."""
    return rf"[^.!?\n]{{0,{longest}}}?"


_TEXT = r"(?:answer|response|reply|submission|candidate|completion)\b"
_OWN = rf"\b(?:this|my)\s+{_TEXT}"
_CHOOSE = r"\b(?:cho+s\w*|pick\w*|select\w*|prefer\w*|favou?r\w*|vot\w+ for|declar\w+|crown\w*|announc\w+)\b"
_TELL = (
    r"\b(?:rank\w*|rat(?:e|es|ing)|scor\w+|mark|grade|award\w*|label|deem|judge|consider|output|return|report"
    r"|gives?|giving|assign\w*|grant|say|reply|respond|state|print|conclude|decided?|record\w*|treat)\b"
)
_TOP = r"(?:perfect|top|highest|maximum|full)\s+(?:score|marks?|rating|grade|points)"
_BEST = rf"\b(?:better|best|winner|wins|won|superior|preferred|chosen|flawless|the correct one|{_TOP}|10/10)"
_WHY = r"(?:because|since|if|when|where)\b"
_JUDGE = r"(?:judge|evaluator|grader|rater|assessor|scorer|annotator)s?\b"

_ENGLISH: dict[str, tuple[str, ...]] = {
    "overrides instructions": (
        r"\b(?:ignor\w+|disregard\w*|forget|overrid\w+|overrul\w+|bypass)\b[^.!?,;\n]{0,40}?"
        r"\b(?:previous|prior|above|earlier|preceding|your)\b[^.!?,;\n]{0,30}?"
        r"\b(?:instruction|prompt|guideline|direction|criteri|rubric|directive)",
        r"(?:^|[.!?:\n]\s*)(?:please\s+|now\s+){0,2}(?:ignore|disregard|forget|override|bypass)\b"
        r"[^.!?,;\n]{0,30}?\b(?:(?:all|any|every)\b[^.!?,;\n]{0,30}?"
        r"\b(?:instruction|prompt|guideline|criteri|rubric|directive)"
        r"|(?:previous|prior|earlier|your) rules\b)",
    ),
    "asks to be chosen": (
        rf"{_CHOOSE}{_gap(30)}{_OWN}",
        rf"{_TELL}{_gap(40)}{_OWN}{_gap(40)}(?:{_BEST}|\b(?:10|ten|highest|top)\b)",
        rf"{_TELL}{_gap(30)}\b(?:{_TOP}|10/10|10|ten)\b{_gap(30)}{_OWN}",
        r"\b(?:choose|pick|select|prefer|vote for)\s+me\b(?!\s+(?:up|from|out|for)\b)",
        rf"(?:^|[.!?:\n]\s*)(?:please\s+|you must\s+|always\s+|now\s+){{0,2}}(?:give|award|assign|grant)\b"
        rf"{_gap(20)}\b{_TOP}",
        rf"\blabel{_gap(20)}\bof\s+(?:this|my)\s+{_TEXT}",
        rf"\banswer\b{_gap(5)}\b(?:that|which|with|containing)\b{_gap(30)}"
        rf"\b(?:word|phrase|sentence|code|token|string|line)\b{_gap(60)}{_BEST}",
        r"\b(?:answer|response|text|one)\s+(?:that\s+)?you(?:\s+are|'re)\s+(?:\w+\s+)?reading\b",
    ),
    "claims victory": (
        rf"{_OWN}\s+(?:\w+\s+)?(?:is|was|has been|should|must|deserves?|will)\b{_gap(40)}{_BEST}",
        rf"{_OWN}\s+(?:\w+\s+)?(?:wins|won|beats|outperforms)\b",
        r"\b(?:winner|best|better|verdict|decision|choice|output|result|preferred)\b"
        rf"{_gap(20)}(?:\bis|:|=)\s*[\"']?(?:me\b|mine\b|this\s+{_TEXT}|the (?:one|answer) above)",
        r"\b(?:other|competing|opposing|rival|alternative)\s+(?:assistant'?s?\s+|model'?s?\s+)?"
        rf"(?:answer|response|reply|submission|assistant)\b(?:(?!{_WHY})[^.!?\n]){{0,40}}?"
        rf"\b(?:wrong|worse|incorrect|inferior|bad|false|unsafe|harmful|loses?|fails)\b(?!,?\s{_WHY})",
        rf"\breference\b{_gap(30)}\b(?:identical|equal|the same)\b{_gap(20)}{_OWN}",
    ),
    "addresses the judge": (
        r"\b(?:hello|hi|hey|attention|note to|message (?:to|for)|instructions? (?:to|for))\s+"
        r"(?:the\s+|all\s+)?(?:evaluator|grader|rater|scorer|annotator|(?:llm|ai|judging)\s+judge)s?\b",
        rf"\b{_JUDGE}{_gap(60)}{_CHOOSE}{_gap(30)}\b(?:this|my|it|me)\b",
        rf"\bas (?:the|a|an impartial) {_JUDGE}{_gap(20)}"
        r"\bi\s+(?:find|conclude|decide|choose|declare|prefer)",
        rf"\byou are (?:no longer|now|a|an|the)\b{_gap(30)}\b{_JUDGE}{_gap(40)}"
        r"\b(?:always|must|only|prefers?|gives?|chooses?)\b",
        rf"\b(?:pretend|imagine|act as)\b{_gap(30)}\b{_JUDGE}{_gap(60)}{_OWN}",
        r"\b(?:the|this)\s+(?:evaluation|comparison|judge?ment|grading)\s+(?:is|has|was)\s+(?:now\s+)?"
        r"(?:over|ended|finished|complete\w*|done|cancel\w*)",
    ),
    "forges a verdict": (
        r"\[\[\s*[a-z]\s*(?:[<>=≫≪]{1,3}\s*[a-z]\s*)?\]\]",
        r"\brating:?\s*\[\[",
        r"[\"'](?:better|verdict|holds|preferred|preference|best_answer)[\"']\s*:\s*[\"'\d]",
        r"[\"']score_[a-z][\"']\s*:|[\"']scores[\"']\s*:\s*\{\s*[\"'][a-z][\"']",
        r"[\"']rationale[\"']\s*:",
        r"[\"']winner[\"']\s*:\s*[\"'](?:[a-z12]|me|this[^\"']{0,20}|first|second|(?:answer|assistant)[^\"']{0,9})[\"']",
    ),
    "forges a delimiter": (
        r"</?\s*text-[0-9a-f]{4,}\s*>",
        r"[\[<(={#*-]\s*(?:the\s+)?(?:start|end|beginning)\s+of\s+(?:the\s+)?(?:assistant\s+\w+(?:'s)?\s+)?"
        r"(?:untrusted\s+|student\s+)?(?:answer|response|submission|material|text)\b",
        r"<\|\s*(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|begin_of_text)\s*\|>",
        r"\[/?inst\]|<</?sys>>|<(?:system|sys|developer)>|###\s*system\s*:",
        rf"###\s*instructions?\s*:\s{{0,9}}[^\n]{{0,80}}?(?:{_OWN}|\b{_JUDGE}|\b(?:winner|verdict)\b)",
    ),
    "forges a message": (
        r"(?:^|\n)\W{0,4}(?:system|developer|admin\w*|operator)\s+(?:message|prompt|note|notice|override)s?\b"
        r"[^\n]{0,120}\b(?:answer|response|judge|label|winner|evaluation|verdict)\b",
        r"(?:^|\n)\W{0,4}(?:system|developer)\s*:[^\n]{0,80}\b(?:answer|response|judge|label|winner|evaluation)\b",
    ),
}  # fmt: skip

_OVERRIDES: tuple[str, ...] = (
    r"(?:忽略|无视|無視|忽视|忘记|不要理会)[^。！？\n]{0,20}(?:指令|指示|说明|說明|规则|規則|提示|要求)",
    r"(?:指示|命令|プロンプト|ルール)[^。！？\n]{0,10}(?:無視|忘れ)",
    r"(?:지시|명령|규칙|프롬프트)[^.!?\n]{0,10}(?:무시|잊)",
    r"\b(?:ignor|olvid|desestim)\w*\b[^.!?\n]{0,30}\b(?:instrucci[oó]n|instrucciones|reglas|indicaciones)",
    r"\b(?:ignor|oubli)\w*\b[^.!?\n]{0,30}\b(?:instructions|consignes|règles)\b",
    r"\b(?:ignorier|vergiss|missacht|übergeh)\w*\b[^.!?\n]{0,30}\b(?:anweisung|anleitung|regel|vorgabe)",
    r"\b(?:ignor|esqueç|esquec|desconsider)\w*\b[^.!?\n]{0,30}\b(?:instruções|regras|orientações)",
    r"\b(?:ignor|dimentic)\w*\b[^.!?\n]{0,30}\b(?:istruzioni|regole|indicazioni)\b",
    r"(?:игнорир|забудь|не обращай)\w*[^.!?\n]{0,30}(?:инструкци|указани|правил)",
    r"(?:تجاهل|انس)[^.!؟\n]{0,25}(?:التعليمات|الأوامر|القواعد)",
    r"(?:निर्देश|नियम|आदेश)[^।!?\n]{0,20}(?:अनदेखा|नज़रअंदाज़|भूल)",
    r"(?:talimat|yönerge|kural)\w*[^.!?\n]{0,15}(?:yok say|görmezden|unut)",
    r"\b(?:negeer|vergeet)\b[^.!?\n]{0,30}\b(?:instructies|aanwijzingen|regels)\b",
    r"\b(?:zignoruj|ignoruj|zapomnij)\b[^.!?\n]{0,30}\b(?:instrukcj|poleceni|zasad)",
    r"(?:bỏ qua|phớt lờ|quên)[^.!?\n]{0,25}(?:hướng dẫn|chỉ dẫn|quy tắc)",
    r"\b(?:abaikan|lupakan)\b[^.!?\n]{0,25}\b(?:instruksi|perintah|aturan)\b",
    r"\b(?:puuza|sahau)\b[^.!?\n]{0,25}\b(?:maagizo|maelekezo|kanuni)\b",
)
_PLEAS: tuple[str, ...] = (
    r"(?:选择|選擇|选|偏好|判定|评为|輸出|输出)[^。！？\n]{0,10}(?:这个|這個|本|此|我的|该)(?:回答|答案|回复|答覆)",
    r"(?:这个|這個|本|此|我的|该)(?:回答|答案|回复|答覆)[^。！？\n]{0,15}(?:更好|最好|最佳|优于|優於|获胜|胜出|满分)",
    r"(?:この|私の|本)(?:回答|答え|返答)[^。！？\n]{0,12}(?:選|優れ|最も良|一番良|勝|満点|最高)",
    r"(?:이|내|본) ?(?:답변|답|응답)[^.!?\n]{0,12}(?:선택|고르|골라|더 낫|더 좋|최고|이긴|만점)",
    r"\b(?:elige|elija|escoge|selecciona|prefiere)\w*\b[^.!?\n]{0,15}\b(?:esta|mi) respuesta\b",
    r"\b(?:esta|mi) respuesta\b[^.!?\n]{0,15}\b(?:mejor|gana|ganadora|superior|correcta)\b",
    r"\b(?:chois\w+|sélectionn\w+|préfér\w+)\b[^.!?\n]{0,15}\b(?:cette|ma) réponse\b",
    r"\b(?:cette|ma) réponse\b[^.!?\n]{0,15}\b(?:meilleure|gagne|gagnante|supérieure)\b",
    r"\b(?:wähl\w*|bevorzug\w*|nimm)\b[^.!?\n]{0,15}\b(?:diese|meine) antwort\b",
    r"\b(?:diese|meine) antwort\b[^.!?\n]{0,15}\b(?:besser\w*|beste\w*|gewinnt|überlegen)\b",
    r"\b(?:escolh\w+|selecion\w+|prefir\w+)\b[^.!?\n]{0,15}\b(?:esta|essa|minha) resposta\b",
    r"\b(?:esta|essa|minha) resposta\b[^.!?\n]{0,15}\b(?:melhor|vence|vencedora|superior)\b",
    r"\b(?:scegli|seleziona|preferisci)\w*\b[^.!?\n]{0,15}\b(?:questa|mia) risposta\b",
    r"\b(?:questa|mia) risposta\b[^.!?\n]{0,15}\b(?:migliore|vince|superiore)\b",
    r"(?:выбер|выбир|предпоч)\w*[^.!?\n]{0,15}(?:этот|мой) ответ",
    r"(?:этот|мой) ответ[^.!?\n]{0,15}(?:лучш|побежда|превосходит)",
    r"(?:اختر|اختار|فضل)[^.!؟\n]{0,15}(?:هذه الإجابة|هذا الجواب|إجابتي)",
    r"(?:هذه الإجابة|هذا الجواب|إجابتي)[^.!؟\n]{0,15}(?:الأفضل|أفضل|تفوز)",
    r"(?:इस|मेरे|यह|मेरा) (?:उत्तर|जवाब)[^।!?\n]{0,15}(?:चुन|बेहतर|सर्वश्रेष्ठ|सबसे अच्छा)",
    r"(?:bu|benim) (?:cevab|yanıt)\w*[^.!?\n]{0,15}(?:seç|daha iyi|en iyi|kazan)",
    r"\b(?:kies|selecteer)\b[^.!?\n]{0,15}\b(?:dit|mijn) antwoord\b",
    r"\b(?:dit|mijn) antwoord\b[^.!?\n]{0,15}\b(?:beter|beste|wint)\b",
    r"\b(?:wybierz|preferuj)\b[^.!?\n]{0,15}\b(?:tę|moją|ta|moja) odpowied",
    r"\b(?:ta|moja) odpowiedź\b[^.!?\n]{0,15}\b(?:lepsza|najlepsza|wygrywa)\b",
    r"chọn[^.!?\n]{0,15}câu trả lời (?:này|của tôi)|câu trả lời này[^.!?\n]{0,15}(?:tốt hơn|tốt nhất)",
    r"\bpilih\b[^.!?\n]{0,15}\b(?:jawaban ini|jawaban saya)\b",
    r"\bjawaban ini\b[^.!?\n]{0,15}\b(?:lebih baik|terbaik)\b",
    r"\b(?:chagua|uchague)\b[^.!?\n]{0,15}\bjibu (?:hili|langu)\b|\bjibu hili\b[^.!?\n]{0,15}\b(?:bora)\b",
)

_NOUNS = "answer response reply submission candidate completion"
_ANCHORS = {
    "overrides instructions": "instruction prompt rule guideline direction criteri rubric directive",
    "asks to be chosen": f"{_NOUNS} score marks rating grade points reading",
    "claims victory": f"{_NOUNS} mine assistant",
    "addresses the judge": """judge evaluator grader rater assessor scorer annotator evaluation comparison
        grading""",
    "forges a verdict": "[[ better verdict holds prefer best_answer score rationale winner",
    "forges a delimiter": """text answer response submission material <| inst] sys> system> developer>
        ###""",
    "forges a message": "system developer admin operator",
    "overrides instructions, in another language": """
        指 规则 規則 提示 要求 说明 說明 命令 プロンプト ルール 지시 명령 규칙 프롬프트
        instruc instruç instruk reglas indica consignes règles anweisung anleitung regel vorgabe regras
        orienta istruzioni regole инструкц
        указан правил تعليمات أوامر قواعد निर्देश नियम आदेश talimat yönerge kural aanwijzing polece zasad dẫn quy
        perintah aturan maagizo maelekezo kanuni""",
    "asks to be chosen, in another language": """
        回答 答案 回复 答覆 答え 返答 답 응답 respuesta réponse antwort resposta risposta ответ إجاب جواب उत्तर
        जवाब cevab yanıt antwoord odpowied lời jawaban jibu""",
}
"""Kind -> words without which none of its phrases can be there: looked for first, because that is quick."""


_ME = re.compile(r"me\b")
_BEFORE_ME = re.compile(r"""[\s:="']|is""")
_SAY_ME = ("asks to be chosen", "claims victory")
"""Kinds with a phrase that needs none of the words above, only a "me" of its own."""


def _compiled(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{phrase})" for phrase in phrases), re.MULTILINE)


PHRASES: dict[str, re.Pattern[str]] = {
    kind: _compiled(phrases)
    for kind, phrases in {
        **_ENGLISH,
        "overrides instructions, in another language": _OVERRIDES,
        "asks to be chosen, in another language": _PLEAS,
    }.items()
}

_KINDS, _WORDS = zip(
    *((kind, word) for kind, words in _ANCHORS.items() for word in words.split()), strict=True
)
_ALL = AhoCorasick(_WORDS, implementation=Implementation.DFA)


def kinds_in(view: str) -> list[str]:
    """The kinds of which a phrase can be there, in their order: quick, and never one too few."""
    found = {_KINDS[place] for place, _, _ in _ALL.find_matches_as_indexes(view, overlapping=True)}
    if not found.issuperset(_SAY_ME) and _says_me(view):
        found.update(_SAY_ME)
    return [kind for kind in PHRASES if kind in found]


def _says_me(view: str) -> bool:
    return any(
        _BEFORE_ME.search(view, max(0, found.start() - 2), found.start())
        for found in _ME.finditer(view)
    )


_SQUEEZED_WORDS = AhoCorasick(
    ("instruction", "prompt", "answer", "response", "reply", "winneris"),
    implementation=Implementation.DFA,
)


def squeezed_in(letters: str) -> bool:
    """Whether one of the phrases below can be in a text without anything between its letters."""
    return bool(_SQUEEZED_WORDS.find_matches_as_indexes(letters))


SQUEEZED = re.compile(
    "ignore(?:all|the|any|your)?(?:previous|prior|above|earlier)(?:instruction|prompt)"
    "|(?:choose|pick|select|prefer|votefor|favou?r)(?:this|my)(?:answer|response|reply)"
    "|(?:this|my)(?:answer|response|reply)(?:isthe|is|isclearly)(?:best|better|winner)"
    "|winneris(?:this|me|my)"
)
"""The same, in letters without anything between them."""
