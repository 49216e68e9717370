// `openssl s_client` as a person uses it: what is typed goes through TLS, what comes back is printed between openssl's own
// words about certificates and ciphers.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

const WITHIN_MS = 5_000;
const REPLY = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/m;

export class SClient {
  /** Everything printed so far, both streams. */
  output = '';
  /** The exit code. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcessWithoutNullStreams;
  #read = 0;

  /** `how` are its options; `-starttls smtp` among them or the port speaks TLS at once. */
  constructor(port: number, ...how: readonly string[]) {
    this.#child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-crlf', ...how]);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('latin1');
      stream.on('data', (text: string) => {
        this.output += text;
      });
    }
    this.#child.stdin.on('error', () => {}); // it has ended already
    this.ended = once(this.#child, 'exit').then(([code]) => code as number | null);
  }

  /** What matches, behind everything that was waited for before. */
  async until(what: RegExp): Promise<string> {
    let over = false;
    for (const deadline = Date.now() + WITHIN_MS; Date.now() < deadline && !over; await delay(10)) {
      over = this.#child.exitCode !== null; // what it printed last may still be on its way, so look once more
      const found = what.exec(this.output.slice(this.#read));
      if (found === null) continue;
      this.#read += found.index + found[0].length;
      return found[0];
    }
    this.close();
    throw new Error(`s_client did not print ${what}:\n${this.output}`);
  }

  /** The next reply that the other side gives by itself. */
  reply(): Promise<string> {
    return this.until(REPLY);
  }

  /** Types a line and waits for a reply to it. A line that begins with Q or R is an order to
   * openssl, unless it was started with -quiet. */
  async say(line: string): Promise<string> {
    this.type(line);
    return this.until(REPLY);
  }

  type(line: string): void {
    this.#child.stdin.write(`${line}\n`, 'latin1');
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
