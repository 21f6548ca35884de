"""``jobkit status``."""

from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from jobkit import JobKit

Run = Callable[..., Result]


def test_a_tracked_job_is_followed_from_sent_to_its_result(run: Run, shop: JobKit, work: Callable[[], None]) -> None:
    job_id = shop.get("charge").enqueue(7).id
    before = json.loads(run("status", job_id, "--app", "shop:jobs", "--json").stdout)
    assert (before["state"], before["finished"], before["result"]) == ("sent", False, None)
    work()
    after = json.loads(run("status", job_id, "--app", "shop:jobs", "--json").stdout)
    assert (after["state"], after["outcome"], after["finished"], after["result"]) == ("ended", "done", True, 700)


def test_the_text_tells_only_what_there_is(run: Run, shop: JobKit) -> None:
    job_id = shop.get("charge").enqueue(7).id
    lines = dict(line.split(None, 1) for line in run("status", job_id, "--app", "shop:jobs").stdout.splitlines())
    assert lines["id"] == job_id
    assert lines["state"] == "sent"
    assert "result" not in lines


def test_a_job_that_nobody_knows_is_not_found(run: Run) -> None:
    done = run("status", "no-such-job", "--url", "sqlite:///shop.db")
    assert (done.exit_code, done.stdout) == (5, "")
    assert "no record of job no-such-job" in done.stderr
