// Plays a golden dialogue over real sockets: a client and a scripted upstream on loopback, the product between them.
//
// The header lines become a config that goes through the product's own reader. Both ears are compared behind each turn,
// as in memory, but that an ear is given a while to hear what it should, and that the upstream need not hear the last
// octets before a close: its connection is reset, so that it cannot take them for a whole message.
// A handshake is a real one, of the client's socket.
// Left to memory alone: the operator and a judge that is asked, for nobody on the wire can play them.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { serverPair } from './certificates.ts';
import type { Cut } from './cuts.ts';
import { compare } from './play.ts';
import { openFirewall } from './postern.ts';
import type { Transcript, Turn } from './transcripts.ts';

const PATIENCE_MS = 3000;

export function playsOverSockets(transcript: Transcript): boolean {
  const alone = transcript.judgement === 'asked' || transcript.turns.some(({ who }) => who === 'operator');
  return !alone && !transcript.header.has('refused-senders') && transcript.header.get('sockets') !== 'no';
}

/** Rejects with an error that shows the turn when an ear heard anything else. */
export async function playOverSockets(transcript: Transcript, cut: Cut): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const firewall = await openFirewall(configOf(transcript, (server.address() as AddressInfo).port));
    await playBetween(transcript, cut, server, firewall.port).finally(() => firewall.close());
  } finally {
    server.close();
  }
}

async function playBetween(transcript: Transcript, cut: Cut, server: Server, port: number): Promise<void> {
  const accepted = once(server, 'connection');
  const client = new Ear(connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true }));
  if (transcript.tls) await client.shakeHands();
  const [socket] = (await accepted) as [Socket];
  const upstream = new Ear(socket);
  try {
    let offset = 0;
    for (const turn of transcript.turns) {
      const speaker = turn.who === 'client' ? client : upstream;
      const says = Buffer.from(turn.says, 'latin1');
      for (const chunk of says.length === 0 ? [] : cut(says, offset)) speaker.socket.write(chunk);
      if (turn.ends) speaker.socket.end();
      if (turn.who === 'handshake') await client.shakeHands();
      offset += says.length;
      await heardBy(turn, client, upstream);
    }
  } finally {
    client.socket.destroy();
    upstream.socket.destroy();
  }
}

/** Waits until both ears heard what the turn says, and both are closed where it says so. */
async function heardBy(turn: Turn, client: Ear, upstream: Ear): Promise<void> {
  const deadline = AbortSignal.timeout(PATIENCE_MS);
  const wrong = (): string | null => {
    if (turn.closed === null) return compare(turn, upstream.heard, client.heard);
    if (!client.ended || !upstream.ended) return 'should be closed';
    const all = turn.upstreamHears.map(({ text }) => text).join('');
    return compare(turn, all.startsWith(upstream.heard) ? all : upstream.heard, client.heard);
  };
  while (wrong() !== null && !deadline.aborted) await Promise.race([client.next(deadline), upstream.next(deadline)]);
  const left = wrong();
  if (left !== null) throw new Error(`${turn.where}: ${left}`);
  upstream.heard = '';
  client.heard = '';
}

/** One end of a connection: what it heard since this was emptied, and whether the other end is gone. */
class Ear {
  socket: Socket;
  heard = '';
  ended = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    this.#listen();
  }

  #listen(): void {
    this.socket.on('data', (chunk: Buffer) => {
      this.heard += chunk.toString('latin1');
      this.#wake();
    });
    for (const event of ['end', 'close', 'error']) {
      this.socket.on(event, () => {
        this.ended = true;
        this.#wake();
      });
    }
  }

  /** What is said and heard from here on goes through TLS. */
  async shakeHands(): Promise<void> {
    this.socket.removeAllListeners();
    const socket = connectTls({ socket: this.socket, rejectUnauthorized: false });
    this.socket = socket;
    this.#listen();
    await once(socket, 'secureConnect');
  }

  /** Resolves when something happens. */
  next(deadline: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      deadline.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}

// --- the header as a config

const RULES = {
  nobody: [],
  anyone: [{ name: 'anyone', allow: {} }],
  authenticated: [{ name: 'authenticated', allow: { authenticated: true } }],
} as const;

const NO_PAIR = { certFile: '', keyFile: '' };
const CONNECTOR_KEYS = 'mode auth starttls exchange-verbs chunking vrfy bare-lf early-talker'.split(' ');

export function configOf({ header, policy, profile, tls }: Transcript, upstreamPort: number): Record<string, unknown> {
  const connector: Record<string, unknown> = {
    name: 'internet',
    remote_ip_ranges: ['any'],
    rules: RULES[policy.relay ?? 'nobody'],
    i_know_this_is_open: policy.relay === 'anyone',
  };
  for (const key of CONNECTOR_KEYS) if (header.has(key)) connector[key.replaceAll('-', '_')] = header.get(key);
  if (header.has('unqualified')) connector.unqualified_recipients = header.get('unqualified');
  if (profile.hideKeywords !== undefined) connector.hide_keywords = [...profile.hideKeywords];
  if (header.has('max-message-size')) connector.max_message_size = `${header.get('max-message-size')}B`;
  if (header.has('relay-reply')) connector.replies = { relay: header.get('relay-reply') };
  const { certFile, keyFile } = tls || header.get('starttls') === 'terminate' ? serverPair() : NO_PAIR;
  const certificates = certFile === '' ? [] : [{ cert: certFile, key: keyFile }];
  return {
    listeners: [{ bind: ['127.0.0.1:0'], certificates, implicit_tls: tls }],
    upstream: {
      servers: [`127.0.0.1:${upstreamPort}`],
      dot_lines: profile.dotLines ?? 'pass',
      text_line: profile.textLine ?? 'unlimited',
    },
    policy: {
      version: 1,
      accepted_domains: policy.accepted,
      blocked_domains: policy.blocked ?? [],
      accepted_literals: policy.literals ?? [],
      connectors: [connector],
    },
    lost_address_guard: 'warn',
    limits: { session: limitsOf(header.get('limits')) },
    admin: null,
  };
}

function limitsOf(value = ''): Record<string, number> {
  const limits = value
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => word.split('='));
  const snake = (name = '') => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(limits.map(([name, count]) => [snake(name), Number(count)]));
}
