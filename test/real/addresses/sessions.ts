// Servers asked in a session: each takes everything, relays everything, and hands it to a smart host; what recipients come out
// there is what it read. The beds are those of the other tests, without Postern in front.

import { hostsIn } from '../../fuzz/reading.ts';
import { freePort } from '../../helpers/free-port.ts';
import type { MailServer } from '../beds/bed.ts';
import { Client } from '../client.ts';
import { SmartHost } from '../smart-host.ts';
import { type Form, isOurs } from './forms.ts';

/** Recipients of one message: Courier takes no more than a hundred. */
const TOGETHER = 90;
const UTF8 = /^250[ -]SMTPUTF8\r?$/im;
const DSN = /^250[ -]DSN\r?$/im;

export interface Counted {
  asked: number;
  taken: number;
  refused: number;
  /** Not asked: the server does not offer what the form needs. */
  skipped: number;
  /** Recipients that came out. */
  out: number;
  /** What went elsewhere: the form and the recipient that came out. */
  readonly elsewhere: string[];
}

export async function askInSession(server: MailServer, forms: readonly Form[]): Promise<Counted> {
  const host = await SmartHost.listen();
  const bed = await server.start(host.port, await freePort());
  const counted: Counted = { asked: 0, taken: 0, refused: 0, skipped: 0, out: 0, elsewhere: [] };
  try {
    const groups = groupsOf(forms);
    for (const [at, group] of groups.entries()) await say(bed.port, `group${at}`, group, counted);
    await host.quiet(counted.taken);
    counted.out = host.recipients.length;
    // Which form it was is known when each is asked by itself.
    const suspects = new Set(host.recipients.filter(isForeign).map(({ sender }) => sender));
    const alone = groups.flatMap((group, at) => (suspects.has(`group${at}@sender.example`) ? group : []));
    const again = { ...counted };
    for (const [at, form] of alone.entries()) await say(bed.port, `form${at}`, [form], again);
    await host.quiet(again.taken);
    for (const found of host.recipients.filter(isForeign)) {
      const form = alone[Number(/^form(\d+)@/.exec(found.sender)?.[1] ?? -1)];
      if (form !== undefined) counted.elsewhere.push(`${form.argument} → ${found.recipient}`);
    }
    if (suspects.size > 0 && counted.elsewhere.length === 0) counted.elsewhere.push(`one in ${[...suspects].join()}`);
  } finally {
    await bed.stop();
    await host.close();
  }
  return counted;
}

function groupsOf(forms: readonly Form[]): Form[][] {
  const groups: Form[][] = [];
  for (const utf8 of [false, true]) {
    const alike = forms.filter((form) => form.utf8 === utf8);
    for (let at = 0; at < alike.length; at += TOGETHER) groups.push(alike.slice(at, at + TOGETHER));
  }
  return groups;
}

/** No host at all is a name of the server's own; nobody at all is what qpsmtpd reads where a quoted name holds `<>`, and where it holds a
 * host it leaves the quotes out, which makes a route, or half of one: that may name hosts of ours alone. */
function isForeign({ recipient }: { readonly recipient: string }): boolean {
  return recipient !== '' && !(hostsIn(recipient) ?? recipient.split(/[@!%:,]/).filter(Boolean)).every(isOurs);
}

/** One message to all of them. A server that closes, as some do behind so many errors, is asked for the rest anew. */
async function say(port: number, sender: string, forms: readonly Form[], counted: Counted): Promise<void> {
  let rest = forms;
  while (rest.length > 0) {
    const client = new Client(port);
    await client.reply();
    const hello = await client.say('EHLO client.example');
    const utf8 = rest.some((form) => form.utf8);
    const able = rest.filter(
      ({ argument }) => (!utf8 || UTF8.test(hello)) && (!argument.includes('NOTIFY') || DSN.test(hello)),
    );
    counted.skipped += rest.length - able.length;
    if (able.length === 0) return client.close();
    await client.say(`MAIL FROM:<${sender}@sender.example>${utf8 ? ' SMTPUTF8' : ''}`);
    let taken = 0;
    let at = 0;
    for (; at < able.length; at++) {
      const answer = await client.say(`RCPT TO:${(able[at] as Form).argument}`);
      if (answer === '') break;
      if (answer.startsWith('25')) taken++;
      else counted.refused++;
      counted.asked++;
    }
    counted.taken += taken;
    if (taken > 0 && (await client.say('DATA')).startsWith('354')) {
      client.write('Subject: x\r\n\r\nx\r\n.\r\n');
      await client.reply();
    }
    client.close();
    rest = at === able.length ? [] : able.slice(Math.max(at, 1));
  }
}
