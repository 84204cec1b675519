"""Selectors and row ids that nobody foresaw: every answer is rows, or one clear problem; never a 5xx.

`tests/chaos/fuzz.py` asks every route for each role; here are those whose words are a language of
their own, with values that are nearly right.
"""

from urllib.parse import quote, urlencode

import httpx
import orjson
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aaa.catalogue import Catalogue
from aaa.corpus.selection import Selection
from aaa.exporters import FORMATS
from aaa.quality import GATES
from aaa.store.database import Database
from tests.integration.test_api_pairs import played

NAMES = [*Selection.model_fields, "format", "since", "eval", "Gate", "n[]", ""]
NUMBERS = [
    "0",
    "-1",
    "1",
    "2",
    "1e400",
    "nan",
    "-inf",
    "0x1",
    "٣",
    " 1 ",
    "1_0",
    "9" * 40,
    "1.5",
    "-0",
]
WORDS = ["", "pupil", "judge", "win", "tie", "all", "only", "unanimous", "topic", "tag", "train", "none",
         "standard", "\0", "\ud7ff\ufffe", "'; DROP TABLE turns; --", "%00", "../..", "é" * 300]  # fmt: skip
gates = st.builds(
    lambda name, threshold: name + threshold,
    st.sampled_from([*GATES, "standard", "none", "no_such"]),
    st.sampled_from(["", *(f"={number}" for number in NUMBERS), "=", "==", "=mit|", "=a=b"]),
)
values = st.one_of(st.sampled_from([*NUMBERS, *WORDS]), gates, st.text(max_size=20))
# what is right comes often, or nothing would get past the first check
selectors = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(NAMES), values),
        st.tuples(st.just("gate"), gates),
        st.tuples(st.just("format"), st.sampled_from(FORMATS)),
    ),
    max_size=4,
)
ids = st.one_of(
    st.from_regex(r"[a-z][0-9a-f]{23}", fullmatch=True),
    st.from_regex(r"[a-z]?[0-9a-f]{0,30}(-chosen|-rejected)?", fullmatch=True),
    st.text(max_size=60),
    st.sampled_from(WORDS),
)


def drawn(what: st.SearchStrategy[str], count: int) -> list[str]:
    """So many of them, the same each time."""
    found: list[str] = []

    @settings(max_examples=count, derandomize=True, database=None, phases=[Phase.generate])
    @given(what)
    def take(one: str) -> None:
        found.append(one)

    take()
    return list(dict.fromkeys(found))


def is_one_clear_problem(response: httpx.Response) -> bool:
    """RFC 9457, with a sentence that says what is wrong."""
    told = orjson.loads(response.content)
    return (
        response.headers["content-type"] == "application/problem+json"
        and told["status"] == response.status_code
        and len(str(told["detail"])) > 10
        and "Traceback" not in response.text
    )


async def test_any_selectors_give_rows_or_one_problem(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    path = f"/v1/rounds/{await played(database, catalogue)}/pairs"
    queries = drawn(selectors.map(lambda given: urlencode(given, errors="surrogatepass")), 300)
    given_rows = 0
    for query in queries:
        response = await api.get(f"{path}?{query}")
        if response.status_code == 200:
            given_rows += 1
            assert all(orjson.loads(line)["id"] for line in response.content.splitlines()), query
        else:
            assert response.status_code == 422, (query, response.text)
            assert is_one_clear_problem(response), (query, response.text)
    assert 20 < given_rows < len(queries) - 20  # else nothing was tried


async def test_any_id_of_a_row_is_found_or_told_apart(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    round_id = await played(database, catalogue)
    rows = (await api.get(f"/v1/rounds/{round_id}/pairs?format=transcripts")).content.splitlines()
    known = [orjson.loads(line)["id"] for line in rows]
    near = [*(id[:-1] for id in known), *(id.upper() for id in known), *(f"{id}0" for id in known)]
    for id in known:
        assert (await api.get(f"/v1/rows/{id}")).status_code == 200
    for id in (*near, *drawn(ids, 150)):
        for route in ("rows", "pairs"):
            written = quote(id, safe="", errors="surrogatepass")
            response = await api.get(f"/v1/{route}/{written}")
            assert response.status_code in (404, 422), (route, id, response.text)
            assert is_one_clear_problem(response), (route, id, response.text)
