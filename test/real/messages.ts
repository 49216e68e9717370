// A message that a careless proxy would damage, how it is handed in, and what "arrived byte for byte" means.
import assert from 'node:assert/strict';
import { Client } from './client.ts';
import type { Message } from './sink.ts';

export const SENDER = 'alice@partner.example';
export const RECIPIENT = 'bob@local.example';

let serial = 0;

/** Latin-1, CRLF. `mark` finds it again. */
export function makeMessage(): { mark: string; content: string } {
  serial += 1;
  const mark = `<${process.pid}.${serial}@partner.example>`;
  const lines = [
    'From: Alice <alice@partner.example>',
    'To: Bob <bob@local.example>',
    'Subject: everything that may be touched by mistake',
    'Date: Mon, 23 Nov 2026 08:00:00 +0000',
    `Message-Id: ${mark}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
    '',
    'RCPT TO:<victim@foreign.example>',
    'QUIT',
    '.leading dot',
    '..two leading dots',
    '. dot and blank',
    'trailing blanks   ',
    '\ttab',
    '8 bit: \xc3\xa4\xc3\xb6\xc3\xbc \xe4\xf6\xfc \xff',
    'x'.repeat(998),
    'From the start of a line',
    '',
    '.',
    '',
    '',
  ];
  return { mark, content: `${lines.join('\r\n')}\r\n` };
}

/** The end of `message` is `content`, and what stands before it is trace fields and nothing else (RFC 5321 §4.4). */
export function assertArrived(message: Message | undefined, content: string): void {
  assert.ok(message);
  assert.equal(message.content.slice(-content.length), content);
  const added = message.content.slice(0, -content.length);
  assert.match(
    added,
    /^(?:(?:Received|Return-Path|Delivered-To|X-Original-To|Authentication-Results):.*\r\n(?:[ \t].*\r\n)*)*$/,
  );
}

export function stuffed(content: string): string {
  return content.replace(/(^|\r\n)\./g, '$1..');
}

/** Gives a message to the server that is to send it on through Postern. */
export async function hand(port: number, content: string): Promise<void> {
  const client = new Client(port);
  await client.reply();
  await client.say('EHLO client.example');
  for (const line of [`MAIL FROM:<${SENDER}>`, `RCPT TO:<${RECIPIENT}>`, 'DATA']) await client.say(line);
  client.write(`${stuffed(content)}.\r\n`);
  assert.match(await client.reply(), /^250/);
  client.close();
}
