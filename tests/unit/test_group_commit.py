"""Group commit: together where it goes, each its own result, nobody's failure another's."""

import asyncio
from collections.abc import Sequence

import pytest

from aaa.errors import StoreError
from aaa.store import group_commit
from aaa.store.group_commit import GroupCommit


class Log:
    """Commits numbers: negative ones fail, and take the whole commit along."""

    def __init__(self) -> None:
        self.commits: list[list[int]] = []
        self.begun = 0
        self.away = False
        self.group = GroupCommit[int, str](self.commit, lambda n: abs(n) % 1000)

    async def commit(self, entries: Sequence[int]) -> Sequence[str]:
        self.begun += 1
        await asyncio.sleep(0.005)
        if self.away:
            raise StoreError("away")
        if min(entries) < 0:
            raise ValueError(min(entries))
        self.commits.append(list(entries))
        return [f"wrote {n}" for n in entries]


@pytest.fixture
async def log() -> Log:
    return Log()


async def test_what_comes_together_is_committed_together(log: Log) -> None:
    written = await asyncio.gather(*(log.group(n) for n in range(30)))
    assert written == [f"wrote {n}" for n in range(30)]
    assert len(log.commits) == 1


async def test_a_commit_has_an_upper_size(log: Log) -> None:
    await asyncio.gather(*(log.group(n) for n in range(250)))
    assert [len(commit) for commit in log.commits] == [100, 100, 50]


async def test_entries_of_one_key_never_share_a_commit_and_keep_their_order(log: Log) -> None:
    await asyncio.gather(*(log.group(n) for n in (7, 1007, 8, 2007)))
    assert log.commits == [[7, 8], [1007], [2007]]


async def test_one_that_fails_fails_alone(log: Log) -> None:
    done = await asyncio.gather(*(log.group(n) for n in (1, -2, 3)), return_exceptions=True)
    assert [str(one) for one in done] == ["wrote 1", "-2", "wrote 3"]


async def test_a_database_that_is_away_is_told_to_each(log: Log) -> None:
    log.away = True
    done = await asyncio.gather(log.group(1), log.group(2), return_exceptions=True)
    assert all(isinstance(one, StoreError) for one in done)
    log.away = False
    assert await log.group(1) == "wrote 1"


async def test_who_went_away_before_the_commit_is_left_out(log: Log) -> None:
    tasks = [asyncio.create_task(log.group(n)) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log.commits == [[0, 2]]


async def test_where_all_went_away_nothing_is_committed(log: Log) -> None:
    task = asyncio.create_task(log.group(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0.05)
    assert await log.group(2) == "wrote 2"
    assert log.begun == 1


async def test_a_full_group_does_not_linger(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a linger that never ends, a full group is committed all the same."""
    monkeypatch.setattr(group_commit, "MOST", 3)
    log.group._linger_s = 3600
    await asyncio.wait_for(asyncio.gather(*(log.group(n) for n in range(3))), 60)
    assert log.commits == [[0, 1, 2]]
