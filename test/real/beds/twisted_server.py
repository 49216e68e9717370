"""A server on Twisted's ESMTP, as a small application would write one: it takes every sender and recipient, and hands
what it accepted to the smart host. beds/twisted.ts starts it.

    twisted.py PORT SMARTHOST
"""

import smtplib
import sys

from twisted.internet import defer, reactor, threads
from twisted.mail import smtp
from zope.interface import implementer

PORT, SMARTHOST = int(sys.argv[1]), int(sys.argv[2])


@implementer(smtp.IMessage)
class Message:
    """One for each recipient, as Twisted has it; it may refuse DATA by raising, and the end of data by failing."""

    def __init__(self, sender, recipient):
        if sender.startswith("nodata@"):
            raise smtp.SMTPServerError(451, b"no data now")
        self.sender, self.recipient = sender, recipient
        self.lines = []

    def lineReceived(self, line):
        self.lines.append(line)

    def eomReceived(self):
        if self.sender.startswith("nomessage@"):
            return defer.fail(smtp.SMTPServerError(554, b"not this one"))
        return threads.deferToThread(self.send)

    def send(self):
        # Neither sendmail() nor data() of smtplib takes a line apart that has only a CR or an LF in it.
        content = b"".join(line + b"\r\n" for line in self.lines)
        with smtplib.SMTP("127.0.0.1", SMARTHOST) as onward:
            onward.sendmail(self.sender, [self.recipient], content)

    def connectionLost(self):
        self.lines = []


@implementer(smtp.IMessageDelivery)
class Delivery:
    sender = ""

    def receivedHeader(self, helo, origin, recipients):
        return b"Received: by local.example"

    def validateFrom(self, helo, origin):
        self.sender = str(origin)
        return origin

    def validateTo(self, user):
        recipient = str(user.dest)
        if recipient == "nobody@local.example":
            raise smtp.SMTPBadRcpt(user)
        sender = self.sender
        return lambda: Message(sender, recipient)


class Factory(smtp.SMTPFactory):
    protocol = smtp.ESMTP
    domain = "local.example"

    def buildProtocol(self, address):
        protocol = super().buildProtocol(address)
        protocol.delivery = Delivery()
        protocol.host = b"local.example"
        return protocol


reactor.listenTCP(PORT, Factory(), interface="127.0.0.1")
reactor.run()
