"""``jobkit dead``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from jobkit import JobKit
from jobkit.dead_letters import DeadLetters
from jobkit.errors import Unavailable

Run = Callable[..., Result]

APP = ("--app", "shop:jobs")


def listed(run: Run, *filters: str) -> list[str]:
    return [entry["id"] for entry in json.loads(run("dead", "list", *filters, *APP, "--json").stdout)["dead"]]


def test_list_tells_a_summary_of_each_the_oldest_first(run: Run, dead_ones: list[str]) -> None:
    told = json.loads(run("dead", "list", *APP, "--json").stdout)["dead"]
    assert [entry["id"] for entry in told] == dead_ones
    assert list(told[0]) == ["id", "type", "queue", "error", "message", "died_at", "attempts"]
    header, first, *_ = run("dead", "list", *APP).stdout.splitlines()
    assert header.split() == ["ID", "TYPE", "QUEUE", "DIED", "AT", "ATTEMPTS", "ERROR", "MESSAGE"]
    assert first.startswith(dead_ones[0])


def test_filters_choose(run: Run, dead_ones: list[str]) -> None:
    assert listed(run, "--queue", "money") == dead_ones
    assert listed(run, "--queue", "mail") == []
    assert listed(run, "--type", "receipt") == []
    assert listed(run, "--error", "order -2") == dead_ones[1:2]
    assert listed(run, "--since", "1h") == dead_ones
    assert listed(run, "--since", "2999-01-01T00:00:00Z") == []
    assert listed(run, "--limit", "2") == dead_ones[:2]


@pytest.mark.parametrize("since", ["yesterday", "2026-01-01", "2026-01-01T00:00:00"])
def test_since_is_an_instant_or_how_long_ago(run: Run, since: str) -> None:
    assert run("dead", "list", "--since", since, *APP).exit_code == 2


def test_no_dead_letters_is_no_data(run: Run, shop: JobKit) -> None:
    told = run("dead", "list", *APP)
    assert (told.exit_code, told.stdout, told.stderr) == (0, "", "no dead letters\n")


def test_show_tells_arguments_and_every_failure(run: Run, dead_ones: list[str]) -> None:
    told = json.loads(run("dead", "show", dead_ones[0], *APP, "--json").stdout)
    assert told["args"] == {"order": -1}
    assert "order -1 is refused" in told["failures"][0]["message"] + told["reason"]
    assert told["body_base64"]
    text = run("dead", "show", dead_ones[0], *APP).stdout
    assert '"order": -1' in text
    assert "order -1 is refused" in text


def test_show_of_an_unknown_id_is_not_found(run: Run, shop: JobKit) -> None:
    assert run("dead", "show", "nobody", *APP).exit_code == 5


def test_replay_sends_the_named_ones_again(run: Run, shop: JobKit, dead_ones: list[str]) -> None:
    done = run("dead", "replay", *dead_ones[:2], *APP, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"replayed": 2, "failed": {}}
    assert listed(run) == dead_ones[2:]
    assert shop.stats(["money"])[0].ready == 2


def test_all_takes_what_matches_and_shows_counts_first(run: Run, dead_ones: list[str]) -> None:
    done = run("dead", "replay", "--all", "--queue", "money", "--limit", "2", *APP)
    assert done.stdout == "replayed 2\n"
    assert "to replay: 2" in done.stderr
    assert "2  charge in money" in done.stderr
    assert listed(run) == dead_ones[2:]


def test_some_that_fail_are_told_and_make_it_partial(run: Run, dead_ones: list[str]) -> None:
    done = run("dead", "replay", dead_ones[0], "nobody", *APP, "--json")
    assert done.exit_code == 6
    assert json.loads(done.stdout) == {"replayed": 1, "failed": {"nobody": "not found"}}


def test_none_found_is_not_found(run: Run, shop: JobKit) -> None:
    assert run("dead", "replay", "nobody", *APP).exit_code == 5
    assert run("dead", "purge", "nobody", "--yes", *APP).exit_code == 5


@pytest.mark.parametrize("verb", ["replay", "purge"])
@pytest.mark.parametrize("what", [[], ["--queue", "money"], ["an-id", "--all"], ["an-id", "--type", "charge"]])
def test_either_ids_or_all_must_be_said(run: Run, shop: JobKit, verb: str, what: list[str]) -> None:
    assert run("dead", verb, *what, *APP).exit_code == 2


@pytest.mark.parametrize("verb", ["replay", "purge"])
def test_a_dry_run_shows_counts_and_changes_nothing(run: Run, dead_ones: list[str], verb: str) -> None:
    done = run("dead", verb, "--all", "--dry-run", *APP)
    assert done.exit_code == 0
    assert "3  charge in money" in done.stderr
    assert listed(run) == dead_ones


def test_purge_without_a_person_to_ask_needs_yes(run: Run, dead_ones: list[str]) -> None:
    refused = run("dead", "purge", "--all", *APP)
    assert refused.exit_code == 2
    assert "--yes" in refused.stderr
    assert listed(run) == dead_ones
    done = run("dead", "purge", "--all", "--yes", *APP, "--json")
    assert json.loads(done.stdout) == {"purged": 3, "failed": {}}
    assert listed(run) == []


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 3), ("", 1, 3)])
def test_purge_at_a_terminal_asks(
    run: Run, shop: JobKit, dead_ones: list[str], at_a_terminal: None, answer: str, code: int, left: int
) -> None:
    done = run("dead", "purge", "--all", *APP, input=answer)
    assert done.exit_code == code
    assert shop.dead.count() == left


def test_what_was_done_before_the_backend_went_away_is_told(
    run: Run, dead_ones: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = DeadLetters.replay

    def replay(self: DeadLetters, ids: Any) -> dict[str, str]:
        if ids == [dead_ones[1]]:
            raise Unavailable("the broker is gone")
        return real(self, ids)

    monkeypatch.setattr(DeadLetters, "replay", replay)
    done = run("dead", "replay", "--all", *APP)
    assert done.exit_code == 4
    assert "replayed 1 of 3" in done.stderr
