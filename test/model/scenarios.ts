// What the model enumerates: one scenario is a server with its habits, a profile, a beginning, and the events that may
// happen in any order from there.

import type { Profile } from '../../src/smtp/types.ts';
import { DEFAULT_PROFILE } from '../helpers/harness.ts';
import { type Habits, RFC } from './server.ts';

/** One thing that may happen. */
export interface Event {
  readonly who: 'client' | 'server' | 'judge' | 'clock' | 'operator' | 'handshake';
  /** A client's octets, '' is its FIN; for the others a word (world.ts). */
  readonly says: string;
}

export interface Scenario {
  readonly name: string;
  readonly profile: Profile;
  readonly habits: Habits;
  readonly keywords: readonly string[];
  readonly judge: 'now' | 'late';
  /** Small limits: then a refusal of ours needs no reason. */
  readonly hasLimits: boolean;
  /** A client with so many lines unanswered says no more. */
  readonly room: number;
  /** How much of the time it gets, beside the others. */
  readonly share: number;
  /** The server is told with every MAIL who the client is. */
  readonly forwards?: boolean;
  /** What has happened before. */
  readonly opening: readonly Event[];
  readonly events: readonly Event[];
}

const UNLIMITED = {
  errors: Number.POSITIVE_INFINITY,
  junkCommands: Number.POSITIVE_INFINITY,
  recipientsPerMessage: Number.POSITIVE_INFINITY,
  messages: Number.POSITIVE_INFINITY,
  authFailures: Number.POSITIVE_INFINITY,
  commandLine: 60,
};

const client = (...lines: string[]): Event[] => lines.map((says) => ({ who: 'client', says }));
const all = (who: Event['who'], words: string): Event[] => words.split(', ').map((says) => ({ who, says }));

const MAIL_A = 'MAIL FROM:<a@one.example>\r\n';
const MAIL_B = 'MAIL FROM:<b@two.example>\r\n';
const GOOD = 'RCPT TO:<g@local.example>\r\n';
const ALSO_GOOD = 'RCPT TO:<h@local.example>\r\n';
const FOREIGN = 'RCPT TO:<f@foreign.example>\r\n';
const BATCH = `${MAIL_A}${GOOD}DATA\r\n`;
const EHLO = 'EHLO c\r\n';
const FIN = '';

const ANSWERS = 'ok, no, later, 421, wrong, malformed, half, two';
const AMISS = 'rest, surplus, half surplus, early no, early ok, end';
const SERVER = all('server', `${ANSWERS}, ${AMISS}`);
const JUDGE = all('judge', 'yes, no, cannot tell, disconnect');
const AROUND = [...all('operator', 'drain'), ...all('clock', 'expire')];
const TARPIT = all('clock', 'tarpit over');

const greeted: Event[] = all('server', 'greeting');
const begun: Event[] = [...greeted, ...client(EHLO), ...all('server', 'ok')];

const profile: Profile = { ...DEFAULT_PROFILE, limits: UNLIMITED };

const plain: Scenario = {
  name: '',
  profile,
  habits: RFC,
  keywords: ['PIPELINING'],
  judge: 'now',
  hasLimits: false,
  room: 3,
  share: 1,
  opening: begun,
  events: [],
};

const TRANSACTION = client(MAIL_A, MAIL_B, GOOD, FOREIGN, 'RSET\r\n', 'DATA\r\n', '.\r\n', EHLO, FIN);

