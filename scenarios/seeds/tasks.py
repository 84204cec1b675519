"""Tasks that a program can check, for teaching a small student: `python scenarios/seeds/tasks.py` writes them.

Four sets: `tasks-train.jsonl`; `tasks-gate.jsonl` and `tasks-seen.jsonl`, other fillings of the same templates, the
first for gates, the second kept for the end; `tasks-unseen.jsonl`, templates that no training task has. Whoever learns
templates by heart is better on `tasks-seen.jsonl` and not on `tasks-unseen.jsonl`; whoever learns answers by heart, on
none: a filling is in one set alone, however it is worded. Each task has a checker and a reference that passes it. Left
out: tasks that need knowledge a small model cannot have.
"""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
EACH_TRAIN, EACH_SEEN, EACH_UNSEEN, EACH_GATE = 14, 4, 5, 4
"""Tasks of each template; fewer in the last set, where no other filling is left."""
Chance = random.Random


class Made(NamedTuple):
    """One filling of a template."""

    blanks: dict[str, object]
    checker: dict[str, Any]
    reference: str


class Template(NamedTuple):
    """A kind of task, worded in several ways."""

    name: str
    kind: str
    """`constraint`, `transformation` or `fact`."""
    wordings: tuple[str, ...]
    make: Callable[[Chance], Made]


CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Germany": "Berlin",
    "Egypt": "Cairo", "Greece": "Athens", "Norway": "Oslo", "Sweden": "Stockholm", "Poland": "Warsaw",
    "Portugal": "Lisbon", "Austria": "Vienna", "Ireland": "Dublin", "Russia": "Moscow", "China": "Beijing",
    "Cuba": "Havana", "Peru": "Lima", "Kenya": "Nairobi", "Finland": "Helsinki", "Hungary": "Budapest",
    "Denmark": "Copenhagen", "Belgium": "Brussels", "Turkey": "Ankara", "Iran": "Tehran", "Iraq": "Baghdad",
    "Thailand": "Bangkok", "Chile": "Santiago", "Canada": "Ottawa", "Scotland": "Edinburgh", "Wales": "Cardiff",
}  # fmt: skip
MEMBERS = {
    "colour": "red blue green yellow orange purple black white brown pink grey violet turquoise gold silver",
    "fruit": "apple banana cherry orange grape pear plum mango peach lemon kiwi melon strawberry pineapple",
    "animal": "dog cat horse lion tiger bear elephant wolf fox rabbit cow sheep goat mouse monkey giraffe zebra",
    "month": "january february march april may june july august september october november december",
    "weekday": "monday tuesday wednesday thursday friday saturday sunday",
    "planet": "mercury venus earth mars jupiter saturn uranus neptune",
    "vegetable": "carrot potato onion tomato cabbage spinach broccoli pea bean lettuce pepper cucumber garlic",
    "season": "spring summer autumn fall winter",
    "metal": "iron gold silver copper tin lead zinc aluminium aluminum steel nickel titanium platinum",
    "bird": "eagle sparrow owl robin crow pigeon duck swan parrot penguin falcon hawk chicken ostrich raven",
}
OPPOSITES = {
    "hot": "cold", "big": "small", "fast": "slow", "old": "young", "day": "night", "up": "down", "open": "closed",
    "wet": "dry", "hard": "soft", "light": "dark", "early": "late", "full": "empty", "high": "low", "rich": "poor",
    "happy": "sad", "left": "right", "strong": "weak", "thick": "thin", "clean": "dirty", "loud": "quiet",
}  # fmt: skip
PLURALS = {
    "dog": "dogs", "box": "boxes", "child": "children", "mouse": "mice", "leaf": "leaves", "city": "cities",
    "foot": "feet", "man": "men", "book": "books", "tooth": "teeth", "baby": "babies", "watch": "watches",
    "knife": "knives", "woman": "women", "bus": "buses", "car": "cars", "wolf": "wolves", "glass": "glasses",
    "tree": "trees", "story": "stories",
}  # fmt: skip
PASTS = {
    "go": "went", "eat": "ate", "see": "saw", "run": "ran", "write": "wrote", "take": "took", "come": "came",
    "give": "gave", "find": "found", "make": "made", "buy": "bought", "walk": "walked", "sing": "sang",
    "drink": "drank", "speak": "spoke", "think": "thought", "swim": "swam", "teach": "taught", "play": "played",
    "know": "knew",
}  # fmt: skip
WORDS = (
    "river stone window garden bread music winter summer paper bridge candle forest mirror pocket silver "
    "basket morning island button kitchen letter market orange pencil ribbon saddle tunnel valley wagon yellow "
    "anchor blanket copper dragon engine feather guitar hammer jacket ladder magnet needle oyster pepper rocket"
).split()
THINGS = (
    "a bicycle, the sea, a library, the moon, a train station, a cup of tea, a thunderstorm, a garden, "
    "a lighthouse, a market, a snowy day, a kitchen, a mountain, an old house, a cat, a river, a bakery, "
    "a violin, the desert, a school bus, a campfire, a rainbow, a farm, a clock, a harbour, a tree in autumn"
).split(", ")
NAMES = "Anna Ben Clara David Elena Farid Grace Hugo Ines Jonas Kira Leo Mina Noah Olga Peter Rosa Sam".split()
NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()


