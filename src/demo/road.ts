// The road from an old server that relays for everybody to a closed one behind Postern, played from end to end.
//
// settings → import → check → replay → suggest → a person decides → observe → enforce → the old server closed. The old server and its
// clients are stand-ins; what Postern says is what its commands say, each run as one would type it. Every step states what must
// have come of it, and what did not is told and counted. The person who decides is played, too: rules for addresses inside
// are accepted with an owner, all else is struck out.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Delivery, type Destination, type Send, send as sendAsPrinter } from './mail-client.ts';
import { DAYS, everyKind, FORGOTTEN, type Letter, lettersOf } from './office.ts';
import { OldServer } from './old-server.ts';
import type { OldSystem } from './old-systems.ts';
import { configText, devicesText, isInside, type Rule, throughUpstream } from './person.ts';
import type { Postern, Running, Said } from './postern-child.ts';

const DAY = 86_400_000;
const MORNING = 8 * 3_600_000;

export interface RoadOptions {
  readonly system: (now: () => Date, changedAt: number) => OldSystem;
  /** An empty folder, for all files. */
  readonly folder: string;
  /** Our commands, in that folder. */
  readonly postern: Postern;
  readonly say: (text: string) => void;
  /** What a stranger who tries every form finds at a port: `open`, `closed`, `cannot tell`. */
  readonly probe: (port: number) => Promise<string>;
  /** How letters are sent; else as a printer does it. */
  readonly send?: Send;
  /** Asked when all is closed, before it ends; true: as it should be. */
  readonly atTheEnd?: (ports: { readonly postern: number; readonly old: number }) => Promise<boolean>;
  readonly now: number;
  /** Ends it: what plays it rejects then. */
  readonly signal: AbortSignal;
}

/** Plays it; whether all came of it that should. */
export async function playRoad(options: RoadOptions): Promise<boolean> {
  const { signal } = options;
  const road = new Road(options);
  const interrupted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(new Error('interrupted'))),
  );
  try {
    return await Promise.race([road.play(), interrupted]);
  } finally {
    await road.end();
  }
}

class Road {
  readonly #options: RoadOptions;
  readonly #system: OldSystem;
  readonly #old: OldServer;
  readonly #postern: Postern;
  #clock: number;
  #running: Running | null = null;
  #accepted: Rule[] = [];
  #imported = '';
  #failures = 0;
  #step = 0;

  constructor(options: RoadOptions) {
    this.#options = options;
    this.#clock = Math.floor(options.now / DAY) * DAY - DAYS * DAY;
    this.#system = options.system(this.#time, this.#clock + 12 * DAY + MORNING + 5000);
    this.#old = new OldServer(this.#system);
    this.#postern = options.postern;
  }

  async play(): Promise<boolean> {
    await this.#old.start(this.#time);
    await this.#month();
    await this.#import();
    await this.#replay();
    await this.#suggest();
    await this.#observe();
    await this.#enforce();
    await this.#close();
    const ok = this.#failures === 0;
    this.#say(ok ? '\nAll is as it should be.' : `\nNOT AS IT SHOULD BE: ${this.#failures} of the above.`);
    return ok;
  }

  async end(): Promise<void> {
    await this.#running?.end();
    this.#postern.end();
    await this.#old.close();
  }

  /** The clock of the old server: whoever looks at it takes a little time. */
  readonly #time = (): Date => {
    this.#clock += 137;
    return new Date(this.#clock);
  };

