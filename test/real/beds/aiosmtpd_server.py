"""A server on aiosmtpd, as a small application would write one: it takes every sender and recipient, and hands what it
accepted to the smart host. beds/libraries.ts starts it. Its own name would be the name of the library.

    aiosmtpd_server.py PORT SMARTHOST
"""

import asyncio
import smtplib
import sys

from aiosmtpd.smtp import SMTP

PORT, SMARTHOST = int(sys.argv[1]), int(sys.argv[2])


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == "nobody@local.example":
            return "550 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if envelope.mail_from.startswith("nomessage@"):
            return "554 not this one"
        await asyncio.to_thread(self.send, envelope)
        return "250 taken"

    def send(self, envelope):
        with smtplib.SMTP("127.0.0.1", SMARTHOST) as onward:
            onward.sendmail(envelope.mail_from, envelope.rcpt_tos, envelope.original_content)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), hostname="local.example", enable_SMTPUTF8=True, loop=loop),
        host="127.0.0.1",
        port=PORT,
    )
    await server.serve_forever()


asyncio.run(main())
