// Every form of an address, made systematically: what stands for a local part, what for a domain, how the path is wrapped; and of
// these the ones that our own grammar passes as an address of local.example or its literal, and of nobody else.
//
// What a server reads elsewhere among them is a bypass. Octets are latin-1: UTF-8 stands there as its octets.

import { parseCommand } from '../../../src/smtp/command.ts';

const OURS = 'local.example';
const LITERAL = '192.0.2.25';

/** Words that a local part is made of: names, hosts, and every mark that some mailer gave a meaning. */
const WORDS = [
  'u',
  'foreign.example',
  OURS,
  '[203.0.113.9]',
  ...".:;,/=#^+|~&*'`$?-_{}()<>[]@%! ",
  '::',
  '..',
  '\\\\',
  '\\"',
  '\\@',
  '\\%',
  '\\!',
  '\t',
  '%40',
  '+40',
  '=40',
  '&#64;',
  'IMCEAEX-',
  'IMCEASMTP-',
  'smtp:',
  '=?utf-8?q?u=40foreign.example?=',
  'SMTP:u=foreign.example',
  'uucp',
  '.UUCP',
  '(a)',
  '/RFC-822=u',
  'DDA:RFC-822=u',
  '|cmd',
  ':include:/x',
  '~root',
  'owner-',
  '-request',
  '\xef\xbc\xa0', // U+FF20, a full-width @
  '\xef\xbc\x85', // U+FF05, %
  '\xef\xbc\x81', // U+FF01, !
  '\xe3\x80\x82', // U+3002, a dot
  '\xc3\xa9',
];

const DOMAINS = [`@${OURS}`, '@LOCAL.Example', `@${OURS}.`, `@[${LITERAL}]`];
const WRAPPERS: readonly (readonly [string, string])[] = [
  ['<', '>'],
  ['', ''],
  [' <', '>'],
  ['<', '> NOTIFY=NEVER'],
];

/** Sequences of up to three words, bare and quoted; longer ones of the words that matter most. */
function* locals(): Generator<string> {
  const two = WORDS.flatMap((one) => WORDS.map((other) => one + other));
  const around = ['u', 'foreign.example', '"', '.', '<', '>', '@', ' ', '\\\\', '(', ','];
  const three = two.flatMap((pair) => around.flatMap((word) => [pair + word, word + pair]));
  for (const text of new Set([...WORDS, ...two, ...three])) {
    yield text;
    yield `"${text}"`;
  }
  for (const text of two) {
    yield `"${text}".u`;
    yield `u."${text}"`;
  }
}

/** What stands between the brackets, with what stands around it. */
export interface Form {
  readonly path: string;
  /** The whole of it behind `RCPT TO:`. */
  readonly argument: string;
  readonly utf8: boolean;
}

/** All that pass as ours. `every`: only each so-manieth, for a quick look. */
export function passedForms(every = 1): Form[] {
  const found: Form[] = [];
  let at = 0;
  const look = (path: string, [before, behind]: readonly [string, string]): void => {
    const argument = before + path + behind;
    const utf8 = /[\x80-\xff]/.test(path);
    if (passesAsOurs(argument, utf8) && at++ % every === 0) found.push({ path, argument, utf8 });
  };
  for (const local of locals()) {
    const isShort = local.length <= 4;
    for (const domain of isShort ? DOMAINS : DOMAINS.slice(0, 1)) {
      for (const wrapper of isShort ? WRAPPERS : WRAPPERS.slice(0, 1)) look(local + domain, wrapper);
    }
  }
  for (const wrapper of WRAPPERS) look('Postmaster', wrapper);
  return found;
}

/** As the closed policy decides: every address that hides in it has to be ours, and a bare name is refused but for one. */
function passesAsOurs(argument: string, utf8: boolean): boolean {
  const command = parseCommand(`RCPT TO:${argument}`, utf8);
  if (command.verb !== 'RCPT' || command.path.gateway) return false;
  const { path } = command;
  if (path.bare) return path.address.local.toLowerCase() === 'postmaster';
  return path.addresses.every(({ domain, literal }) => (literal === null ? domain === OURS : literal === LITERAL));
}

/** Whether a host that a server found is one of ours. */
export function isOurs(host: string): boolean {
  const plain = host.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/\.$/, '');
  return plain === OURS || plain === `[${LITERAL}]`;
}
