// What a bed is: a real mail server on a free loopback port, configured as an OPEN RELAY, that hands everything it
// accepts to one smart host on the loopback and to nobody else. No DNS, no local delivery, no way out of the machine.
//
// All of them call themselves local.example, the domain that Postern accepts: a form such as user%foreign@local.example
// is then one that the server itself would resolve and relay. Every bed has a folder of its own, removed at the end.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from '../children.ts';
import { missing, type ServerPackage } from '../tools.ts';

export const HOST_NAME = 'local.example';
/** What every bed refuses, as far as the server has a way: at RCPT, and these senders at DATA and at the end of data. */
export const NOBODY = 'nobody@local.example';
export const NO_DATA = 'nodata@partner.example';
export const NO_MESSAGE = 'nomessage@partner.example';
const SAID_WITHIN_MS = 5_000;

export interface Bed {
  readonly port: number;
  /** The process at the top; its children serve the sessions. */
  readonly pid: number;
  /** What the server says of itself, for the message of a test that fails. */
  log(): string;
  /** Waits until its log says so; what it said. */
  said(what: RegExp): Promise<string>;
  stop(): Promise<void>;
}

export interface MailServer {
  readonly name: string;
  /** The reason to skip, or false. */
  readonly missing: string | false;
  /** Both are ports on 127.0.0.1: `smartHost` gets everything, `port` is where it listens itself. */
  start(smartHost: number, port: number): Promise<Bed>;
}

/** A new folder, removed when the bed stops or, after a failure, when the test process ends. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-bed-'));
  chmodSync(folder, 0o755); // the servers' own users must pass
  folders.add(folder);
  return folder;
}

const folders = new Set<string>();
process.on('exit', () => folders.forEach(removeFolder));

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

export function bed(port: number, child: Child, folder: string, log = child.output): Bed {
  return {
    port,
    pid: child.pid,
    log,
    async said(what) {
      for (const deadline = Date.now() + SAID_WITHIN_MS; Date.now() < deadline; await delay(20)) {
        const found = what.exec(log());
        if (found !== null) return found[0];
      }
      throw new Error(`the log does not say ${what}:\n${log()}`);
    },
    async stop() {
      await child.stop();
      removeFolder(folder);
    },
  };
}

/** As `missing`, and mail servers start as root only; `namespace` is the option of unshare(1) that the server needs. */
export function missingServer(name: ServerPackage, namespace?: '--mount' | '--uts'): string | false {
  if (process.getuid?.() !== 0) return `the package ${name} starts as root only`;
  if (namespace !== undefined && spawnSync('unshare', [namespace, 'true']).status !== 0) {
    return `the package ${name} needs unshare ${namespace}, which this machine refuses`;
  }
  return missing([], [name]);
}
