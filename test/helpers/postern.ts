// The product, started for a test: as a child process, as an operator runs it, or in this process, where many are needed.
//
// Both take the whole config and go through the product's own config reader, so that a test cannot set what an operator
// cannot. A child is ended by its own process id, at the latest with the test process.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatFinding } from '../../src/config/finding.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startFirewall } from '../../src/serve/firewall.ts';
import { freePort } from './free-port.ts';
import { assertAllKnown } from './log-lines.ts';
import { MAIN } from './main.ts';
import { writeSettled } from './settled.ts';
import './poison.ts';
import { TOKEN_FILE } from './token.ts';

const START_WITHIN_MS = 120_000; // on a machine that has other things to do
const STOP_WITHIN_MS = 15_000;
const RELOAD_WITHIN_MS = 120_000; // a fuzzer's machine has other things to do

export interface RunningPostern {
  /** Of the first address it listens on. */
  readonly port: number;
  /** null when the config is a text, or says that there is none. */
  readonly adminPort: number | null;
  readonly pid: number;
  /** stdout so far: the log, a JSON object a line. */
  readonly logs: readonly string[];
  /** stderr so far. */
  readonly errors: string;
  /** SIGHUP with another config, as an object; resolves when the log says that it is in force. */
  reload(config: Record<string, unknown>): Promise<void>;
  /** SIGTERM, and the exit code; null when it had to be killed. */
  stop(): Promise<number | null>;
  close(): Promise<void>;
}

/** Runs `postern run --config` with this config: an object as JSON, or YAML text. Bind to 127.0.0.1:0. An object that
 * says nothing of `admin` gets a port of its own. Rejects with what it said on stderr when it does not come up. */
export async function startPostern(
  config: Record<string, unknown> | string,
  { descriptors }: { /** How many file descriptors it may have. */ readonly descriptors?: number } = {},
): Promise<RunningPostern> {
  const adminPort = typeof config === 'object' && config.admin === undefined ? await freePort() : null;
  const admin = adminPort === null ? {} : { admin: { listen: `127.0.0.1:${adminPort}`, token_file: TOKEN_FILE } };
  const textOf = (object: Record<string, unknown>): string => JSON.stringify({ ...object, ...admin });
  const text = typeof config === 'string' ? config : textOf(config);
  const folder = await mkdtemp(join(tmpdir(), 'postern-test-'));
  const file = join(folder, 'postern.yaml');
  await writeFile(file, text);
  const command = [process.execPath, MAIN, 'run', '--config', file];
  const limited = ['sh', '-c', `ulimit -n ${descriptors}; exec "$0" "$@"`, ...command];
  const [program, ...args] = descriptors === undefined ? command : limited;
  const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const running = new Child(child, folder, adminPort, (other) => writeFile(file, textOf(other)));
  await running.comeUp();
  return running;
}

class Child implements RunningPostern {
  readonly adminPort: number | null;
  readonly logs: string[] = [];
  errors = '';
  port = 0;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #exited: Promise<number | null>;
  readonly #killWithTest = () => this.#process.kill('SIGKILL');
  readonly #write: (config: Record<string, unknown>) => Promise<void>;
  #rest = '';
  #reloads = 0;
  #reloaded: () => void = () => {};

  constructor(
    child: ChildProcess,
    folder: string,
    adminPort: number | null,
    write: (config: Record<string, unknown>) => Promise<void>,
  ) {
    this.#process = child;
    this.#write = write;
    this.#folder = folder;
    this.adminPort = adminPort;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#log(text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text;
    });
    process.once('exit', this.#killWithTest);
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code) => {
        process.off('exit', this.#killWithTest);
        resolve(code);
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async comeUp(): Promise<void> {
    const listening = new Promise<boolean>((resolve) => {
      this.#process.stderr?.on('data', () => {
        const port = /listening on \S*?:(\d+)\b/.exec(this.errors)?.[1];
        if (port === undefined) return;
        this.port = Number(port);
        resolve(true);
      });
      this.#exited.then(() => resolve(false));
      setTimeout(() => resolve(false), START_WITHIN_MS).unref();
    });
    if (await listening) return;
    const code = await this.stop();
    throw new Error(`postern did not come up (exit code ${code}): ${this.errors}`);
  }

  async reload(config: Record<string, unknown>): Promise<void> {
    const wanted = ++this.#reloads;
    await this.#write(config);
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => reject(new Error(`reload ${wanted} is not in force: ${this.logs.slice(-3)}`)),
      RELOAD_WITHIN_MS,
    );
    const done = new Promise<void>((resolve) => {
      this.#reloaded = resolve;
    });
    this.#process.kill('SIGHUP');
    await Promise.race([done, late]).finally(() => clearTimeout(timer));
  }

  async stop(): Promise<number | null> {
    this.#process.kill('SIGTERM');
    const late = setTimeout(() => this.#process.kill('SIGKILL'), STOP_WITHIN_MS);
    const code = await this.#exited;
    clearTimeout(late);
    await rm(this.#folder, { recursive: true, force: true });
    return code;
  }

  async close(): Promise<void> {
    await this.stop();
    assertAllKnown(this.logs);
  }

  #log(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    this.logs.push(...lines);
    if (lines.some((line) => line.includes('"msg":"reloaded"'))) this.#reloaded();
  }
}

type Resolve = (address: string) => Promise<readonly string[] | null>;

export interface OpenFirewall {
  /** Of the first address it listens on. */
  readonly port: number;
  /** The log so far, a JSON object a line. */
  readonly logs: readonly string[];
  /** As a reload does: puts another config in the place of the one in force. */
  reload(config: Record<string, unknown>): Promise<void>;
  /** Ends every session; rejects when a defect of ours was caught meanwhile. */
  close(): Promise<void>;
}

/** The firewall in this process, from a config as above. It needs no signal and has no exit code. `resolve` is its DNS. */
export async function openFirewall(
  config: Record<string, unknown> | string,
  { resolve }: { readonly resolve?: Resolve } = {},
): Promise<OpenFirewall> {
  const loaded = await loadSound(config, resolve);
  const logs: string[] = [];
  const sink = { write: (line: string) => void logs.push(line), flush: async () => {}, lost: 0 };
  const firewall = await startFirewall(loaded.config, loaded.policy, { sink, credentials: loaded.credentials });
  const reload = async (other: Record<string, unknown>): Promise<void> => {
    const next = await loadSound(other, resolve);
    await firewall.putInForce(next, 'of a test', next.place);
  };
  const close = async (): Promise<void> => {
    await firewall.close();
    const defects = logs.filter((line) => line.includes('"msg":"defect"'));
    if (defects.length > 0) throw new Error(`defects were caught: ${defects.join('')}`);
    assertAllKnown(logs);
  };
  return { port: firewall.addresses[0]?.port ?? 0, logs, reload, close };
}

/** The config as the product's own reader reads it; throws where it finds a fault. */
async function loadSound(config: Record<string, unknown> | string, resolve: Resolve | undefined) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-test-'));
  const file = join(folder, 'postern.yaml');
  writeSettled(file, typeof config === 'string' ? config : JSON.stringify(config));
  const { findings, ...loaded } = loadConfig(file, resolve === undefined ? {} : { resolve });
  await rm(folder, { recursive: true, force: true });
  if (loaded.config === null || loaded.policy === null) {
    throw new Error(`the config is faulty: ${findings.map((finding) => formatFinding(finding)).join('\n')}`);
  }
  return { ...loaded, config: loaded.config, policy: loaded.policy };
}
