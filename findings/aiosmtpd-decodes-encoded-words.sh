#!/bin/sh
# aiosmtpd 1.4.3 decodes RFC 2047 in the address of a RCPT: the mailbox that its handler gets is not the one that the client named.
#
# RFC 2047 §5 (3) lets no encoded word stand in an address, and RFC 5321 knows of none: =?utf-8?q?J=C3=BCrgen?= is an atom like any other, in
# letters of ASCII. aiosmtpd reads paths with the parser that Python has for headers (email._header_value_parser), which decodes
# them there as well. The client has said no SMTPUTF8, and the handler is given an address that is not ASCII.
#
# Seen 2026-11-29, aiosmtpd 1.4.3-1.1+deb12u1 (Debian 12), Python 3.11.7:
#
#   said    RCPT TO:<=?utf-8?q?J=C3=BCrgen?=@mail.example>
#   handled 'Jürgen@mail.example'
#
# Exits 0 when it is still so. Wants python3 and apt (Debian 12); nothing is installed outside a temporary folder.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
cd "$folder"
apt-get -q download python3-aiosmtpd=1.4.3-1.1+deb12u1 python3-public=2.3-4 python3-attr=22.2.0-1 >/dev/null 2>&1
for package in *.deb; do dpkg -x "$package" unpacked; done

cat >ask.py <<'ASK'
import smtplib
import socket
import sys

from aiosmtpd import __version__
from aiosmtpd.controller import Controller

SAID = '=?utf-8?q?J=C3=BCrgen?=@mail.example'
handled = []

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        handled.append(address)
        return '250 OK'

with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
controller = Controller(Handler(), hostname='127.0.0.1', port=port)
controller.start()
try:
    with smtplib.SMTP('127.0.0.1', port) as client:
        client.docmd('EHLO client.example')
        client.docmd('MAIL FROM:<a@client.example>')
        code, _ = client.docmd(f'RCPT TO:<{SAID}>')
finally:
    controller.stop()
print(f'aiosmtpd {__version__}, Python {sys.version.split()[0]}')
print(f'said    RCPT TO:<{SAID}>')
print(f'handled {handled[0]!r}')
sys.exit(0 if code == 250 and handled == ['J\u00fcrgen@mail.example'] else 1)
ASK
PYTHONIOENCODING=utf-8 PYTHONPATH="$folder/unpacked/usr/lib/python3/dist-packages" python3 ask.py
