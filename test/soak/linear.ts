// Ten times the input must cost about ten times the CPU: what a client can send without end, through a Postern of its own each.
//
//   npm run linear -- [--part N] [--only TEXT] [--at-once N]      part: of the full amounts (left out: 1), for a quick look
//
// At once: so many sessions, each with its share. Where many other processes want the processor one session of round trips waits
// for ever, and many wait together.
//
// CPU is that of Postern's process alone, which the kernel counts in steps of 10 ms; others on the machine change it little.
// Beside it, how often Postern wrote for one: where that is twice, each was a round trip to the server and back, which costs what it
// costs however short the command (smtp/session.ts, who may be pipelined). Prints a table, and exits with 1 where ten times the input cost more than fifteen times the CPU.

import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { cpuMs } from '../../bench/harness/processes.ts';
import { Bed, MailServer } from './bed.ts';

const { values } = parseArgs({
  options: {
    part: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    'at-once': { type: 'string', default: '1' },
  },
});
const part = Number(values.part);
const atOnce = Number(values['at-once']);
const TIMES = 10;
const MOST = 1.5 * TIMES;
const WARM = 10_000;
const BLOCK = 64 * 1024;
const MIB = 1024 * 1024;
const MAIL = 'MAIL FROM:<s@sender.example>\r\n';
const RCPT = 'RCPT TO:<user@local.example>\r\n';

interface Load {
  readonly what: string;
  /** Of it, the larger amount. */
  readonly count: number;
  readonly first: string;
  readonly unit: string;
  readonly last: string;
  /** A session each time so many units were said. */
  readonly perSession?: number;
}

const LOADS: readonly Load[] = [
  {
    what: 'command line without an end, 1 MiB a session',
    count: 100 * MIB,
    first: '',
    unit: 'x',
    last: '',
    perSession: MIB,
  },
  {
    what: 'mail data without a newline, octets',
    count: 100 * MIB,
    first: `${MAIL}${RCPT}DATA\r\n`,
    unit: 'x',
    last: '\r\n.\r\n',
  },
  { what: 'RCPT', count: 100_000, first: MAIL, unit: RCPT, last: '' },
  { what: 'RCPT that is refused', count: 100_000, first: MAIL, unit: 'RCPT TO:<x@foreign.example>\r\n', last: '' },
  { what: 'NOOP', count: 1_000_000, first: '', unit: 'NOOP\r\n', last: '' },
  {
    what: 'BDAT of one octet',
    count: 1_000_000,
    first: `${MAIL}${RCPT}`,
    unit: 'BDAT 1\r\nx',
    last: 'BDAT 0 LAST\r\n',
  },
];

/** Ends when the server has said 221, or has hung up. */
function say(port: number, { first, unit, last }: Load, count: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const each = Math.max(1, Math.floor(BLOCK / unit.length));
    const block = Buffer.from(unit.repeat(each), 'latin1');
    let left = count;
    const more = (): void => {
      while (left > 0) {
        const units = Math.min(each, left);
        left -= units;
        if (!socket.write(block.subarray(0, units * unit.length))) return;
      }
      if (left === 0) socket.write(`${last}QUIT\r\n`);
      left = -1;
    };
    socket.once('data', () => {
      socket.write(`EHLO linear.example\r\n${first}`, 'latin1');
      more();
      socket.on('drain', more);
    });
    socket.resume();
    socket.on('error', () => {});
    socket.on('close', () => resolve());
  });
}

interface Spent {
  readonly ms: number;
  readonly writes: number;
}

/** proc(5), io: calls of write and its kin. */
const writesOf = (bed: Bed): number =>
  Number(/^syscw: (\d+)$/m.exec(readFileSync(`/proc/${bed.pid}/io`, 'latin1'))?.[1] ?? Number.NaN);

async function spend(bed: Bed, load: Load, count: number): Promise<Spent> {
  const [before, written] = [cpuMs(bed.pid), writesOf(bed)];
  const { perSession = count } = load;
  const most = Math.min(perSession, Math.ceil(count / atOnce));
  let said = 0;
  const sayOn = async (): Promise<void> => {
    while (said < count) {
      const amount = Math.min(most, count - said);
      said += amount;
      await say(bed.port, load, amount);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, sayOn));
  return { ms: cpuMs(bed.pid) - before, writes: writesOf(bed) - written };
}

const server = await MailServer.start();
const unlimited = 'unlimited';
const session = { errors: unlimited, junk_commands: unlimited, recipients_per_message: 1_000_000, messages: unlimited };
console.log(`${cpus()[0]?.model}, Node ${process.version}, load average ${loadavg()[0]?.toFixed(1)}`);
console.log(
  '| input | amounts | CPU ms | ten times as much | ÷ | µs each | writes each |\n|---|---|---|---|---|---|---|',
);
for (const load of LOADS.filter(({ what }) => what.includes(values.only))) {
  const bed = await Bed.start({
    config: {
      listeners: [{ bind: ['127.0.0.1:0'] }],
      upstream: { servers: [`127.0.0.1:${server.port}`] },
      lost_address_guard: 'warn',
      limits: { session },
      policy: {
        version: 1,
        accepted_domains: ['local.example'],
        connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
      },
    },
  });
  const many = Math.round(load.count * part);
  const few = Math.round(many / TIMES);
  await spend(bed, load, load.perSession ?? Math.min(few, WARM)); // compilers
  const [less, more] = [await spend(bed, load, few), await spend(bed, load, many)];
  await bed.stop();
  const ratio = more.ms / Math.max(10, less.ms);
  const [us, writes] = [(more.ms * 1000) / many, more.writes / many];
  if (ratio > MOST) process.exitCode = 1;
  console.log(
    `| ${load.what} | ${few}, ${many} | ${less.ms} | ${more.ms} | ${ratio.toFixed(1)} | ${us.toPrecision(2)} | ${writes.toPrecision(2)} |`,
  );
}
server.stop();
process.exit();