def exact(*values: str) -> dict[str, Any]:
    return {"kind": "exact", "value": list(values), "normalise": True}


def form(**constraints: Any) -> dict[str, Any]:
    return {"kind": "format", **constraints}


def both(*checkers: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "all", "of": list(checkers)}


def times(number: int) -> dict[str, int]:
    """Exactly so many."""
    return {"min": number, "max": number}


# Constraints


def member(chance: Chance) -> Made:
    kind = chance.choice(list(MEMBERS))
    known = MEMBERS[kind].split()
    return Made({"kind": kind}, exact(*known), chance.choice(known))


def bullets(chance: Chance) -> Made:
    kind, number = chance.choice(list(MEMBERS)), chance.randint(2, 5)
    listed = "\n".join(
        f"- {one}" for one in chance.sample(MEMBERS[kind].split(), number if number < 5 else 4)
    )
    number = listed.count("- ")
    what = {"kinds": plural(kind), "n": NUMBERS[number - 1]}
    return Made(what, form(bullets=times(number), lines=times(number), no="*+•"), listed)


def plural(word: str) -> str:
    return word[:-1] + "ies" if word.endswith("y") and word[-2] not in "aeiou" else word + "s"


def lower(chance: Chance) -> Made:
    thing = chance.choice(THINGS)
    checker = form(case="lower", words={"min": 4, "max": 60})
    return Made({"thing": thing}, checker, f"i often think of {thing} when i am at home.".lower())


def upper(chance: Chance) -> Made:
    thing = chance.choice(THINGS)
    checker = form(case="upper", words={"min": 4, "max": 60})
    return Made({"thing": thing}, checker, f"I OFTEN THINK OF {thing.upper()} AT HOME.")


def json_pair(chance: Chance) -> Made:
    name, age = chance.choice(NAMES), chance.randint(5, 90)
    schema = {
        "type": "object",
        "required": ["name", "age"],
        "properties": {"name": {"const": name}, "age": {"const": age}},
        "additionalProperties": False,
    }
    checker = {"kind": "json_schema", "schema": schema, "where": "whole"}
    return Made({"name": name, "age": age}, checker, json.dumps({"name": name, "age": age}))


def begins(chance: Chance) -> Made:
    word, thing = (
        chance.choice(["Well,", "Today", "Indeed,", "Look:", "Friend,"]),
        chance.choice(THINGS),
    )
    checker = form(starts_with=word, words={"min": 4, "max": 60})
    return Made({"word": word, "thing": thing}, checker, f"{word} nothing is quite like {thing}.")


