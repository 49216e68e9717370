// One row said over real sockets: client → gate → stand-in, step by step, and everything that was heard on both ends.
//
// The end is always definite: either the gate closed by itself, or the conversation fell silent and the client ended it,
// and then both connections are awaited. So nothing that the gate would still forward is missed. What the outcome is
// worth is not decided here: that is verdict.ts.

import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Dialect } from '../helpers/dialects.ts';
import { type Mode, type Reply, SmtpClient } from '../helpers/smtp-client.ts';
import type { StandInConnection, UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { octetsOf, type Row, type Step } from './rows.ts';

/** Silence on both sides after which a step without expectation counts as answered, and a row as said. */
const STEP_SILENCE_MS = 25;
const LAST_SILENCE_MS = 60;
/** How long an end is awaited that should come by itself. */
const CLOSE_WITHIN_MS = 30_000;
/** A row that is not over by then is given up: far more than it takes, for a machine that has other things to do. */
const DEADLINE_MS = 150_000;

export interface AdmissionControl {
  readonly port: number;
  /** TLS comes before all else, but for a PROXY header. */
  readonly implicitTls?: boolean;
  close(): Promise<void>;
}

export interface Conversation {
  readonly row: Row;
  readonly dialect: Dialect;
  readonly mode: Mode;
  /** What the row expected and did not get, in order. */
  readonly unmet: Unmet[];
  readonly replies: readonly Reply[];
  /** The gate ended the client's connection before the client ended it. */
  readonly closedByGate: boolean;
  readonly upstream: readonly StandInConnection[];
  /** The octets of each step that went out. */
  readonly said: ReadonlyArray<{ readonly step: Step; readonly octets: Buffer }>;
  readonly transcript: readonly string[];
}

export interface Unmet {
  readonly expected: string;
  /** null: the connection was over. */
  readonly got: string | null;
}

export interface Place {
  readonly gate: AdmissionControl;
  readonly standIn: UpstreamStandIn;
}

export async function converse(row: Row, dialect: Dialect, mode: Mode, place: Place): Promise<Conversation> {
  const { standIn } = place;
  standIn.expect({ dialect, ...(row.backend && { backend: row.backend }) });
  const talk = new Talk(place, mode);
  const deadline = setTimeout(() => talk.giveUp('the end of the row'), DEADLINE_MS);
  if (row.source_ip !== undefined) await talk.name(row.source_ip);
  if (place.gate.implicitTls === true) await talk.client.shakeHands();
  for (const [at, step] of row.send.entries()) {
    await talk.say(step);
    if (at < row.send.length - 1 && !isExpecting(step)) await talk.awaitSilence(STEP_SILENCE_MS);
  }
  const closedByGate = await talk.end(row.must === 'close');
  clearTimeout(deadline);
  const { unmet, client, said, transcript } = talk;
  const upstream = [...standIn.connections];
  for (const { server } of upstream) {
    transcript.push(`upstream read: ${JSON.stringify(server.commands.slice(0, 40).map((line) => shorten(line)))}`);
    transcript.push(`upstream heard: ${shorten(server.received.toString('latin1'), 1000)}`);
  }
  return { row, dialect, mode, unmet, replies: client.replies, closedByGate, upstream, said, transcript };
}

function isExpecting(step: Step): boolean {
  return step.expect_code !== undefined || step.expect_replies !== undefined;
}

class Talk {
  readonly client: SmtpClient;
  readonly unmet: Unmet[] = [];
  readonly said: Array<{ step: Step; octets: Buffer }> = [];
  readonly transcript: string[] = [];
  readonly #standIn: UpstreamStandIn;
  readonly #mode: Mode;
  #lastActivity = performance.now();
  #repliesShown = 0;
  #deaf = false;

  constructor(place: Place, mode: Mode) {
    this.#standIn = place.standIn;
    this.#mode = mode;
    this.client = new SmtpClient(place.gate.port);
    this.client.onActivity = () => this.#heardSomething();
    this.#standIn.onActivity = () => {
      this.#lastActivity = performance.now();
    };
  }

  /** Comes from another address, by a PROXY header. It cannot carry a zone id: a balancer drops it, and so do we. */
  async name(source: string): Promise<void> {
    const address = source.replace(/%.*/, '');
    const header = address.includes(':') ? `PROXY TCP6 ${address} ::1` : `PROXY TCP4 ${address} 127.0.0.1`;
    await this.client.write(Buffer.from(`${header} 40000 25\r\n`, 'latin1'));
  }

  async say(step: Step): Promise<void> {
    if (step.no_read) {
      this.#deaf = true;
      this.client.stopReading();
    }
    for (const octets of octetsOf(step)) {
      if (this.client.ended && octets.length > 0) break;
      if (octets.length > 0) this.transcript.push(`C: ${shorten(octets.toString('latin1'))}`);
      this.said.push({ step, octets });
      await this.client.write(octets, step.split === 'every-byte' ? 'octets' : this.#mode);
      this.#lastActivity = performance.now();
      if (step.expect_code !== undefined) await this.#expect(step.expect_code);
      if (step.pause_ms !== undefined) await sleep(step.pause_ms);
    }
    for (const code of step.expect_replies ?? []) await this.#expect(code);
    if (step.fin || step.half_close) this.client.finish();
    if (step.wait_close_ms !== undefined) await this.#ended(step.wait_close_ms);
  }

  /** Until nothing was heard on either side for so long; what was heard is then of no more interest. */
  async awaitSilence(milliseconds: number): Promise<void> {
    while (!this.client.ended) {
      const heard = this.#lastActivity;
      const left = milliseconds - (performance.now() - heard);
      if (left > 0 || this.#standIn.busy) {
        await sleep(Math.max(left, 5));
        continue;
      }
      // Timers run before sockets are read: what came in meanwhile must be seen
      await turn();
      await turn();
      if (this.#lastActivity === heard) break;
    }
    this.client.skipReplies();
  }

  /** Ends the client's side and sees both connections out. Whether the gate had closed before. */
  async end(mustClose: boolean): Promise<boolean> {
    if (this.#deaf) await this.awaitSilence(LAST_SILENCE_MS);
    this.client.readOn();
    if (mustClose) await this.#ended(CLOSE_WITHIN_MS);
    else await this.awaitSilence(LAST_SILENCE_MS);
    const closedByGate = this.client.ended;
    this.client.finish();
    if (!(await this.#ended(CLOSE_WITHIN_MS))) this.giveUp('an end after the client has ended');
    if (!(await this.#standIn.ended(CLOSE_WITHIN_MS))) this.giveUp('an end of the upstream connection');
    this.client.destroy();
    return closedByGate;
  }

  giveUp(expected: string): void {
    this.unmet.push({ expected, got: null });
    this.client.destroy();
  }

  async #expect(code: string): Promise<void> {
    const reply = await this.client.reply();
    const met = reply !== null && new RegExp(`^(?:${code})$`).test(reply.code);
    if (!met) this.unmet.push({ expected: code, got: reply?.code ?? null });
  }

  async #ended(within: number): Promise<boolean> {
    await Promise.race([this.client.end(), sleep(within, undefined, { ref: false })]);
    return this.client.ended;
  }

  #heardSomething(): void {
    this.#lastActivity = performance.now();
    for (const reply of this.client.replies.slice(this.#repliesShown))
      this.transcript.push(`S: ${shorten(reply.text)}`);
    this.#repliesShown = this.client.replies.length;
    if (this.client.ended) this.transcript.push('[the gate has ended the connection]');
  }
}

function shorten(text: string, most = 160): string {
  const shown = JSON.stringify(text).slice(1, -1);
  return shown.length <= most ? shown : `${shown.slice(0, most - 40)} … (${text.length} octets) … ${shown.slice(-30)}`;
}
