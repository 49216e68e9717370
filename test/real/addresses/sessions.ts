// Servers asked in a session: each takes everything, relays everything, and hands it to a smart host; what recipients come out
// there is what it read. The beds are those of the other tests, without Postern in front.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostsIn } from '../../fuzz/reference.ts';
import { freePort } from '../../helpers/free-port.ts';
import type { MailServer } from '../beds/bed.ts';
import { Client } from '../client.ts';
import { type Form, isOurs } from './forms.ts';

/** Recipients of one message: Courier takes no more than a hundred. */
const TOGETHER = 90;
/** So long nothing comes out: all is out. */
const QUIET_MS = 2500;
const LOOK_MS = 50;
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

/** No host at all is a name of the server's own. */
function isForeign({ recipient }: { readonly recipient: string }): boolean {
  return !(hostsIn(recipient) ?? ['a route']).every(isOurs);
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

/** Takes everything, and keeps the sender and each recipient as it was said. No DSN: an ORCPT would stand behind the path. */
class SmartHost {
  readonly recipients: { readonly sender: string; readonly recipient: string }[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async listen(): Promise<SmartHost> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SmartHost(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Until as many came as were taken; a server may merge those that it takes for one, so or until no more come. */
  async quiet(wanted: number): Promise<void> {
    let before = -1;
    for (let still = 0; still < QUIET_MS && this.recipients.length < wanted; still += LOOK_MS) {
      if (this.recipients.length !== before) still = 0;
      before = this.recipients.length;
      await sleep(LOOK_MS);
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    let unread = '';
    let inData = false;
    let sender = '';
    this.#sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    socket.setEncoding('latin1').write('220 sink.example ESMTP\r\n');
    socket.on('data', (text: string) => {
      unread += text;
      for (let end = unread.indexOf('\r\n'); end >= 0; end = unread.indexOf('\r\n')) {
        const line = unread.slice(0, end);
        unread = unread.slice(end + 2);
        if (inData) {
          inData = line !== '.';
          if (!inData) socket.write('250 kept\r\n');
          continue;
        }
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'MAIL') sender = pathIn(line);
        if (verb === 'RCPT') this.recipients.push({ sender, recipient: pathIn(line) });
        inData = verb === 'DATA';
        socket.write(REPLIES[verb] ?? '250 ok\r\n');
      }
    });
  }
}

const REPLIES: Readonly<Record<string, string>> = {
  EHLO: '250-sink.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n',
  DATA: '354 go on\r\n',
  QUIT: '221 bye\r\n',
};

/** Up to the last bracket: a quoted local part may hold one. */
function pathIn(line: string): string {
  return line.slice(line.indexOf('<') + 1, line.lastIndexOf('>'));
}