export const SCENARIOS: readonly Scenario[] = [
  { ...plain, name: 'transaction', events: [...TRANSACTION, ...client(BATCH), ...SERVER, ...AROUND] },
  {
    ...plain,
    name: 'one at a time',
    share: 2,
    keywords: ['8BITMIME'],
    events: [...TRANSACTION, ...client(BATCH, 'NOOP\r\n'), ...SERVER, ...AROUND],
  },
  {
    ...plain,
    name: 'late judge',
    judge: 'late',
    profile: { ...profile, tarpit: 5000 },
    events: [
      ...client(MAIL_A, GOOD, FOREIGN, 'RSET\r\n', 'DATA\r\n', '.\r\n', FIN),
      ...SERVER,
      ...JUDGE,
      ...TARPIT,
      ...AROUND,
    ],
  },
  {
    ...plain,
    name: 'greeting',
    opening: [],
    profile: { ...profile, tarpit: 5000 },
    events: [
      ...client(EHLO, 'HELO c\r\n', MAIL_A, FOREIGN, 'QUIT\r\n', 'what\r\n', FIN),
      ...all('server', 'greeting, bad greeting'),
      ...[...SERVER, ...TARPIT, ...AROUND],
    ],
  },
  {
    ...plain,
    name: 'mail data',
    share: 2,
    opening: [...begun, ...client(BATCH), ...all('server', 'ok, ok')],
    events: [...client('\r\n', '.\r\n', '.', '\n', '\r', '\0', 'RSET\r\n', FOREIGN, 'x', FIN), ...SERVER, ...AROUND],
  },
  {
    ...plain,
    name: 'lines',
    share: 2,
    events: [
      ...client(
        'RCPT',
        ' TO:<',
        'f@foreign.example>\r\n',
        'g@local.example>\r\n',
        MAIL_A,
        '\r\n',
        '\n',
        '\0',
        `${'x'.repeat(70)}`,
      ),
      ...client('QUIT\r\n', '\r', FIN),
      ...all('server', 'ok, no, half, rest, surplus'),
      ...AROUND,
    ],
  },
  {
    ...plain,
    name: 'BDAT',
    share: 2,
    keywords: ['PIPELINING', 'CHUNKING'],
    events: [
      ...client(
        MAIL_A,
        GOOD,
        'RSET\r\n',
        `BDAT ${FOREIGN.length}\r\n`,
        `BDAT ${FOREIGN.length} LAST\r\n`,
        'BDAT 0 LAST\r\n',
      ),
      ...client(FOREIGN, 'DATA\r\n', 'BDAT 4294967297\r\n', EHLO, FIN, `${MAIL_A}${GOOD}BDAT ${FOREIGN.length}\r\n`),
      ...[...SERVER, ...AROUND],
    ],
  },
  // From here to the habits a scenario would be too wide to go deep: each is two, the one of what the server and all around may
  // do wrong, with few words of the client, the other of the order of many words, with a server that keeps to the rules.
  {
    ...plain,
    name: 'AUTH: failures',
    share: 2,
    keywords: ['PIPELINING', 'AUTH LOGIN PLAIN'],
    judge: 'late',
    events: [
      ...client('AUTH LOGIN\r\n', 'AUTH PLAIN AGEAYg==\r\n', 'YQ==\r\n', '*\r\n', FIN),
      ...[...SERVER, ...JUDGE, ...all('clock', 'expire')],
    ],
  },
  {
    ...plain,
    name: 'AUTH: order',
    share: 2,
    keywords: ['PIPELINING', 'AUTH LOGIN PLAIN'],
    events: [
      ...client('AUTH LOGIN\r\n', 'AUTH PLAIN AGEAYg==\r\n', 'YQ==\r\n', MAIL_A, GOOD, FOREIGN, 'RSET\r\n', EHLO),
      ...all('server', 'ok, no'),
    ],
  },
  {
    ...plain,
    name: 'XFORWARD: failures',
    share: 2,
    keywords: ['8BITMIME'],
    forwards: true,
    judge: 'late',
    events: [...client(MAIL_A, GOOD, 'RSET\r\n', FIN), ...[...SERVER, ...all('judge', 'yes, no'), ...AROUND]],
  },
  {
    ...plain,
    name: 'XFORWARD: order',
    share: 2,
    keywords: ['8BITMIME'],
    forwards: true,
    judge: 'late',
    events: [
      ...client(MAIL_A, MAIL_B, GOOD, 'RSET\r\n', 'DATA\r\n', '.\r\n', EHLO, BATCH),
      ...[...all('server', 'ok, no'), ...all('judge', 'yes, no')],
    ],
  },
  {
    ...plain,
    name: 'STARTTLS: failures',
    share: 2,
    profile: { ...profile, starttls: 'terminate' },
    events: [
      ...client('STARTTLS\r\n', `STARTTLS\r\n${MAIL_B}`, MAIL_A, EHLO, FIN),
      ...[...all('handshake', 'ok, failed'), ...SERVER, ...AROUND],
    ],
  },
  {
    ...plain,
    name: 'STARTTLS: order',
    share: 2,
    profile: { ...profile, starttls: 'terminate' },
    events: [
      ...client('STARTTLS\r\n', `STARTTLS\r\n${MAIL_B}`, MAIL_A, GOOD, FOREIGN, 'RSET\r\n', 'DATA\r\n', '.\r\n', EHLO),
      ...[...all('handshake', 'ok'), ...all('server', 'ok, no')],
    ],
  },
  {
    ...plain,
    name: 'limits: errors',
    share: 2,
    hasLimits: true,
    profile: { ...profile, limits: { ...UNLIMITED, errors: 1, junkCommands: 1 } },
    events: [
      ...client(MAIL_A, GOOD, FOREIGN, 'RSET\r\n', 'DATA\r\n', '.\r\n', 'what\r\n', 'NOOP\r\n', FIN),
      ...[...all('server', 'ok, no, 421'), ...AROUND],
    ],
  },
  {
    ...plain,
    name: 'limits: messages',
    share: 2,
    hasLimits: true,
    profile: { ...profile, limits: { ...UNLIMITED, recipientsPerMessage: 1, messages: 1 }, maxMessageSize: 6 },
    events: [
      ...client(MAIL_A, GOOD, ALSO_GOOD, 'RSET\r\n', 'DATA\r\n', 'x\r\n', '.\r\n', FIN),
      ...all('server', 'ok, no, early no, 421'),
    ],
  },
  ...Object.entries({
    Courier: { ...RFC, hello: 'keeps' },
    'go-smtp': { ...RFC, hello: 'keeps', mailAgain: 'keeps recipients' },
    Haraka: { ...RFC, refusedData: 'ends', mailAgain: 'resets' },
    Postfix: { ...RFC, refusedEnd: 'keeps' },
  } satisfies Record<string, Habits>).map(
    ([name, habits]): Scenario => ({
      ...plain,
      name: `habits of ${name}`,
      habits,
      keywords: ['PIPELINING', 'CHUNKING'],
      events: [
        ...client(MAIL_A, MAIL_B, GOOD, FOREIGN, 'RSET\r\n', 'DATA\r\n', '.\r\n', EHLO, 'BDAT 0 LAST\r\n', BATCH),
        ...all('server', 'ok, no, half, rest'),
      ],
    }),
  ),
];