def ends(chance: Chance) -> Made:
    end = chance.choice(["That is all.", "The end.", "Good night.", "Thank you."])
    thing = chance.choice(THINGS)
    checker = form(ends_with=end, words={"min": 6, "max": 60})
    return Made({"end": end, "thing": thing}, checker, f"Many people like {thing}. {end}")


def no_commas(chance: Chance) -> Made:
    thing = chance.choice(THINGS)
    checker = form(no=",", sentences=times(1), words={"min": 4, "max": 60})
    return Made({"thing": thing}, checker, f"People often remember {thing} for a long time.")


def sentences(chance: Chance) -> Made:
    thing, number = chance.choice(THINGS), chance.randint(1, 3)
    said = ["I know this well.", "It is worth a look.", "Many people like it."][:number]
    return Made(
        {"thing": thing, "n": NUMBERS[number - 1], "s": "" if number == 1 else "s"},
        form(sentences=times(number), words={"min": 3 * number, "max": 30 * number}),
        " ".join(said),
    )


def few_words(chance: Chance) -> Made:
    thing, most = chance.choice(THINGS), chance.choice([6, 8, 10, 12])
    checker = form(words={"min": 3, "max": most})
    return Made({"thing": thing, "n": most}, checker, "It stays with you.")


def with_words(chance: Chance) -> Made:
    one, two = chance.sample(WORDS, 2)
    checker = form(include=[one, two], sentences=times(1), words={"min": 4, "max": 40})
    return Made({"one": one, "two": two}, checker, f"The {one} lay beside the {two}.")


def without_word(chance: Chance) -> Made:
    thing = chance.choice([t for t in THINGS if t.startswith("a ")])
    word = thing[2:].split()[-1]
    checker = form(exclude=[word, plural(word)], words={"min": 5, "max": 60})
    return Made({"thing": thing, "word": word}, checker, "Everybody has seen one and most like it.")


def quoted(chance: Chance) -> Made:
    thing = chance.choice(THINGS)
    checker = form(quoted=True, words={"min": 3, "max": 40})
    return Made({"thing": thing}, checker, '"It is hard to say why we like it."')


def yes_or_no(chance: Chance) -> Made:
    a, b = chance.sample(range(2, 60), 2)
    return Made({"a": a, "b": b}, exact("yes" if a > b else "no"), "Yes" if a > b else "No")


# Transformations


def shout(chance: Chance) -> Made:
    words = " ".join(chance.sample(WORDS, 2))
    return Made({"words": words}, {"kind": "exact", "value": words.upper()}, words.upper())


def hyphens(chance: Chance) -> Made:
    words = chance.sample(WORDS, 3)
    return Made({"words": " ".join(words)}, exact("-".join(words)), "-".join(words))


def thrice(chance: Chance) -> Made:
    word = chance.choice(WORDS)
    return Made({"word": word}, exact(", ".join([word] * 3)), ", ".join([word] * 3))


def swap(chance: Chance) -> Made:
    words = chance.sample(WORDS, 2)
    return Made({"words": " ".join(words)}, exact(" ".join(words[::-1])), " ".join(words[::-1]))


def last_word(chance: Chance) -> Made:
    words = chance.sample(WORDS, 4)
    return Made({"words": " ".join(words)}, exact(words[-1]), words[-1])


def first_letter(chance: Chance) -> Made:
    word = chance.choice(WORDS)
    return Made({"word": word}, exact(word[0]), word[0])


def alphabetical(chance: Chance) -> Made:
    words = chance.sample(WORDS, 3)
    ordered = ", ".join(sorted(words))
    return Made({"words": ", ".join(words)}, exact(ordered), ordered)


def add_full_stop(chance: Chance) -> Made:
    name, thing = chance.choice(NAMES), chance.choice(THINGS)
    text = f"{name} saw {thing}"
    return Made({"text": text}, {"kind": "exact", "value": f"{text}."}, f"{text}.")


