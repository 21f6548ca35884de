"""One call's messages, from the thread that calls."""

from __future__ import annotations

from collections.abc import Sequence

from jobkit.errors import ConfigurationError, JobKitError, Unavailable
from jobkit.transport import Answer, Message, Sent
from jobkit_rabbitmq.link import Link
from jobkit_rabbitmq.making import ensure, submit_when_ready
from jobkit_rabbitmq.posting import Post, Posting
from jobkit_rabbitmq.queues import Names


def publish(link: Link[Posting], names: Names, messages: Sequence[Message], deadline: float) -> list[Sent]:
    """
    Publish *messages*, and wait until each one has been confirmed, refused or returned.

    Raises:
        Unavailable, SetupRequired, ConfigurationError: Nothing was sent.
    """
    post = Post([names.of(message.queue) for message in messages], messages)
    try:
        unknown = link.call(deadline, Posting.submit, post)
        if unknown:
            ensure(link, names, unknown, deadline)
            submit_when_ready(link, post, deadline)
    except JobKitError as error:
        if not post.abandon() or _is_refusal(error):
            raise
        return _after_failure(post, error)
    answers = post.results("no answer")
    if post.refused == len(messages):
        raise Unavailable(answers[0].reason)
    return answers


def _is_refusal(error: JobKitError) -> bool:
    """Whether this user may not publish at all, so that nothing can have been taken."""
    return isinstance(error, ConfigurationError) and "ACCESS_REFUSED" in str(error)


def _after_failure(post: Post, error: JobKitError) -> list[Sent]:
    if isinstance(error, ConfigurationError) and len(post.messages) == 1:
        return [Sent(Answer.FAILED, str(error))]
    return post.results(str(error))
