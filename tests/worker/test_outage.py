"""A server that goes away in the middle of the work: the worker waits, says so once, and goes on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import attrs
import pytest

from jobkit.url import Url
from tests.worker import app_under_test as app
from tests.worker.gate import Gate
from tests.worker.shop import Shop, wait_until

JOBS = 3000


@pytest.fixture
def gate() -> Iterator[Gate]:
    server = Url.parse(os.environ["JOBKIT_TEST_POSTGRES_URL"])
    gate = Gate(server.host or "127.0.0.1", server.port or 5432)
    gate.open()
    yield gate
    gate.shut()


@pytest.mark.parametrize("shop", ["postgresql"], indirect=True)
def test_a_worker_outlives_an_outage_of_its_server_and_loses_nothing(shop: Shop, gate: Gate) -> None:
    shop.jobs.enqueue_many([app.count.new(number) for number in range(JOBS)])
    through_gate = attrs.evolve(Url.parse(shop.url), host="127.0.0.1", port=gate.port)
    shop.environment_url = through_gate.text()
    worker = shop.start("--lease", "5", "--concurrency", "4")
    for goal in (200, 1500):
        shop.wait_for_effects(goal)
        gate.shut()
        wait_until(lambda: "trying again until it works" in shop.log(), "the worker to notice")
        gate.open()
    wait_until(lambda: set(shop.effects()) == {f"ran {number}" for number in range(JOBS)}, "all jobs")
    wait_until(shop.at_rest, "their settlements")
    assert worker.poll() is None
    assert shop.terminate(worker) == 0
    assert "works again" in shop.log()
    assert shop.jobs.dead.count() == 0
    again = [effect for effect, times in Counter(shop.effects()).items() if times > 1]
    assert len(again) < JOBS / 2  # only what was running, or had ended and was not settled, at one of the two cuts