def digits(chance: Chance) -> Made:
    number = chance.randint(1, 12)
    return Made({"word": NUMBERS[number - 1]}, exact(str(number)), str(number))


def spelled(chance: Chance) -> Made:
    number = chance.randint(1, 12)
    return Made({"n": number}, exact(NUMBERS[number - 1]), NUMBERS[number - 1])


# Facts


def capital(chance: Chance) -> Made:
    country = chance.choice(list(CAPITALS))
    return Made({"country": country}, exact(CAPITALS[country]), CAPITALS[country])


def country_of(chance: Chance) -> Made:
    country = chance.choice(list(CAPITALS))
    return Made({"city": CAPITALS[country]}, exact(country), country)


def opposite(chance: Chance) -> Made:
    word = chance.choice(list(OPPOSITES))
    return Made({"word": word}, exact(OPPOSITES[word]), OPPOSITES[word])


def plural_of(chance: Chance) -> Made:
    word = chance.choice(list(PLURALS))
    return Made({"word": word}, exact(PLURALS[word]), PLURALS[word])


def past_of(chance: Chance) -> Made:
    word = chance.choice(list(PASTS))
    return Made({"word": word}, exact(PASTS[word]), PASTS[word])


def plus(chance: Chance) -> Made:
    a, b = chance.randint(1, 20), chance.randint(1, 20)
    return Made({"a": a, "b": b}, exact(str(a + b)), str(a + b))


TRAIN = (
    Template("member", "fact", ("Name one {kind}. Answer with one word only.", "Give me a {kind}, in a single word."), member),
    Template("bullets", "constraint", ("List exactly {n} {kinds} as bullet points that begin with \"- \". Write nothing else.", "Write a bullet list of exactly {n} {kinds}, each line beginning with \"- \", and no other text."), bullets),
    Template("lower", "constraint", ("Write one sentence about {thing}, in lower case letters only.", "Describe {thing} in a short sentence. Use no capital letters at all."), lower),
    Template("upper", "constraint", ("Write one sentence about {thing}, in CAPITAL LETTERS only.", "Describe {thing} in a short sentence, every letter a capital."), upper),
    Template("json", "constraint", ("{name} is {age} years old. Write this as a JSON object with the keys \"name\" and \"age\", and nothing else.", "Turn this into JSON with the keys \"name\" (text) and \"age\" (a number), without any other words: {name}, {age} years."), json_pair),
    Template("begins", "constraint", ("Write a sentence about {thing} that begins with \"{word}\".", "Begin your answer with \"{word}\" and say something short about {thing}."), begins),
    Template("ends", "constraint", ("Write two short sentences about {thing}. End with exactly these words: {end}", "Say something short about {thing}; your answer must end with \"{end}\""), ends),
    Template("no_commas", "constraint", ("Describe {thing} in one sentence without any comma.", "Write one sentence about {thing}. Do not use commas."), no_commas),
    Template("sentences", "constraint", ("Describe {thing} in exactly {n} sentence{s}.", "Write exactly {n} short sentence{s} about {thing}."), sentences),
    Template("few_words", "constraint", ("Describe {thing} in at most {n} words.", "What is {thing}? Use no more than {n} words."), few_words),
    Template("with_words", "constraint", ("Write one sentence that contains the words \"{one}\" and \"{two}\".", "Use the words \"{one}\" and \"{two}\" in a single sentence."), with_words),
    Template("without_word", "constraint", ("Describe {thing} without using the word \"{word}\".", "Explain what {thing} is, but never write \"{word}\"."), without_word),
    Template("quoted", "constraint", ("Write one sentence about {thing} and put your whole answer in double quotation marks.", "Say something short about {thing}. Your whole answer must stand between double quotation marks."), quoted),
    Template("yes_or_no", "fact", ("Is {a} greater than {b}? Answer with Yes or No only.", "{a} is more than {b}. True? Reply only Yes or No."), yes_or_no),
    Template("shout", "transformation", ("Write this in capital letters, and nothing else: {words}", "Turn into upper case: {words}\nReply with the result only."), shout),
    Template("hyphens", "transformation", ("Join these words with hyphens, without spaces: {words}. Reply with the result only.", "Put a hyphen between the words in place of each space, and write only that: {words}"), hyphens),
    Template("thrice", "transformation", ("Write the word \"{word}\" three times, separated by commas. Nothing else.", "Repeat \"{word}\" exactly three times with commas between, and no other text."), thrice),
    Template("swap", "transformation", ("Swap the two words and write only the result: {words}", "Write these two words in the opposite order, nothing else: {words}"), swap),
    Template("last_word", "transformation", ("What is the last of these words? Reply with that word only: {words}", "Repeat only the final word of this line: {words}"), last_word),
    Template("first_letter", "transformation", ("What is the first letter of \"{word}\"? Reply with that letter only.", "Write only the letter that \"{word}\" begins with."), first_letter),
    Template("full_stop", "transformation", ("Copy this sentence and add a full stop at its end. Write nothing else: {text}", "Repeat the following with a full stop after it, and no other text: {text}"), add_full_stop),
    Template("digits", "transformation", ("Write the number {word} in digits, and nothing else.", "Which digits write \"{word}\"? Reply with the digits only."), digits),
    Template("spelled", "transformation", ("Write the number {n} as a word, and nothing else.", "Spell {n} in letters; reply with that one word."), spelled),
    Template("capital", "fact", ("What is the capital of {country}? Answer with its name only.", "Name the capital of {country}, in one word."), capital),
    Template("opposite", "fact", ("What is the opposite of \"{word}\"? Answer with one word.", "Give the antonym of \"{word}\" and nothing else."), opposite),
    Template("plural", "fact", ("What is the plural of \"{word}\"? Answer with one word.", "Write only the plural form of \"{word}\"."), plural_of),
    Template("past", "fact", ("What is the past tense of \"{word}\"? Answer with one word.", "Write only the simple past of the verb \"{word}\"."), past_of),
    Template("plus", "fact", ("What is {a} plus {b}? Answer with the number only.", "{a} + {b} = ? Write only the result."), plus),
    Template("alphabetical", "transformation", ("Put these words in alphabetical order, separated by commas, and write nothing else: {words}", "Sort alphabetically and reply with the sorted list only: {words}"), alphabetical),
    Template("country_of", "fact", ("Which country has {city} as its capital? Answer with its name only.", "{city} is the capital of which country? Reply with the country alone."), country_of),
)  # fmt: skip


