// npm run fuzz -- --real: the same sessions in front of real servers, which relay for everybody, one server after the other.
//
// Between the firewall and the server lies a wire of ours, which only tells when octets pass and when a connection ends. What the
// server executed is what comes out at its smart host: a recipient there that is not ours is a bypass. Of legitimate sessions it is
// known who must be refused and who must not be by us; what the server itself says is its own affair.

import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Backend } from '../helpers/backend.ts';
import { freePort } from '../helpers/free-port.ts';
import { numbers } from '../helpers/numbers.ts';
import { type OpenFirewall, openFirewall } from '../helpers/postern.ts';
import type { MailServer, Bed as ServerBed } from '../real/beds/bed.ts';
import { SmartHost } from '../real/smart-host.ts';
import { attack } from './attacks.ts';
import type { Behind, Place } from './bed.ts';
import type { Session, Setting } from './case.ts';
import { legitimateSession } from './legitimate.ts';
import { Novelty } from './novelty.ts';
import { type Heard, play } from './play.ts';
import { hostsIn } from './reading.ts';
import { CLOSED, configOf } from './settings.ts';

/** After so many sessions all is awaited that comes out. */
const ROUND = 60;
const LANES = 4;

const SETTING: Setting = {
  policy: CLOSED,
  next: null,
  observes: false,
  lists: false,
  dialect: 'lf',
  proxied: false,
  clientTls: 'none',
  identity: 'none',
  upstreamTls: 'none',
  spare: false,
  tight: false,
  runs: 'here',
};

/** What every server offers at least. */
const LEAST: Backend = { caps_remove: ['CHUNKING', 'DSN'] };

/** A wire to the server, which forwards octets, ends and resets. */
class Wire implements Behind {
  readonly connections: never[] = [];
  readonly told: never[] = [];
  readonly busy = false;
  accepted = 0;
  onActivity: () => void = () => {};
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, to: number) {
    this.#server = server;
    server.on('connection', (near) => {
      this.accepted++;
      const far = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
      this.#join(near, far);
      this.#join(far, near);
    });
  }

  static async to(port: number): Promise<Wire> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Wire(server, port);
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  get isAlone(): boolean {
    return this.#sockets.size === 0;
  }

  /** What a server still holds of the session before is no part of the next one. */
  expect(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.accepted = 0;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (chunk: Buffer) => {
      this.onActivity();
      if (!to.write(chunk)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroySoon();
      this.onActivity();
    });
  }
}

/** What docs/servers-behind.md says that this server needs, in `upstream`. */
const NEEDS: Readonly<Record<string, object>> = { 'go-smtp': { text_line: 2000 } };

/** A firewall in front of the real server. */
class Lane implements Place {
  readonly setting = SETTING;
  readonly port: number;
  readonly servers: Wire;
  readonly other: Behind;
  readonly #firewall: OpenFirewall;
  #read = 0;

  private constructor(wire: Wire, firewall: OpenFirewall) {
    this.servers = wire;
    this.other = { connections: [], told: [], accepted: 0, busy: false, isAlone: true, onActivity() {}, expect() {} };
    this.#firewall = firewall;
    this.port = firewall.port;
  }

  static async open(server: number, name: string): Promise<Lane> {
    const wire = await Wire.to(server);
    const config = configOf(SETTING, { servers: wire.port, other: wire.port, redis: 0 });
    const upstream = { ...(config.upstream as object), ...NEEDS[name] };
    return new Lane(wire, await openFirewall({ ...config, upstream }));
  }

  async putInForce(): Promise<void> {}

  defects(): string[] {
    const lines = this.#firewall.logs.slice(this.#read);
    this.#read = this.#firewall.logs.length;
    return lines.filter((line) => line.includes('"msg":"defect"'));
  }

  async close(): Promise<void> {
    await this.#firewall.close();
    await this.servers.close();
  }
}

/** Our own words in the place of the server's. */
const OUR_NO = /Relay access denied|Recipient address rejected|Bad sender address syntax|Command not recognized/;

