"""Plug-ins are found by file name and held to their contract; every shipped one is looked at."""

import hashlib
from pathlib import Path

import pytest

from aaa import plugins
from aaa.errors import InputError, NotFound
from aaa.judges import logprob


@pytest.mark.parametrize("id", plugins.names("protocols"))
def test_every_protocol_keeps_the_contract(id: str) -> None:
    found = plugins.protocol(id)
    assert set(found.contestants(found.options())) <= {*found.seats, *found.optional}
    assert all(does for does in found.seats.values())
    found.options()  # every option has a default


@pytest.mark.parametrize("id", plugins.names("judges"))
def test_every_judging_play_keeps_the_contract(id: str) -> None:
    plugins.judging_play(id).options()


@pytest.mark.parametrize("id", plugins.names("checkers"))
def test_every_checker_keeps_the_contract(id: str) -> None:
    found = plugins.checker(id)
    assert "kind" not in found.options.model_fields  # it names the checker itself
    assert found.options.model_config["extra"] == "forbid"


def test_there_are_some() -> None:
    assert "co_teaching" in plugins.names("protocols")
    assert {"logprob", "pairwise"} <= set(plugins.names("judges"))


@pytest.mark.parametrize("id", ["chess", "../co_teaching", "no.such.module", "os.path;x", ""])
def test_an_unknown_one_lists_the_known(id: str) -> None:
    with pytest.raises(NotFound, match="co_teaching"):
        plugins.protocol(id)


def test_a_module_that_is_no_protocol_says_what_it_lacks() -> None:
    with pytest.raises(InputError, match=r"'json\.decoder' lacks SEATS"):
        plugins.protocol("json.decoder")


def test_wrong_options_name_the_option_and_the_valid_ones() -> None:
    options = plugins.protocol("co_teaching").options
    with pytest.raises(InputError, match=r"option 'round'.*valid here: rounds"):
        plugins.options_of("protocol", "co_teaching", options, {"round": 2})
    with pytest.raises(InputError, match=r"option 'rounds'.*got 99"):
        plugins.options_of("protocol", "co_teaching", options, {"rounds": 99})


def test_a_source_hash_is_stable_and_differs() -> None:
    once = plugins.source_hash("judges", "logprob")
    assert once == plugins.source_hash("judges", "logprob")
    assert once != plugins.source_hash("judges", "pairwise")


def test_a_judging_plays_hash_covers_what_it_shares_with_others() -> None:
    """Else a change to how ballots are asked would go unnoticed under a running round."""
    own = Path(logprob.__file__)
    alone = hashlib.sha256(own.read_bytes() + own.with_suffix(".md").read_bytes()).hexdigest()
    assert plugins.source_hash("judges", "logprob") != alone
