// How many octets a second does the end-of-data automaton read, and what does the worst kind of text cost?
//
//   node bench/mail-data.ts [--rounds 3] [--quick]
//
// Chunks of 64 KiB, as a socket hands them over, out of a pool larger than the processor's cache.
// Not here: sockets. What a message costs in all is load D of loads.ts.

import { MailData, MORE } from '../src/smtp/mail-data.ts';
import { median, printMachine, printTable, readFlags } from './harness/report.ts';

const CHUNK = 64 * 1024;
const POOL = 32 * 1024 * 1024;

const KINDS: Readonly<Record<string, (line: number) => string>> = {
  'one line without an end': () => 'A'.repeat(1024),
  'base64, 76 octets a line': () => `${'QUJD'.repeat(19)}\r\n`,
  'text, 0 to 76 octets a line': (line) => `${'word '.repeat((line * 7) % 16)}\r\n`,
  'prose, a dot every 38 octets': () => 'A sentence says what it says, and ends. It is not the last of its kind.\r\n',
  'dots in the middle of lines': () => `x${'.'.repeat(75)}\r\n`,
  'every line dot-stuffed': () => `..${'a dot '.repeat(6)}\r\n`,
  'LF line ends only': () => `${'QUJD'.repeat(19)}\n`,
  'empty lines only': () => '\r\n',
  'lines of one octet': () => 'x\r\n',
  'bare CRs only': () => '\r',
};

function fill(line: (number: number) => string): Buffer {
  let text = '';
  for (let number = 0; text.length < CHUNK; number++) text += line(number);
  return Buffer.alloc(POOL, text, 'latin1');
}

function megabytesPerSecond(pool: Buffer): number {
  let out = 0;
  const mailData = new MailData({ bareLf: 'reject', dotLines: 'pass', textLine: Number.POSITIVE_INFINITY }, (bytes) => {
    out += bytes.length;
  });
  const begin = performance.now();
  for (let at = 0; at < pool.length; at += CHUNK) {
    if (mailData.scan(pool.subarray(at, at + CHUNK), 0) !== MORE) throw new Error('mail data ended early');
  }
  const seconds = (performance.now() - begin) / 1000;
  if (out < pool.length - 64) throw new Error('octets were lost');
  return pool.length / 1e6 / seconds;
}

const flags = readFlags();
const rows = Object.entries(KINDS).map(([name, line]) => {
  const pool = fill(line);
  megabytesPerSecond(pool);
  const rounds = Array.from({ length: flags.rounds }, () => megabytesPerSecond(pool));
  return [name, median(rounds).toFixed(0), (1e3 / median(rounds)).toFixed(2)];
});
printMachine();
printTable(['mail data', 'MB/s', 'ns per octet'], rows);
