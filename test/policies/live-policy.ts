// A policy file behind real sockets: the product in this process, a mail server of some version behind it, and a client
// that comes from whatever address a case names.
//
// The addresses of the two ends are said in a PROXY header, so that one loopback address can play them all. The stand-in
// refuses nobody: a 4yz or 5yz is always the firewall's. Cases are asked one after the other; DNS answers for the one
// that is being asked. A case with TLS comes to a second listener, where TLS comes before all else, whatever the policy
// says of STARTTLS; its client shows a certificate where the case names one.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatFinding } from '../../src/config/finding.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Case } from '../../src/policy/cases.ts';
import { type Answer, answerQuestion, type PolicyQuestion, type Verdict } from '../../src/policy/policy-question.ts';
import { startFirewall } from '../../src/serve/firewall.ts';
import { makePair, serverPair } from '../helpers/certificates.ts';
import '../helpers/poison.ts';
import { type Reply, SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { backendOf, type Version } from './versions.ts';

/** What came of one case on the wire. */
export interface Outcome {
  readonly answer: Answer;
  /** The reply that decided, as received. */
  readonly reply: string;
  /** What the client said, without the lines that were refused. */
  readonly allowed: string;
  /** What the mail server received; null when nobody connected to it. */
  readonly heard: string | null;
}

export interface LivePolicy {
  /** A whole session: connection, EHLO, login, MAIL, RCPT, QUIT. */
  ask(one: Case): Promise<Outcome>;
  /** What the policy itself says to the same case, as `explain` would show it. */
  explain(one: Case): Promise<Verdict>;
  /** A client at connection time, its greeting not yet read. */
  enter(from: Entrance): Promise<SmtpClient>;
  /** Rejects when a defect of ours was caught meanwhile. */
  close(): Promise<void>;
}

/** Who comes, and how. */
export type Entrance = Pick<PolicyQuestion, 'source' | 'local'> & Partial<Pick<PolicyQuestion, 'tls' | 'tlsSubject'>>;

/** This machine's own addresses do not count, so that the answers are the same everywhere. */
const NOWHERE = { ownAddresses: [], gateways: [] };

/** `policy` is an absolute path. */
export async function openLivePolicy(policy: string, version: Version): Promise<LivePolicy> {
  let names: readonly string[] | null = [];
  const standIn = await UpstreamStandIn.listen({ dialect: 'lf', backend: backendOf(version) });
  const folder = await mkdtemp(join(tmpdir(), 'postern-live-'));
  const file = join(folder, 'postern.yaml');
  await writeFile(file, JSON.stringify(configOf(policy, standIn.port)));
  const loaded = loadConfig(file, { host: NOWHERE, resolve: async () => names });
  await rm(folder, { recursive: true });
  const { config, policy: compiled, credentials } = loaded;
  if (config === null || compiled === null) {
    await standIn.close();
    throw new Error(loaded.findings.map((finding) => formatFinding(finding)).join('\n'));
  }

  // A tarpit keeps its place here and not its seconds, which nobody has the time to wait for.
  for (const { profile } of compiled.connectors) Object.assign(profile, { tarpit: Math.min(profile.tarpit, 1) });
  const logs: string[] = [];
  const sink = { write: (line: string) => void logs.push(line), flush: async () => {}, lost: 0 };
  const firewall = await startFirewall(config, compiled, { sink, credentials });
  const [plain, encrypted] = firewall.addresses;

  const enter: LivePolicy['enter'] = async (from) => {
    const { tls = false, tlsSubject = [] } = from;
    const client = new SmtpClient((tls ? encrypted : plain)?.port ?? 0);
    await client.write(Buffer.from(proxyHeader(from), 'latin1'));
    if (tls) await client.shakeHands(tlsSubject.length === 0 ? {} : certificateFor(tlsSubject));
    return client;
  };
  return {
    enter,
    ask: async (one) => {
      names = one.names;
      const before = standIn.connections.length;
      const client = await enter(one.asked);
      const session = await converse(client, one.asked);
      client.destroy();
      const heard = standIn.connections[before]?.server.received.toString('latin1') ?? null;
      return { ...session, heard };
    },
    explain: (one) => {
      names = one.names;
      return answerQuestion(compiled, one.asked);
    },
    close: async () => {
      await firewall.close();
      await standIn.close();
      const defects = logs.filter((line) => line.includes('"msg":"defect"'));
      if (defects.length > 0) throw new Error(`defects were caught: ${defects.join('')}`);
    },
  };
}

const PROXIED = { proxy_protocol: { from: ['127.0.0.1/32'] } };
const authority = makePair({ subject: '/CN=Test CA' });
const ENCRYPTED = {
  certificates: [{ cert: serverPair().certFile, key: serverPair().keyFile }],
  client_ca: authority.certFile,
  implicit_tls: true,
};

/** Of a common name, or of hosts. */
function certificateFor(names: readonly string[]): { cert: string; key: string } {
  const holder = names.find((name) => name.includes('=')) ?? 'CN=client';
  const hosts = names.filter((name) => !name.includes('=')).map((name) => `DNS:${name}`);
  const more = hosts.length === 0 ? {} : { names: hosts.join() };
  return makePair({ subject: `/${holder.replaceAll(',', '/')}`, by: authority, ...more });
}

function configOf(policy: string, upstreamPort: number): object {
  return {
    listeners: [
      { bind: ['127.0.0.1:0'], ...PROXIED },
      { bind: ['127.0.0.1:0'], ...PROXIED, ...ENCRYPTED },
    ],
    upstream: { servers: [`127.0.0.1:${upstreamPort}`] },
    policy,
    admin: null,
  };
}

/** Where one end is IPv6, an IPv4 one is written as a mapped address. */
function proxyHeader({ source, local }: Pick<PolicyQuestion, 'source' | 'local'>): string {
  const six = source.includes(':') || local.address.includes(':');
  const [from, to] = [source, local.address].map((ip) => (six && !ip.includes(':') ? `::ffff:${ip}` : ip));
  return `PROXY ${six ? 'TCP6' : 'TCP4'} ${from} ${to} 40000 ${local.port}\r\n`;
}

async function converse(client: SmtpClient, asked: PolicyQuestion): Promise<Omit<Outcome, 'heard'>> {
  let allowed = '';
  const say = async (line: string): Promise<Reply> => {
    await client.write(Buffer.from(`${line}\r\n`));
    const reply = await heardBy(client);
    if (/^[23]/.test(reply.code)) allowed += `${line}\r\n`;
    return reply;
  };
  const end = async (answer: Answer, { text }: Reply): Promise<Omit<Outcome, 'heard'>> => {
    // Whatever else went to the mail server came there before this. Behind a 421 the connection ends by itself.
    if (text.startsWith('421')) await client.end();
    else await say('QUIT');
    return { answer, reply: text, allowed: Buffer.from(allowed).toString('latin1') };
  };

  const greeting = await heardBy(client);
  if (greeting.code !== '220') return end('refuse-connection', greeting);
  const { text: offer } = await say(`EHLO ${asked.helo || 'client.example'}`);
  if (asked.login !== null) await logIn(asked.login, offer, say);
  const mail = await say(`MAIL FROM:${bracketed(asked.sender)}`);
  if (mail.code !== '250') return end(mail.code.startsWith('4') ? 'defer' : 'refuse-sender', mail);
  const rcpt = await say(`RCPT TO:${bracketed(asked.recipient)}`);
  if (rcpt.code !== '250') return end(rcpt.code.startsWith('4') ? 'defer' : 'reject', rcpt);
  return end('proceed', rcpt);
}

async function heardBy(client: SmtpClient): Promise<Reply> {
  const reply = await client.reply();
  if (reply === null) throw new Error(`the connection ended behind ${JSON.stringify(client.replies.at(-1)?.text)}`);
  return reply;
}

function bracketed(path: string): string {
  return path.startsWith('<') ? path : `<${path}>`;
}

/** Logs in with what is offered, and with LOGIN where nothing is: then it will be refused. `?` is a login that shows no
 * name: Kerberos, or the empty name that a server with a Guest account lets in (Q251149). */
async function logIn(name: string, offer: string, say: (line: string) => Promise<Reply>): Promise<void> {
  const offered = new Set(/^250[ -]AUTH (.*)\r$/m.exec(offer)?.[1]?.split(' ') ?? []);
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const shown = name === '?' ? '' : name;
  let mechanism = 'LOGIN';
  let responses = [base64(shown), base64('secret')];
  if (name === '?' && offered.has('GSSAPI')) {
    mechanism = 'GSSAPI';
    responses = ['ticket', 'token', 'token'].map(base64);
  } else if (name !== '?' && offered.has('PLAIN')) {
    mechanism = 'PLAIN';
    responses = [base64(`\0${shown}\0secret`)];
  }
  let { code, text } = await say(`AUTH ${mechanism}`);
  for (const response of responses) if (code === '334') ({ code, text } = await say(response));
  if (offered.size > 0 && code !== '235') throw new Error(`the login of ${name} failed: ${text}`);
}
