"""The URL: options, names, and what it must not hold."""

from __future__ import annotations

import itertools
import string

import pytest

from jobkit.errors import ConfigurationError
from jobkit.url import Url
from jobkit_sqs import adapter
from jobkit_sqs.names import LONGEST, aws_name, is_cut
from jobkit_sqs.options import Target


@pytest.mark.parametrize(
    "text",
    [
        "sqs://eu-west-1?namespce=a",
        "sqs://eu-west-1?namespace=A",
        "sqs://eu-west-1?prefix=a.b",
        "sqs://eu-west-1?prefix=" + "x" * 17,
        "sqs://eu-west-1?endpoint=127.0.0.1:5000",
        "sqs://eu-west-1?timeout=0",
        "sqs://eu-west-1?parallel=0",
        "sqs://eu-west-1?poll=21",
        "sqs://key:secret@eu-west-1",
        "sqs://eu-west-1/queue",
        "sqs://localhost:5000",
    ],
)
def test_what_a_url_may_not_say_is_refused_before_any_io(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        adapter.transport(Url.parse(text))
    assert "secret" not in str(caught.value)


def test_the_region_and_the_endpoints_come_from_the_url() -> None:
    target = Target.of(Url.parse("sqs://eu-west-1?endpoint=https://sqs.example&dynamodb_endpoint=https://db.example"))
    assert (target.region, target.endpoint("sqs"), target.endpoint("dynamodb")) == (
        "eu-west-1",
        "https://sqs.example",
        "https://db.example",
    )
    nothing = Target.of(Url.parse("sqs://"))
    assert (nothing.region, nothing.endpoint("sqs")) == (None, None)


def test_names_have_the_prefix_and_the_namespace() -> None:
    target = Target.of(Url.parse("sqs://eu-west-1?prefix=team-&namespace=shop"))
    assert (aws_name(target.stem, "email--high"), target.table) == ("team-shop-email--high", "team-shop-records")


def test_names_of_any_length_fit_and_stay_apart() -> None:
    allowed = string.ascii_letters + string.digits + "_-"
    stems = ["jobkit-", "p" * 16 + "n" * 40 + "-"]
    queues = ["q", "x" * 79, "x" * 80, "x" * 79 + "y", "email--high", "y" * 60, "y" * 61]
    names = [aws_name(stem, queue) for stem, queue in itertools.product(stems, queues)]
    assert len(set(names)) == len(names)
    assert all(len(name) <= LONGEST and set(name) <= set(allowed) for name in names)
    assert is_cut(aws_name(stems[1], "x" * 80))
    assert not is_cut("jobkit-q")


def test_no_namespaces_stem_is_the_beginning_of_anothers() -> None:
    stems = [Target.of(Url.parse(f"sqs://?namespace={name}")).stem for name in ("a", "a_", "ab", "a_b")]
    assert not any(one.startswith(other) for one, other in itertools.permutations(stems, 2))


def test_without_records_there_is_no_store() -> None:
    assert adapter.store(Url.parse("sqs://eu-west-1?records=false")) is None
