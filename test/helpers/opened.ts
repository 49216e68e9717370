// A Session in memory that has come so far, and what two sides say to it line by line.

import { Harness, type HarnessOptions } from './harness.ts';

/** What the upstream of these sessions offers. */
export const LIST = [
  '250-mail.local.example',
  '250-PIPELINING',
  '250-SIZE 1000',
  '250-CHUNKING',
  '250-AUTH PLAIN LOGIN GSSAPI',
  '250 ENHANCEDSTATUSCODES',
];
export const ALICE = 'AGFsaWNlAHNlY3JldA=='; // NUL alice NUL secret

/** Lines, `C words` of the client and `S words` of the upstream; each ends in CRLF. */
export function say(harness: Harness, ...lines: readonly string[]): void {
  for (const line of lines) {
    if (line.startsWith('C ')) harness.clientSays(`${line.slice(2)}\r\n`);
    else if (line.startsWith('S ')) harness.upstreamSays(`${line.slice(2)}\r\n`);
    else throw new Error(`who says this? ${line}`);
  }
}

export const OPENED = ['S 220 mail.local.example', 'C EHLO client.example', ...LIST.map((line) => `S ${line}`)];
export const IN_TRANSACTION = [...OPENED, 'C MAIL FROM:<a@sender.example>', 'S 250 2.1.0 ok'];
export const WITH_RECIPIENT = [...IN_TRANSACTION, 'C RCPT TO:<user@local.example>', 'S 250 2.1.5 ok'];
export const IN_MAIL_DATA = [...WITH_RECIPIENT, 'C DATA', 'S 354 go'];

/** A session in which this was said; what was heard and told of it is forgotten. */
export function behind(lines: readonly string[], options: HarnessOptions = {}): Harness {
  const harness = new Harness(options);
  say(harness, ...lines);
  harness.takeClientHeard();
  harness.takeUpstreamHeard();
  harness.events.length = 0;
  harness.questions.length = 0;
  return harness;
}
