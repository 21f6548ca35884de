"""The published policies: each role's work passes with its own, on an emulator that enforces them, and no action is idle."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import resources
from typing import Any

import boto3
import pytest
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from jobkit.errors import ConfigurationError
from jobkit.store import Expect, Key, Write
from jobkit.transport import Again, Delivery, Done, Message
from jobkit.url import Url
from jobkit_sqs import adapter
from jobkit_sqs.testing.faults import Faulty

Make = Callable[..., Message]
Take = Callable[..., list[Delivery]]
Role = Callable[[str], "Sessions"]

ROLES = ("producer", "worker", "operator", "deployer")
BATCHES = ("SendMessage", "DeleteMessage", "ChangeMessageVisibility")


def policy(role: str) -> dict[str, Any]:
    text = resources.files("jobkit_sqs").joinpath("policies", f"{role}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def actions(role: str) -> set[str]:
    return {action for statement in policy(role)["Statement"] for action in statement["Action"]}


def for_moto(role: str) -> str:
    """
    The same actions for the emulator, which asks for batch actions that AWS does not have, and knows no resources.
    """
    allowed = actions(role) | {f"sqs:{name}Batch" for name in BATCHES if f"sqs:{name}" in actions(role)}
    statement = {"Effect": "Allow", "Action": sorted(allowed), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Sessions:
    """In the place of jobkit's sessions: clients with the keys of one role, which note what they ask for."""

    def __init__(self, keys: tuple[str, str]) -> None:
        self.faulty = Faulty()
        self._keys = keys

    def client(self, service: str, **options: Any) -> Any:
        session = boto3.session.Session(aws_access_key_id=self._keys[0], aws_secret_access_key=self._keys[1])
        return self.faulty.wrap(session.client(service, **options))  # type: ignore[call-overload]

    def used(self) -> set[str]:
        """The actions of IAM behind what was asked."""
        return {_action(operation) for operation, _ in self.faulty.calls}


def _action(operation: str) -> str:
    name = "".join(word.title() for word in operation.split("_"))
    plain = name.removesuffix("Batch")
    if plain in BATCHES or "Queue" in name or "Message" in name:
        return f"sqs:{plain}"
    return f"dynamodb:{name}"


@pytest.fixture(scope="module")
def account() -> Iterator[tuple[Url, dict[str, tuple[str, str]]]]:
    """An emulated account of this module's own, with a user of each role, whose policies it enforces."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys: dict[str, tuple[str, str]] = {}
    with closing(boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1")) as iam:
        for role in ROLES:
            iam.create_user(UserName=role)
            iam.put_user_policy(UserName=role, PolicyName=role, PolicyDocument=for_moto(role))
            made = iam.create_access_key(UserName=role)["AccessKey"]
            keys[role] = made["AccessKeyId"], made["SecretAccessKey"]
    _free_requests(endpoint, "0")
    yield Url.parse(f"sqs://us-east-1?endpoint={endpoint}&poll=1"), keys
    _free_requests(endpoint, "inf")
    server.stop()


def _free_requests(endpoint: str, count: str) -> None:
    """From now on the emulator lets so many requests pass unseen."""
    headers = {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=count.encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        assert reply.status == 200


@pytest.fixture
def role(account: tuple[Url, dict[str, tuple[str, str]]], monkeypatch: pytest.MonkeyPatch) -> Role:
    """From now on jobkit has the keys of this role."""

    def become(name: str) -> Sessions:
        sessions = Sessions(account[1][name])
        monkeypatch.setattr("jobkit_sqs.service._sessions", sessions)
        return sessions

    return become


@pytest.fixture
def place(account: tuple[Url, dict[str, tuple[str, str]]], role: Role) -> Iterator[Url]:
    url = account[0].with_params(namespace=f"t_{secrets.token_hex(8)}")
    role("deployer")
    adapter.setup(url, ["q"])
    yield url
    role("deployer")
    adapter.teardown(url)


def produce(url: Url, make: Make) -> None:
    transport, store = adapter.transport(url), adapter.store(url)
    assert store is not None
    assert [sent.answer.value for sent in transport.send([make("a"), make("b", delay=1)])] == ["yes"] * 2
    transport.depth(["q"])
    keys = [Key("things", name) for name in "abcd"]
    store.put([Write(keys[0], b"x"), Write(keys[1], b"x"), Write(keys[2], b"", Expect.ABSENT)])
    store.put([Write(keys[3], None)])
    store.get(keys)
    store.scan("things", limit=1)
    transport.close()
    store.close()


def work(url: Url, make: Make, take: Take) -> None:
    produce(url, make)
    transport = adapter.transport(url)
    loan, *rest = take(transport, wait=3)
    transport.extend([loan], lease=60)
    assert transport.settle([Again(loan, make(loan.message.id, b"again"))])[0].answer.value == "yes"
    while len(rest) < 2:
        rest += take(transport, wait=3)
    assert [one.answer.value for one in transport.settle([Done(each) for each in rest])] == ["yes"] * 2
    transport.close()


def test_a_producer_needs_its_policy_and_no_more(place: Url, role: Role, message: Make) -> None:
    sessions = role("producer")
    produce(place, message)
    assert sessions.used() == actions("producer")


def test_a_worker_needs_its_policy_and_no_more(place: Url, role: Role, message: Make, take: Take) -> None:
    sessions = role("worker")
    work(place, message, take)
    assert sessions.used() == actions("worker")


def test_an_operator_purges_with_its_policy_and_no_more(place: Url, role: Role, message: Make) -> None:
    role("producer")
    produce(place, message)
    sessions = role("operator")
    with closing(adapter.transport(place)) as transport:
        assert transport.purge("q") is None
    assert sessions.used() == actions("operator")


def test_a_deployer_needs_its_policy_and_no_more(place: Url, role: Role) -> None:
    sessions = role("deployer")
    adapter.setup(place, ["x" * 80])
    adapter.check(place)
    with closing(adapter.transport(place)) as transport:
        transport.depth([])
    adapter.teardown(place)
    adapter.setup(place, ["q"])
    named_in_create = {"sqs:TagQueue"}  # AWS asks for it where a queue is made with tags
    only_where_settings_differ = {"sqs:SetQueueAttributes"}
    assert sessions.used() | named_in_create | only_where_settings_differ == actions("deployer")


def test_who_may_not_is_told_so(place: Url, role: Role, message: Make, take: Take) -> None:
    role("producer")
    with closing(adapter.transport(place)) as transport:
        transport.send([message("a")])
        with pytest.raises(ConfigurationError, match="AccessDenied"):
            take(transport)
    with pytest.raises(ConfigurationError, match="AccessDenied"):
        adapter.setup(place, ["new"])


NAMES = {"sqs": "arn:aws:sqs:REGION:ACCOUNT:jobkit-*", "dynamodb": "arn:aws:dynamodb:REGION:ACCOUNT:table/jobkit-records"}


@pytest.mark.parametrize("name", ROLES)
def test_policies_name_what_setup_makes_and_nothing_else(name: str) -> None:
    for statement in policy(name)["Statement"]:
        service = statement["Action"][0].partition(":")[0]
        assert statement["Resource"] == NAMES[service] or statement["Action"] == ["sqs:ListQueues"]
        assert all(action.startswith(f"{service}:") and "*" not in action for action in statement["Action"])
