// docs/replies.md: every reply that the firewall ever says to a client, from the one table of them (src/smtp/replies.ts).

import { DEFAULT_REPLIES } from '../../src/policy/replies.ts';
import { EVERY_REPLY, type Sentence } from '../../src/smtp/replies.ts';
import { code, codes, head, prose, table } from './markdown.ts';

export function repliesPage(): string {
  const line = ({ reply: { code, enhanced, text } }: Sentence): string => `${code} ${enhanced} ${text}`;
  const names = new Map(Object.entries(DEFAULT_REPLIES).map(([name, reply]) => [reply, `replies.${name}`]));
  const rows = EVERY_REPLY.toSorted((a, b) => (line(a) < line(b) ? -1 : 1)).map((sentence) => {
    const name = names.get(sentence.reply);
    return [code(line(sentence)), prose(sentence.when), codes(sentence.keys), name === undefined ? null : code(name)];
  });
  return (
    head(
      'Every reply',
      'src/smtp/replies.ts',
      `All that Postern itself says to a client. Every other reply is the server's own, and passes as it came; of the reply to EHLO,
keywords are taken out and a STARTTLS may be put in. Postern never says that it has a message: 252 promises nothing, and the 220 is
that of a TLS handshake.

The dotted code is left out where neither the EHLO reply of this session offered ENHANCEDSTATUSCODES nor the server uses such codes.
What stands in braces is filled in, as printable ASCII and cut so that the line keeps to 512 octets. The log has the reason that
the client does not hear ([log-fields.md](log-fields.md)).`,
    ) + table(['reply', 'when', 'keys that are the cause, or change it', 'in other words by'], rows)
  );
}
