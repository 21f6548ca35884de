"""A mail server that delivers every mail into one mbox file: ``python -m examples.orders.services.mail_server FILE``."""

from __future__ import annotations

import asyncio
import mailbox
import re
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session


class Mailbox:
    """What is done with a mail: it stands in the file before the client hears that it was taken."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("ab", buffering=0)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        assert isinstance(envelope.content, bytes)
        mail = re.sub(rb"^(>*From )", rb">\1", envelope.content.replace(b"\r\n", b"\n"), flags=re.MULTILINE)
        self._file.write(b"From shop Thu Jan  1 00:00:00 1998\n" + mail + b"\n")
        return "250 OK"


def message_ids(file: Path) -> list[str]:
    """Of all mails in the box, in the order in which they came."""
    box = mailbox.mbox(file, create=False)
    try:
        return [str(mail["Message-ID"]) for mail in box]
    finally:
        box.close()


async def serve(file: Path) -> None:
    """Until standard input ends."""
    box, loop = Mailbox(file), asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, hostname="mail.example"), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
