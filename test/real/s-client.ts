// `openssl s_client` as a person uses it: what is typed goes through TLS, what comes back is printed between openssl's own
// words about certificates and ciphers.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

const WITHIN_MS = 5_000;
const REPLY = /^(?:\d{3}-[^\n]*\n)*\d{3} [^\n]*\n/m;

export class SClient {
  /** What the other side said, and openssl of the session. */
  printed = '';
  /** What went wrong, and the last line of the clear text before STARTTLS. */
  complaints = '';
  /** The exit code. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcessWithoutNullStreams;
  #read = 0;
  #over = false; // and all of what it printed is here

  /** `how` are its options; `-starttls smtp` among them or the port speaks TLS at once. */
  constructor(port: number, ...how: readonly string[]) {
    this.#child = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-crlf', ...how]);
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.printed += chunk.toString('latin1');
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.complaints += chunk.toString('latin1');
    });
    this.#child.stdin.on('error', () => {}); // it has ended already
    this.ended = once(this.#child, 'close').then(([code]) => {
      this.#over = true;
      return code as number | null;
    });
  }

  /** What it printed and this matches, behind everything that was waited for before. */
  until(what: RegExp): Promise<string> {
    return this.#wait(what, () => {
      const found = what.exec(this.printed.slice(this.#read));
      if (found !== null) this.#read += found.index + found[0].length;
      return found;
    });
  }

  complains(what: RegExp): Promise<string> {
    return this.#wait(what, () => what.exec(this.complaints));
  }

  async #wait(what: RegExp, look: () => RegExpExecArray | null): Promise<string> {
    let over = false;
    for (const deadline = Date.now() + WITHIN_MS; Date.now() < deadline && !over; await delay(10)) {
      over = this.#over;
      const found = look();
      if (found !== null) return found[0];
    }
    this.close();
    throw new Error(`s_client did not print ${what}:\n${this.printed}\n${this.complaints}`);
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