# Templates that no training task has


def title_case(chance: Chance) -> Made:
    words = " ".join(chance.sample(WORDS, 3))
    return Made({"words": words}, {"kind": "exact", "value": words.title()}, words.title())


def question(chance: Chance) -> Made:
    thing = chance.choice(THINGS)
    checker = form(ends_with="?", sentences=times(1), words={"min": 3, "max": 40})
    return Made({"thing": thing}, checker, "Have you ever seen it by night?")


def three_lines(chance: Chance) -> Made:
    thing, number = chance.choice(THINGS), chance.randint(2, 4)
    said = "\n".join(["I saw it once.", "It was late.", "It rained.", "I went home."][:number])
    return Made({"thing": thing, "n": NUMBERS[number - 1]}, form(lines=times(number)), said)


def semicolons(chance: Chance) -> Made:
    words = chance.sample(WORDS, 3)
    return Made(
        {"words": " ".join(words)}, exact("; ".join(words), ";".join(words)), "; ".join(words)
    )


def brackets(chance: Chance) -> Made:
    word = chance.choice(WORDS)
    return Made({"word": word}, {"kind": "exact", "value": f"[{word}]"}, f"[{word}]")


def three_words(chance: Chance) -> Made:
    thing, number = chance.choice(THINGS), chance.randint(2, 4)
    said = " ".join("old and very quiet".split()[:number])
    return Made({"thing": thing, "n": NUMBERS[number - 1]}, form(words=times(number)), said)


