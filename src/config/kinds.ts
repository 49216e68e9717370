// The kinds of value that a configuration is made of, each with its spelling, its meaning and what to say when it is
// spelled otherwise. Durations come out as milliseconds, sizes as octets, `unlimited` as Infinity (null for a rate).

import { isIP } from 'node:net';
import * as z from 'zod';
import { several } from '../policy/names.ts';

// A configuration is read once: compiling each schema first, as zod would, takes longer than it saves.
z.config({ jitless: true });

type Say = (issue: { readonly input?: unknown }) => string;

/** What a wrong value is called in a finding. */
export function show(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a block of keys';
  return typeof value === 'string' ? `'${value}'` : String(value);
}

function spelled<T>(pattern: RegExp, say: Say, read: (text: string) => T) {
  return z.string({ error: say }).regex(pattern, { error: say }).transform(read);
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** A number with one of the units above, which the pattern has checked. */
function measure(text: string): number {
  const digits = Number.parseInt(text, 10);
  return digits * (UNITS[text.slice(String(digits).length)] ?? 1);
}

const number = '(0|[1-9][0-9]{0,11})';

const MOST = 576; // hours: a timer of Node's has 31 bits of milliseconds, and ends at once beyond them

export const duration = spelled(
  new RegExp(`^${number}(ms|s|m|h)$`),
  ({ input }) => `${show(input)} is not a duration: ${withUnit(input, 's', '300ms, 5s, 10m or 1h is wanted')}`,
  measure,
)
  .refine((ms) => ms <= MOST * 3_600_000, { error: `too long: ${MOST}h, 24 days, are the most` })
  .meta({ title: 'duration', examples: ['300ms', '5s', '10m', '1h'] });

/** How long something may take: none at all would end everything at once. */
export const patience = duration.refine((ms) => ms > 0, {
  error: 'no time at all: nobody would be fast enough; leave it out for the default',
});

function withUnit(input: unknown, unit: string, otherwise: string): string {
  const bare = typeof input === 'number' || (typeof input === 'string' && /^[0-9]+$/.test(input));
  return bare ? `it needs a unit, as ${input}${unit}` : otherwise;
}

const MOST_OCTETS = 2 ** 43; // 8 TiB: beyond any mail, and in whole numbers wherever it is counted

const sizePattern = `${number}(B|KiB|MiB|GiB)`;

const sizeSay: Say = ({ input }) => {
  const decimal = typeof input === 'string' ? /^([0-9]+) ?([kmg])i?b?$/i.exec(input) : null;
  const meant = decimal === null ? null : `${decimal[1]}${(decimal[2] as string).toUpperCase()}iB`;
  const hint =
    meant === null ? withUnit(input, 'B', '512B, 64KiB, 10MiB or unlimited is wanted') : `did you mean ${meant}?`;
  return `${show(input)} is not a size: ${hint}`;
};

export const size = spelled(new RegExp(`^(unlimited|${sizePattern})$`), sizeSay, (text) =>
  text === 'unlimited' ? Number.POSITIVE_INFINITY : measure(text),
)
  .refine((octets) => octets > 0, { error: 'no octet at all: no mail would pass; unlimited is no limit' })
  .refine((octets) => octets <= MOST_OCTETS || octets === Number.POSITIVE_INFINITY, {
    error: 'too large: 8192GiB are the most; unlimited is no limit',
  })
  .meta({ title: 'size', examples: ['512B', '64KiB', '10MiB', 'unlimited'] });

const countSay = {
  error: ({ input }: { readonly input?: unknown }) =>
    `${show(input)} is not a count: a whole number or unlimited is wanted`,
};

/** A whole number, or `unlimited`. */
export const count = z
  .union([wholeNumber(0, 2 ** 31), z.literal('unlimited')], countSay)
  .transform((value) => (value === 'unlimited' ? Number.POSITIVE_INFINITY : value))
  .meta({ title: 'count', examples: [100, 'unlimited'] });

export function wholeNumber(from: number, to: number) {
  const error: Say = ({ input }) => `${show(input)} is not a whole number from ${from} to ${to}`;
  return z.int({ error }).min(from, { error }).max(to, { error });
}

function readRate(text: string): { limit: number; window: number } | null {
  const [limit = '', window = ''] = text.split('/');
  return text === 'unlimited' ? null : { limit: measure(limit), window: measure(window) };
}

const time = '[1-9][0-9]{0,11}(ms|s|m|h)'; // none at all is no rate

export const MOST_WINDOW = 8760; // hours: a year, and as long as Redis is told to keep a bucket

/** Null is no limit. */
function isCountable(rate: { limit: number; window: number } | null): boolean {
  return rate === null || (rate.limit <= MOST_OCTETS && rate.window <= MOST_WINDOW * 3_600_000);
}

const notCountable = {
  error: `too much to count: a number up to 8192GiB in at most ${MOST_WINDOW}h, a year, is wanted`,
};

export const rate = spelled(
  new RegExp(`^(unlimited|${number}/${time})$`),
  ({ input }) => `${show(input)} is not a rate: a number for a time is wanted, as 120/1m, or unlimited`,
  readRate,
)
  .refine(isCountable, notCountable)
  .meta({ title: 'rate', examples: ['120/1m', '5/10s', 'unlimited'] });

export const byteRate = spelled(
  new RegExp(`^(unlimited|${sizePattern}/${time})$`),
  ({ input }) => `${show(input)} is not a rate of octets: a size for a time is wanted, as 1GiB/1h, or unlimited`,
  readRate,
)
  .refine(isCountable, notCountable)
  .meta({ title: 'byte rate', examples: ['1GiB/1h', '10MiB/1m', 'unlimited'] });

/** `ban.after`: a rate of exceeded limits, or never. */
export const ratePerhapsNever = spelled(
  new RegExp(`^(never|${number}/${time})$`),
  ({ input }) => `${show(input)} is not a rate: a number for a time is wanted, as 5/10m, or never`,
  (text) => (text === 'never' ? null : readRate(text)),
)
  .refine(isCountable, notCountable)
  .meta({ title: 'ban rate', examples: ['5/10m', 'never'] });

export const flag = z.boolean({
  error: ({ input }) => {
    const word = String(input).toLowerCase();
    const meant = ['yes', 'on', 'true', '1'].includes(word)
      ? 'true'
      : ['no', 'off', 'false', '0'].includes(word)
        ? 'false'
        : null;
    return `${show(input)} is neither true nor false${meant === null ? '' : `: did you mean ${meant}?`}`;
  },
});

/** The name in `{ file: NAME }`, which is what `file: NAME` without quotes turns out to be. */
export function fileIn(input: unknown): string | null {
  if (typeof input !== 'object' || input === null || Object.keys(input).join() !== 'file') return null;
  return String((input as { file: unknown }).file);
}

const anyText = z.string({
  error: ({ input }) =>
    input === undefined
      ? 'missing: text is wanted'
      : fileIn(input) !== null
        ? `a list file is written as one word in quotes: 'file:${fileIn(input)}'`
        : `${show(input)} is not text${typeof input === 'number' ? `: put it in quotes, '${input}', if it is meant as such` : ''}`,
});

/** Of no text at all nobody says what it means. */
export const text = anyText.regex(/\S/, { error: 'an empty text: leave it out' });

export const texts = z.array(text);

/** The name of a file, beside the one that names it. */
export const fileName = z
  .string({
    error: ({ input }) =>
      input === undefined ? 'missing: the name of a file is wanted' : `${show(input)} is not the name of a file`,
  })
  .regex(/\S/, { error: 'the name of a file is wanted' })
  .meta({ title: 'file name', examples: ['office.yaml', 'lists/recipients.txt'] });

/** SHA-256 of a certificate, as openssl prints it; out come 64 capital digits. */
const fingerprintSay: Say = ({ input }) =>
  `${show(input)} is not the SHA-256 of a certificate: 64 hexadecimal digits are wanted, as openssl x509 -noout ` +
  '-fingerprint -sha256 prints them';

const fingerprint = spelled(/^([0-9a-f]{64}|([0-9a-f]{2}:){31}[0-9a-f]{2})$/i, fingerprintSay, (written) =>
  written.replaceAll(':', '').toUpperCase(),
);

/** One of them, or a list. */
export const fingerprints = z
  .union([fingerprint, z.array(fingerprint).min(1, { error: 'a fingerprint is wanted, or no pin at all' })], {
    error: fingerprintSay,
  })
  .transform((value) => (typeof value === 'string' ? [value] : value))
  .meta({ title: 'fingerprint or list', examples: [`${'A1:'.repeat(31)}B2`] });

const HOST_NAME = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i;

/** A host name or an IP address: what a certificate can name. */
export const hostName = text
  .refine((name) => isIP(name) !== 0 || HOST_NAME.test(name), {
    error: ({ input }) => `${show(input)} is no host name, as mail.example.com`,
  })
  .meta({ title: 'host name', examples: ['mail.example.com'] });

/** What is wrong with the name of an upstream; null: nothing. */
export function whyNoUpstreamName(name: string): string | null {
  return /^[a-z0-9][a-z0-9._-]{0,63}$/i.test(name)
    ? null
    : `'${name}' is no name for servers: letters, digits, dots and dashes are wanted, as 'relay'`;
}

export const upstreamName = text.superRefine((name, context) => {
  const wrong = whyNoUpstreamName(name);
  if (wrong !== null) context.addIssue({ code: 'custom', message: wrong });
});

/** Where to listen or connect: an IP address or a host name, and a port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Reads `host:port` and `[v6]:port`; a string says what is wrong. `lowestPort` 0 lets the system choose. */
export function readEndpoint(written: string, lowestPort: 0 | 1): Endpoint | string {
  const many = several(written);
  if (many !== null) return many;
  const match = /^(?:\[(?<v6>[^\]]*)\]|(?<host>[^:[\]]*)):(?<port>[0-9]+)$/.exec(written);
  const { v6, host, port = '' } = match?.groups ?? {};
  if (match === null) {
    if (isIP(written.replace(/^\[(.*)\]$/, '$1')) === 6)
      return `'${written}': an IPv6 address stands in brackets, its port behind them, as [2001:db8::1]:25`;
    return `'${written}' is not HOST:PORT: 192.0.2.1:25, [2001:db8::1]:25 or mail.example.com:25 is wanted`;
  }
  if (Number(port) < lowestPort || Number(port) > 65535)
    return `'${written}': a port is a number from ${lowestPort} to 65535`;
  if (v6 !== undefined) return isIP(v6) === 6 ? { address: v6, port: Number(port) } : `'${v6}' is not an IPv6 address`;
  if (host === '' || host === '*')
    return `'${written}': every address of ours is written 0.0.0.0:${port} (IPv4) and [::]:${port} (IPv6)`;
  const isName = HOST_NAME.test((host as string).replace(/\.$/, ''));
  // A host of digits and dots is an address, and only the four-part decimal one: others are read in more ways than one.
  const isNumber = /(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$/i.test(host as string);
  if (!isName || (isNumber && isIP(host as string) !== 4))
    return `'${host}' is neither an address of four decimal parts nor a host name`;
  return { address: host as string, port: Number(port) };
}

function endpoint(lowestPort: 0 | 1) {
  return text.transform((written, context): Endpoint => {
    const read = readEndpoint(written, lowestPort);
    if (typeof read !== 'string') return read;
    context.issues.push({ code: 'custom', message: read, input: written });
    return z.NEVER;
  });
}

export const listenAddress = endpoint(0).meta({ title: 'address and port', examples: ['0.0.0.0:25', '[::]:25'] });
export const serverAddress = endpoint(1).meta({
  title: 'host and port',
  examples: ['10.0.0.10:25', 'mail.example.com:25'],
});