function faultsOf({ session, answers, defects, stuck }: Heard, server: string): string[] {
  const faults = defects.map((line) => `defect ${line.slice(0, 400)}`);
  const said = session.steps.map(({ say = '' }) => say).join('');
  if (stuck !== '' && !OWN_SILENCE[server]?.test(said)) faults.push(`stuck ${stuck}`);
  if (!session.legitimate) return faults;
  for (const [at, { say = '', hears = [] }] of session.steps.entries()) {
    for (const [i, code] of hears.entries()) {
      const text = answers[at]?.[i]?.text;
      if (text === undefined) return faults; // the server ended it
      const ours = OUR_NO.test(text);
      if (code === '!554' ? !/^[45]/.test(text) : ours)
        faults.push(`blocked step ${at} ${JSON.stringify(say.slice(0, 200))}: ${text}`);
      if (!text.startsWith(code.replace('!', ''))) return faults; // from here on it is another dialogue
    }
  }
  return faults;
}

/** What makes a server wait for ever in mail data, by itself: seen without Postern as well. */
const OWN_SILENCE: Readonly<Record<string, RegExp>> = {
  'Net::Server::Mail': /DATA\r\n\.\r\n/i, // 0.28 sees no end in a dot without a line end before it
  'go-smtp': /[^\n]{1999}/, // 0.12 throws away what it had read with such a line, the end of the data too
};

/** What came out that is not ours. A notice to the sender is the server's own mail. */
function foreign({ recipients }: SmartHost): string[] {
  return recipients
    .map(({ sender, recipient }) => ({ sender, recipient: recipient.replace(/> [A-Z]+=[^@%!]*$/, '') })) // go-smtp keeps parameters in it
    .filter(
      ({ recipient }) =>
        recipient !== '' && !(hostsIn(recipient) ?? ['a route']).every((host) => host === 'local.example'),
    )
    .filter(({ sender, recipient }) => !(sender === '' && /^(?:s|s\d+n|other|alice|erin|frank)@/i.test(recipient)))
    .map(({ sender, recipient }) => `bypass ${JSON.stringify(recipient)} from ${JSON.stringify(sender)}`);
}

export interface RealRun {
  sessions: number;
  out: number;
}

/** `found`: the sessions among which it was; one where it is known. */
export async function fuzzReal(
  server: MailServer,
  seed: number,
  goesOn: () => boolean,
  found: (sessions: readonly Session[], faults: readonly string[]) => void,
): Promise<RealRun> {
  const host = await SmartHost.listen();
  const bed: ServerBed = await server.start(host.port, await freePort());
  const lanes = await Promise.all(Array.from({ length: LANES }, () => Lane.open(bed.port, server.name)));
  const novelty = new Novelty();
  const run: RealRun = { sessions: 0, out: 0 };
  const one = async (lane: Lane, session: Session): Promise<void> => {
    const heard = await play(lane, session);
    run.sessions++;
    if (!session.legitimate) novelty.look(heard);
    const faults = faultsOf(heard, server.name);
    if (faults.length > 0) found([session], faults);
  };
  try {
    while (goesOn()) {
      const played: Session[] = [];
      await Promise.all(
        lanes.map(async (lane, at) => {
          const below = numbers(seed * 1009 + at + run.sessions * 31);
          for (let count = ROUND / LANES; count > 0 && goesOn(); count--) {
            const legitimate = below(4) === 0;
            const session = legitimate
              ? legitimateSession(below, SETTING, LEAST)
              : attack(below, SETTING, novelty.pool);
            played.push(session);
            await one(lane, session);
          }
        }),
      );
      await host.quiet(Number.POSITIVE_INFINITY);
      const faults = foreign(host);
      run.out += host.recipients.length;
      host.recipients.length = 0;
      if (faults.length > 0) found(await guilty(host, lanes[0] as Lane, played), faults);
    }
  } finally {
    for (const lane of lanes) await lane.close().catch((error: Error) => found([], [`defect ${error.message}`]));
    await bed.stop();
    await host.close();
  }
  return run;
}

/** Each by itself; all where none does it again. */
async function guilty(host: SmartHost, lane: Lane, played: readonly Session[]): Promise<readonly Session[]> {
  const again: Session[] = [];
  for (const session of played) {
    await play(lane, session);
    await host.quiet(Number.POSITIVE_INFINITY);
    if (foreign(host).length > 0) again.push(session);
    host.recipients.length = 0;
  }
  return again.length > 0 ? again : played;
}
