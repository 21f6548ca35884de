"""The landing queue: where a message waits that has come back more often than the broker was told to allow."""

from __future__ import annotations

from typing import Any

from amqp.basic_message import Message as Packet

from jobkit.errors import Unavailable
from jobkit.transport import Answer, Message
from jobkit_rabbitmq.link import Link
from jobkit_rabbitmq.posting import Post, Posting
from jobkit_rabbitmq.queues import Names


def send_home(link: Link[Posting], names: Names) -> int:
    """
    Send what lies in the landing queue back to where it came from; how many it was.

    First sent and confirmed, then removed: a crash may leave both. Its count begins anew, and its headers stay behind,
    since RabbitMQ up to 3.13 reads them as a history and drops what seems to go in circles.
    """
    moved = 0
    while True:
        reply = link.call(link.deadline(), Posting.peek, names.landing)
        packet = reply[-1]
        if isinstance(packet, str):
            return moved
        message = Message(id=packet.properties.get("message_id", ""), queue="landed", body=packet.body or b"")
        post = Post([_home(packet)], [message])
        link.call(link.deadline(), Posting.learn, post.queues)
        link.call(link.deadline(), Posting.submit, post)
        if post.results("")[0].answer is not Answer.YES:
            raise Unavailable(
                f"queue {names.landing!r} holds a message for {post.queues[0]!r}: {post.results('')[0].reason}"
            )
        link.call(link.deadline(), Posting.remove, reply[0])
        moved += 1


def _home(packet: Packet) -> str:
    """The queue that has put it aside."""
    deaths: list[dict[str, Any]] = packet.properties.get("application_headers", {}).get("x-death", [])
    return str(deaths[0]["queue"]) if deaths else ""