  async #month(): Promise<void> {
    this.#title(`${this.#system.name}, as it stands open`);
    this.#say(this.#system.fault);
    const first = this.#clock;
    let sent = 0;
    let whole = 0;
    for (let day = 0; day < DAYS; day++) {
      this.#clock = first + day * DAY + MORNING;
      const deliveries = await this.#sendAll(lettersOf(day), this.#oldNetwork);
      sent += deliveries.length;
      whole += deliveries.filter((one) => one.whole).length;
    }
    this.#clock = first + DAYS * DAY;
    this.#must(whole === sent, `${sent} messages in ${DAYS} days: it took them all, the spammer's too`);
    for (const [name, text] of this.#system.exports) this.#write(name, text);
    const logs = this.#system.logFiles();
    mkdirSync(join(this.#options.folder, this.#system.logFolder));
    for (const [name, text] of logs) this.#write(join(this.#system.logFolder, name), text);
    const names = [...this.#system.exports.keys()].join(', ');
    this.#say(`Copied from it: ${names}, and ${logs.size} log files in ${this.#system.logFolder}`);
    const found = await this.#options.probe(this.#old.ports.stranger);
    this.#must(found === 'open', `postern probe, from outside: ${found}`);
  }

  async #import(): Promise<void> {
    this.#title('Its settings become a policy: import, check, test');
    const files = [...this.#system.exports.keys()];
    const said = await this.#ask('import', ...files, '--cases', 'office.cases');
    this.#imported = said.stdout;
    this.#write('office.yaml', said.stdout);
    this.#show(said.stderr, (line) => /LOOK HERE|^postern check|^\d+ cases/.test(line));
    this.#must(said.code === 0, 'imported closed: nobody relays without a login by a rule for the whole world');
    await this.#sound();
  }

  async #replay(): Promise<void> {
    this.#title('What that policy would have said in these thirty days: replay');
    if (!this.#system.logsTellLogins) {
      const { stdout } = await this.#replayed();
      this.#show(stdout, (_, i) => i > 0 && i < 3);
      this.#say('This log tells of no logins. So: as though nobody had logged in.');
    }
    const { stdout, code } = await this.#replayed(...this.#asLogged);
    this.#show(stdout, (line, i) => (i < 3 || /^(Stricter|Looser|source|\d+\.\d+\.\d+\.\d+) /.test(line)) && i < 16);
    this.#must(code === 1, 'it would refuse mail that the old server took: some of it is wanted');
  }

  async #suggest(): Promise<void> {
    this.#title('What is missing: suggest, and a person decides');
    const logs = [this.#system.logFolder, ...this.#asLogged];
    const [shown, proposed] = await Promise.all([
      this.#ask('suggest', ...logs, '--policy', 'office.yaml'),
      this.#proposed(...logs),
    ]);
    this.#show(shown.stdout, (line) => !/^\s*(owner|expires|#.*e\.g\.)/.test(line), 26);
    const wanted = proposed.filter(({ sources }) => sources.every(isInside));
    const struck = proposed.length - wanted.length;
    this.#accept(wanted);
    this.#say(
      `Accepted, with an owner: ${wanted.length} ${wanted.length === 1 ? 'rule' : 'rules'} for addresses inside, as connector 'devices'.${struck === 0 ? '' : ` Struck out: ${struck} for people outside and what logs in.`}`,
    );
    this.#must(wanted.length > 0, `a rule for each device that relays`);
    const [checked, { stdout }] = await Promise.all([
      this.#ask('check', '--strict', 'office.yaml'),
      this.#replayed(...this.#asLogged, '--json'),
    ]);
    this.#show(checked.stdout, () => true, 4);
    this.#must(checked.code === 0, 'sound');
    const left = sourcesIn(stdout);
    const expected = this.#mayBeRefused;
    this.#must(
      left.length > 0 && left.every((source) => expected.has(source)),
      `replay again: refused are ${left.join(', ')}: ${this.#system.logsTellLogins ? 'the spammer' : 'the spammer, and who logs in, which this log does not tell'}`,
    );
  }