def json_list(chance: Chance) -> Made:
    words = chance.sample(WORDS, 3)
    schema = {"type": "array", "const": words}
    checker = {"kind": "json_schema", "schema": schema, "where": "whole"}
    return Made({"words": ", ".join(words)}, checker, json.dumps(words))


def greeting(chance: Chance) -> Made:
    name = chance.choice(NAMES)
    checker = form(starts_with=f"Dear {name},", words={"min": 5, "max": 80})
    return Made({"name": name}, checker, f"Dear {name}, thank you for your help yesterday.")


def first_word(chance: Chance) -> Made:
    words = chance.sample(WORDS, 4)
    return Made({"words": " ".join(words)}, exact(words[0]), words[0])


def last_letter(chance: Chance) -> Made:
    word = chance.choice(WORDS)
    return Made({"word": word}, exact(word[-1]), word[-1])


def count_words(chance: Chance) -> Made:
    number = chance.randint(2, 6)
    words = " ".join(chance.sample(WORDS, number))
    return Made({"words": words}, exact(str(number), NUMBERS[number - 1]), str(number))


def minus(chance: Chance) -> Made:
    b = chance.randint(1, 15)
    a = b + chance.randint(0, 15)
    return Made({"a": a, "b": b}, exact(str(a - b)), str(a - b))


def singular(chance: Chance) -> Made:
    word = chance.choice(list(PLURALS))
    return Made({"word": PLURALS[word]}, exact(word), word)


def present(chance: Chance) -> Made:
    word = chance.choice(list(PASTS))
    return Made({"word": PASTS[word]}, exact(word), word)


def larger(chance: Chance) -> Made:
    a, b = chance.sample(range(2, 90), 2)
    return Made({"a": a, "b": b}, exact(str(max(a, b))), str(max(a, b)))


def no_letter(chance: Chance) -> Made:
    thing = chance.choice([t for t in THINGS if "z" not in t])
    checker = form(no="zZ", words={"min": 4, "max": 40})
    return Made({"thing": thing}, checker, "It is worth a visit in any season.")


def numbered(chance: Chance) -> Made:
    kind, number = chance.choice([k for k in MEMBERS if k != "season"]), chance.randint(2, 4)
    listed = "\n".join(
        f"{n}. {one}" for n, one in enumerate(chance.sample(MEMBERS[kind].split(), number), 1)
    )
    pattern = "\\A" + "\\n+".join(f"{n}\\. [^\\n]+" for n in range(1, number + 1)) + "\\s*\\Z"
    what = {"kinds": plural(kind), "n": NUMBERS[number - 1]}
    return Made(what, {"kind": "regex", "pattern": pattern}, listed)


def twice(chance: Chance) -> Made:
    words = " ".join(chance.sample(WORDS, 2))
    checker = {"kind": "regex", "pattern": f"\\A{words}\\s+{words}\\s*\\Z"}
    return Made({"words": words}, checker, f"{words}\n{words}")


def next_day(chance: Chance) -> Made:
    days = MEMBERS["weekday"].split()
    n = chance.randrange(7)
    return Made({"day": days[n].title()}, exact(days[(n + 1) % 7]), days[(n + 1) % 7].title())


def next_month(chance: Chance) -> Made:
    months = MEMBERS["month"].split()
    n = chance.randrange(12)
    return Made(
        {"month": months[n].title()}, exact(months[(n + 1) % 12]), months[(n + 1) % 12].title()
    )


