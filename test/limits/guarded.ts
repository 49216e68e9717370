// The product in this process, with limits, behind a PROXY header, so that one test plays many sources; a mail server that is
// played by the test's options; and the admin port.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { formatFinding } from '../../src/config/finding.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type RunningFirewall, startFirewall } from '../../src/serve/firewall.ts';
import type { Backend } from '../helpers/backend.ts';
import { assertAllKnown } from '../helpers/log-lines.ts';
import { startWorker } from '../helpers/main.ts';
import { writeSettled } from '../helpers/settled.ts';
import '../helpers/poison.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { BEARER, TOKEN_FILE } from '../helpers/token.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';

export interface GuardedOptions {
  readonly limits?: object;
  /** More of the connector. */
  readonly connector?: object;
  readonly policy?: object;
  readonly config?: object;
  readonly upstream?: object;
  readonly backend?: Backend;
}

export class Guarded {
  readonly firewall: RunningFirewall;
  readonly standIn: UpstreamStandIn;
  readonly logs: readonly Record<string, unknown>[];
  readonly #clients: SmtpClient[] = [];

  private constructor(firewall: RunningFirewall, standIn: UpstreamStandIn, logs: readonly Record<string, unknown>[]) {
    this.logs = logs;
    this.firewall = firewall;
    this.standIn = standIn;
  }

  static async open(t: TestContext, options: GuardedOptions = {}): Promise<Guarded> {
    const standIn = await UpstreamStandIn.listen({ dialect: 'lf', backend: options.backend ?? {} });
    const { config, policy, order, logs, sink } = load(options, standIn.port);
    const firewall = await startFirewall(config, policy, { sink, order, startWorker });
    const guarded = new Guarded(firewall, standIn, logs);
    t.after(async () => {
      for (const client of guarded.#clients) client.destroy();
      await firewall.close();
      await standIn.close();
      const defects = logs.filter(({ msg }) => msg === 'defect');
      if (defects.length > 0) throw new Error(JSON.stringify(defects));
    });
    return guarded;
  }

  /** The policy of these options takes the place of the one in force. */
  async reload(options: GuardedOptions): Promise<void> {
    const { config, policy, order } = load(options, this.standIn.port);
    const inForce = { config, policy, credentials: [] };
    await this.firewall.putInForce(inForce, 'other', () => ({ file: '', line: 0, column: 0 }), order);
  }

  /** A client from there and the first thing it hears. */
  connect(source = '192.0.2.1'): Promise<{ client: Client; greeting: string }> {
    const family = source.includes(':') ? 'TCP6' : 'TCP4';
    const local = source.includes(':') ? '2001:db8:ffff::1' : '192.0.2.25';
    return this.behind(Buffer.from(`PROXY ${family} ${source} ${local} 40000 25\r\n`));
  }

  /** A client, or a balancer's check, behind this header and the first thing it hears. */
  async behind(header: Buffer): Promise<{ client: Client; greeting: string }> {
    const smtp = new SmtpClient(this.firewall.addresses[0]?.port ?? 0);
    this.#clients.push(smtp);
    await smtp.write(header);
    const client = new Client(smtp);
    return { client, greeting: await client.hear() };
  }

  /** The same behind EHLO. */
  async greeted(source?: string): Promise<Client> {
    const { client } = await this.connect(source);
    await client.say('EHLO client.example');
    return client;
  }

  async admin(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(this.#adminUrl(path), {
      method,
      headers: { ...BEARER, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  /** One series of the metrics. */
  async metric(series: string): Promise<number> {
    const text = await (await fetch(this.#adminUrl('/metrics'))).text();
    const line = text.split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? 0 : Number(line.slice(series.length + 1));
  }

  #adminUrl(path: string): string {
    const { address, port } = this.firewall.adminAddress ?? { address: '', port: 0 };
    return `http://${address}:${port}${path}`;
  }

  logged(message: string): Record<string, unknown>[] {
    return this.logs.filter(({ msg }) => msg === message);
  }
}

const SILENCE = 10_000; // ms after which a reply is not awaited any longer

/** One client; a reply is its text without line ends, '' when the connection is over. */
export class Client {
  readonly smtp: SmtpClient;

  constructor(smtp: SmtpClient) {
    this.smtp = smtp;
  }

  async hear(): Promise<string> {
    const silent = setTimeout(() => this.smtp.destroy(), SILENCE);
    const reply = await this.smtp.reply();
    clearTimeout(silent);
    return reply?.text.trimEnd() ?? '';
  }

  async say(line: string): Promise<string> {
    await this.smtp.write(Buffer.from(`${line}\r\n`));
    return this.hear();
  }

  /** In one segment; as many replies as lines. */
  async sayAll(...lines: string[]): Promise<string[]> {
    await this.smtp.write(Buffer.from(lines.map((line) => `${line}\r\n`).join('')));
    const replies: string[] = [];
    for (const _ of lines) replies.push(await this.hear());
    return replies;
  }

  /** MAIL and RSET: the reply to MAIL. */
  async mail(sender = 's@sender.example'): Promise<string> {
    const reply = await this.say(`MAIL FROM:<${sender}>`);
    if (reply.startsWith('250')) await this.say('RSET');
    return reply;
  }

  /** A whole message of so many octets; the reply to MAIL when that is refused, else the last. */
  async message(octets = 10): Promise<string> {
    const mail = await this.say('MAIL FROM:<s@sender.example>');
    if (!mail.startsWith('250')) return mail;
    await this.say('RCPT TO:<user@local.example>');
    await this.say('DATA');
    return this.say(`${'x'.repeat(octets - 2)}\r\n.`);
  }

  /** PLAIN; the reply. */
  logIn(name: string): Promise<string> {
    return this.say(`AUTH PLAIN ${Buffer.from(`\0${name}\0secret`).toString('base64')}`);
  }

  quit(): Promise<string> {
    return this.say('QUIT');
  }
}

function load(options: GuardedOptions, upstream: number) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-limits-'));
  const file = join(folder, 'postern.yaml');
  const connector = { name: 'internet', remote_ip_ranges: ['any'], ...options.connector };
  const document = {
    listeners: [{ bind: ['127.0.0.1:0'], proxy_protocol: { from: ['127.0.0.1/32'] } }],
    upstream: { servers: [`127.0.0.1:${upstream}`], ...options.upstream },
    policy: { version: 1, accepted_domains: ['local.example'], connectors: [connector], ...options.policy },
    limits: options.limits ?? {},
    admin: { listen: '127.0.0.1:0', token_file: TOKEN_FILE },
    ...options.config,
  };
  writeSettled(file, JSON.stringify(document));
  const { config, policy, findings, world } = loadConfig(file);
  rmSync(folder, { recursive: true });
  if (config === null || policy === null) throw new Error(findings.map((one) => formatFinding(one)).join('\n'));
  const logs: Record<string, unknown>[] = [];
  const write = (text: string): void => {
    for (const line of text.split('\n').slice(0, -1)) logs.push(JSON.parse(line));
    assertAllKnown([text]);
  };
  return { config, policy, order: { file, values: {}, world }, logs, sink: { write, flush: async () => {}, lost: 0 } };
}