  async #observe(): Promise<void> {
    this.#title('Postern in front, and it only watches: observe');
    this.#old.become('second door');
    this.#say(`On the old server: ${this.#system.done('second door')}.`);
    this.#write('postern.yaml', configText('observe', this.#old.ports));
    const running = this.#postern.run('postern.yaml', 'postern.log');
    this.#running = running;
    const { addresses } = await running.logged('listening');
    this.#ports = (addresses as string[]).map((address) => Number(address.slice(address.lastIndexOf(':') + 1)));
    this.#say('postern run --config postern.yaml: listening, mode observe');
    await this.#live('a day passes, and everything arrives, as before', 'some');
    const proposed = await this.#proposed('postern.log');
    const wanted = proposed.filter(({ sources }) => sources.every(isInside));
    const found = wanted.map(({ sources, domains }) => `${sources.join(', ')} to ${domains.join(', ')}`).join('; ');
    this.#must(
      wanted.length === 1 && wanted[0]?.sources[0] === FORGOTTEN.from.address,
      `suggest, of Postern's own log: ${found}: ${FORGOTTEN.from.name}, which everybody had forgotten`,
    );
    const mark = running.mark;
    this.#accept(wanted);
    await running.logged('reloaded', mark);
    this.#say('Accepted into office.yaml. Postern watches the file, and has read it anew.');
    const before = running.mark;
    await this.#live('another day', 'some');
    const refused = running.since(before).filter(({ msg }) => msg === 'recipient would be refused');
    const spammers = everyKind().filter(({ from }) => !from.legitimate);
    this.#must(
      refused.every(({ client_address }) => spammers.some(({ from }) => from.address === client_address)),
      `would be refused: ${[...new Set(refused.map((line) => line.client_address))].join(', ')}, the spammer, and nobody else`,
    );
  }

  async #enforce(): Promise<void> {
    this.#title('Nothing that is wanted is missing any more: enforce');
    await this.#sound();
    const running = this.#running as Running;
    const mark = running.mark;
    this.#write('postern.yaml', configText('enforce', this.#old.ports));
    await running.logged('reloaded', mark);
    this.#say('mode: enforce is written into postern.yaml, and read anew.');
    await this.#live('what is wanted arrives, and nothing of the spammer', 'nothing');
  }

  async #close(): Promise<void> {
    this.#title('The old server is closed: the second lock');
    this.#old.become('closed');
    this.#say(`On the old server: ${this.#system.done('closed')}.`);
    await this.#live('the same', 'nothing');
    const spam = everyKind().filter(({ from }) => !from.legitimate);
    const direct = await this.#sendAll(spam, this.#oldNetwork);
    this.#must(
      direct.every(({ letter, taken }) => !letter.recipients.some((one) => !isOurs(one) && taken.includes(one))),
      `the spammer at the old server's own port: ${direct[0]?.refusal}`,
    );
    const [, plain = 0] = this.#ports;
    const found = await this.#options.probe(plain);
    this.#must(found === 'closed', `postern probe, from outside, at Postern: ${found}`);
    const { atTheEnd } = this.#options;
    if (atTheEnd !== undefined)
      this.#must(await atTheEnd({ postern: plain, old: this.#old.ports.stranger }), 'others find it closed, too');
  }

  /** Letters of every kind through Postern: what is wanted arrives whole, and of the spam `spam` says how much. */
  async #live(what: string, spam: 'some' | 'nothing'): Promise<void> {
    const [network = 0] = this.#ports;
    const running = this.#running as Running;
    const mark = running.mark;
    this.#old.taken();
    const deliveries = await this.#sendAll(everyKind(), { port: network, clientPort: this.#system.clientPort });
    await running.logged('session ended', mark, deliveries.length);
    const arrived = this.#old.taken().length;
    const isWrong = ({ letter, whole, taken }: Delivery): boolean =>
      letter.from.legitimate ? !whole : (taken.length === 0) !== (spam === 'nothing');
    const wrong = deliveries.filter(isWrong);
    for (const { letter, refusal } of wrong)
      this.#say(`  ${letter.from.name}, to ${letter.recipients.join(', ')}: ${refusal ?? 'arrived'}`);
    const expected = deliveries.filter(({ letter }) => spam === 'some' || letter.from.legitimate).length;
    this.#must(
      wrong.length === 0 && arrived === expected,
      `${deliveries.length} messages, ${arrived} arrived: ${what}`,
    );
    const refusal = deliveries.find(({ letter }) => !letter.from.legitimate)?.refusal;
    if (refusal != null) this.#say(`  the spammer hears ${refusal}`);
  }

  #ports: readonly number[] = [];

  get #oldNetwork(): Destination {
    return { port: this.#old.ports.network, clientPort: this.#system.clientPort };
  }

  get #asLogged(): string[] {
    return this.#system.logsTellLogins ? [] : ['--no-logins'];
  }

  /** Addresses that the logs show refused, and that it is right about, or cannot know better. */
  get #mayBeRefused(): ReadonlySet<string> {
    const { logsTellLogins } = this.#system;
    const excused = everyKind().filter(({ from }) => !from.legitimate || (!logsTellLogins && from.login !== null));
    return new Set(excused.map(({ from }) => from.address));
  }

  #accept(rules: readonly Rule[]): void {
    this.#accepted = [
      ...this.#accepted,
      ...rules.map((rule, i) => ({ ...rule, name: `device-${this.#accepted.length + i + 1}` })),
    ];
    const text = this.#system.relaying.reduce(throughUpstream, this.#imported);
    this.#write('office.yaml', `${text.trimEnd()}\n${devicesText(this.#accepted)}`);
  }

  async #proposed(...logs: string[]): Promise<Rule[]> {
    const { stdout } = await this.#postern.ask('suggest', ...logs, '--policy', 'office.yaml', '--json');
    const { rules } = JSON.parse(stdout) as { rules: { rule: { allow: Allowed; expires: string } }[] };
    return rules.map(({ rule: { allow, expires } }) => ({
      ...{ name: '', sources: allow.sources ?? [], domains: allow.recipient_domains, expires },
    }));
  }

  #replayed(...options: string[]): Promise<Said> {
    const { logFolder } = this.#system;
    const args = ['replay', logFolder, '--policy', 'office.yaml', ...options];
    return options.includes('--json') ? this.#postern.ask(...args) : this.#ask(...args);
  }

  async #sound(): Promise<void> {
    const [checked, tested] = await Promise.all([
      this.#ask('check', '--strict', 'office.yaml'),
      this.#ask('test', 'office.cases'),
    ]);
    this.#show(checked.stdout + tested.stdout, () => true, 8);
    this.#must(checked.code === 0 && tested.code === 0, 'sound, and it answers as the settings say');
  }

  /** One sender's letters one after the other, senders beside each other. */
  async #sendAll(letters: readonly Letter[], to: Destination): Promise<Delivery[]> {
    const { send = sendAsPrinter } = this.#options;
    const bySender = Map.groupBy(letters, ({ from }) => from);
    const all = [...bySender.values()].map(async (own) => {
      const deliveries: Delivery[] = [];
      for (const letter of own) deliveries.push(await send(letter, to));
      return deliveries;
    });
    return (await Promise.all(all)).flat();
  }

  #ask(...args: string[]): Promise<Said> {
    const redirected = args[0] === 'import' ? ' > office.yaml' : '';
    this.#say(`$ postern ${args.join(' ')}${redirected}`);
    return this.#postern.ask(...args);
  }

  #show(text: string, wanted: (line: string, place: number) => boolean, most = 14): void {
    const lines = text.trimEnd().split('\n').filter(wanted);
    for (const line of lines.slice(0, most)) this.#say(`  | ${line}`);
    if (lines.length > most) this.#say(`  | … ${lines.length - most} lines more`);
  }

  #title(text: string): void {
    this.#step += 1;
    this.#say(`\n${this.#step}. ${text}`);
  }

  /** What must have come of a step. */
  #must(isSo: boolean, what: string): void {
    if (!isSo) this.#failures += 1;
    this.#say(`${isSo ? 'ok' : 'NOT AS IT SHOULD BE'}: ${what}`);
  }

  #say(text: string): void {
    this.#options.say(text);
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#options.folder, name), text);
  }
}

interface Allowed {
  readonly sources?: readonly string[];
  readonly recipient_domains: readonly string[];
}

/** Whom a replay shows as refused where the old server was not. */
function sourcesIn(json: string): string[] {
  const { groups } = JSON.parse(json) as { groups: { kind: string; source: string }[] };
  return [...new Set(groups.filter(({ kind }) => kind === 'stricter').map(({ source }) => source))].sort();
}

function isOurs(recipient: string): boolean {
  return /@example\.com$/.test(recipient);
}