UNSEEN = (
    Template("title_case", "transformation", ("Begin each word with a capital letter and write only the result: {words}",), title_case),
    Template("question", "constraint", ("Write one question about {thing}. Your answer must end with a question mark.",), question),
    Template("lines", "constraint", ("Write a poem of exactly {n} lines about {thing}, and nothing else.",), three_lines),
    Template("semicolons", "transformation", ("Write these words with a semicolon between them, and nothing else: {words}",), semicolons),
    Template("brackets", "transformation", ("Put the word {word} in square brackets. Reply with the result only.",), brackets),
    Template("n_words", "constraint", ("Describe {thing} in exactly {n} words.",), three_words),
    Template("json_list", "transformation", ("Write these words as a JSON array of strings, and nothing else: {words}",), json_list),
    Template("dear", "constraint", ("Write a short thank-you note that begins with \"Dear {name},\".",), greeting),
    Template("first_word", "transformation", ("Reply with the first of these words alone: {words}",), first_word),
    Template("last_letter", "transformation", ("Which letter does \"{word}\" end with? Reply with that letter only.",), last_letter),
    Template("count_words", "transformation", ("How many words are these? Reply with a number only: {words}",), count_words),
    Template("minus", "fact", ("What is {a} minus {b}? Answer with the number only.",), minus),
    Template("singular", "fact", ("What is the singular of \"{word}\"? Answer with one word.",), singular),
    Template("present", "fact", ("\"{word}\" is the past tense of which verb? Answer with that verb alone.",), present),
    Template("larger", "fact", ("Which number is larger, {a} or {b}? Write only that number.",), larger),
    Template("no_z", "constraint", ("Write one sentence about {thing} without the letter z.",), no_letter),
    Template("numbered", "constraint", ("Write a numbered list (1., 2., …) of exactly {n} {kinds}, and nothing else.",), numbered),
    Template("twice", "transformation", ("Write \"{words}\" on two lines, the same on each, and nothing else.",), twice),
    Template("next_day", "fact", ("Which day comes after {day}? Answer with one word.",), next_day),
    Template("next_month", "fact", ("Which month comes after {month}? Answer with one word.",), next_month),
)  # fmt: skip


class Said:
    """What sets so far ask. Within a set a filling may come in two wordings, in two sets it may not."""

    def __init__(self) -> None:
        self.prompts: set[str] = set()
        self._fillings: dict[tuple[str, str], str] = {}

    def takes(self, of: str, template: Template, filling: Made, prompt: str) -> bool:
        """Whether that task is new to the set `of`; it is known from then on."""
        asks = (template.name, json.dumps(filling.blanks, sort_keys=True))
        new = prompt not in self.prompts and self._fillings.get(asks, of) == of
        if new:
            self.prompts.add(prompt)
            self._fillings[asks] = of
        return new


def tasks(
    of: str, templates: tuple[Template, ...], each: int, chance: Chance, said: Said
) -> Iterator[dict[str, Any]]:
    """`each` tasks of each template for a set of that name, fewer where there are no more fillings."""
    for template in templates:
        made = 0
        for _ in range(1000):
            filling = template.make(chance)
            prompt = chance.choice(template.wordings).format(**filling.blanks)
            if made == each:
                break
            if not said.takes(of, template, filling, prompt):
                continue
            made += 1
            yield {
                "id": f"task-{template.name.replace('_', '-')}-{len(said.prompts):04d}",
                "prompt": prompt,
                "reference": filling.reference,
                "checker": filling.checker,
                "tags": [f"task:{template.kind}", f"template:{template.name}"],
            }


def sets() -> dict[str, list[dict[str, Any]]]:
    """File name -> its rows; the same each time."""
    chance, said = random.Random(20240415), Said()
    found = {}
    for name, templates, each in (  # what is held out first: some templates have few fillings
        ("seen", TRAIN, EACH_SEEN),
        ("gate", TRAIN, EACH_GATE),
        ("unseen", UNSEEN, EACH_UNSEEN),
        ("train", TRAIN, EACH_TRAIN),
    ):
        rows = list(tasks(name, templates, each, chance, said))
        chance.shuffle(rows)
        found[f"tasks-{name}.jsonl"] = rows
    return found


if __name__ == "__main__":
    for name, rows in sets().items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (HERE / name).write_text(text, "utf-8")
        print(f"{name}: {len(rows)} tasks")
