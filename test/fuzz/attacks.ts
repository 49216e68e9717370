// Sessions of a client that is up to something: near-valid dialogues of the grammar in test/helpers, legitimate ones that were
// spoilt, and sessions played before that showed something new, changed once more. What they say is anybody's guess; what
// must not come of it is known.

import fc from 'fast-check';
import type { Backend } from '../helpers/backend.ts';
import { ODD, SOUND, TRANSACTIONS } from '../helpers/backends.ts';
import { type Burst, DIALOGUE } from '../helpers/near-valid.ts';
import { type Below, oneOf, type Session, type Setting, type Step } from './case.ts';
import { cutsOf, legitimateSession, randomHeader } from './legitimate.ts';

/** Beside those of the legitimate sessions: servers that differ, and servers out of their mind. */
const BACKENDS: readonly Backend[] = [
  ...SOUND,
  ...TRANSACTIONS,
  ...ODD,
  { raw_reply_parts: { MAIL: ['250 2.1', '.0 ok\r\n'], EOD: ['250-2.6.0 queued\r\n2', '50 2.6.0 queued\r\n'] } },
  { split_replies: 'every-byte' },
  { coalesce: true },
  { rst_after: 'RCPT' },
  { rst_after: 'EOD' },
  { greeting: '220-mock\r\n220-many\r\n220 lines\r\n' },
  { delay_ms: { RCPT: 15 } },
  { delay_ms: { DATA: 15, EOD: 15 } },
];

/** What is put into a session, or over a part of it. */
const TOKENS = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  '.',
  '\r\n.\r\n',
  '\n.\n',
  '\r.\r',
  '\n.\r\n',
  '\r\n.\n',
  '\r\n.\r',
  '.\r\n',
  ' ',
  '\t',
  '<',
  '>',
  '@',
  '%',
  '!',
  '"',
  '\\',
  ':',
  ',',
  '\x80',
  '\x8d\x8a',
  '\xff',
  '%foreign.example',
  '@foreign.example',
  'foreign.example!',
  '@foreign.example:',
  'IMCEASMTP-',
  '+40foreign.example',
  'RCPT TO:<u@foreign.example>\r\n',
  'rcpt to:u@foreign.example\r\n',
  'RCPT TO:<"u@foreign.example"@local.example>\r\n',
  'RCPT TO:<u@local.example>\r\n',
  'RCPT TO:<u@local.example> ORCPT=rfc822;u@foreign.example\r\n',
  'MAIL FROM:<s@sender.example>\r\n',
  'MAIL FROM:<s@own.example> BODY=BINARYMIME\r\n',
  'MAIL FROM:<> AUTH=<>\r\n',
  'DATA\r\n',
  'RSET\r\n',
  'NOOP\r\n',
  'EHLO again.example\r\n',
  'HELO again.example\r\n',
  'STARTTLS\r\n',
  'AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n',
  'AUTH PLAIN AGJhZABiYWQ=\r\n',
  'AUTH LOGIN\r\n',
  'AUTH NTLM\r\n',
  'AUTH GSSAPI\r\n',
  'AUTH CRAM-MD5\r\n',
  'AUTH PLAIN AENPUlBcZXJpbgBzZWNyZXQ=\r\n',
  'YWxpY2U=\r\n',
  'MAIL FROM:<erin@own.example>\r\n',
  'MAIL FROM:<s@local.example>\r\n',
  'RCPT TO:<nobody.known@local.example>\r\n',
  'EHLO x.trusted.example\r\n',
  'HELO pc\r\n',
  '*\r\n',
  'BDAT 5\r\nhello',
  'BDAT 0 LAST\r\n',
  'BDAT 29 LAST\r\nRCPT TO:<u@foreign.example>\r\n',
  'BDAT 4294967296 LAST\r\n',
  'XCLIENT ADDR=10.1.2.3\r\n',
  'XFORWARD ADDR=10.1.2.3\r\n',
  'PROXY TCP4 10.1.2.3 192.0.2.10 1 25\r\n',
  'X-EXPS NTLM\r\n',
  'X-LINK2STATE FIRST CHUNK={1}\r\n',
  'XEXCH50 5 2\r\n',
  'SOML FROM:<s@sender.example>\r\n',
  'TURN\r\n',
  'VRFY u\r\n',
  'QUIT\r\n',
  `NOOP ${'x'.repeat(507)}RCPT TO:<u@foreign.example>\r\n`,
  `NOOP ${'x'.repeat(2043)}RCPT TO:<u@foreign.example>\r\n`,
  `NOOP ${'x'.repeat(16379)}RCPT TO:<u@foreign.example>\r\n`,
];

export function attack(below: Below, setting: Setting, pool: readonly Session[]): Session {
  const kind = below(pool.length === 0 ? 3 : 5);
  if (kind === 0) return finished(below, setting, fromGrammar(below));
  if (kind === 1) return finished(below, setting, spoilt(below, legitimateSession(below, setting).steps));
  if (kind === 2) return finished(below, setting, smuggled(below));
  const known = oneOf(below, pool);
  const other = oneOf(below, pool);
  const steps = below(3) === 0 ? spliced(below, known.steps, other.steps) : known.steps;
  const session = finished(below, setting, spoilt(below, steps));
  return below(2) === 0 ? session : { ...session, backend: known.backend };
}

function finished(below: Below, setting: Setting, steps: readonly Step[]): Session {
  const header = setting.proxied ? randomHeader(below) : null;
  const backend = oneOf(below, BACKENDS);
  const end = oneOf(below, ['fin', 'fin', 'fin', 'reset', 'vanish'] as const);
  const reloads = setting.next === null ? 0 : below(3);
  const all = [...steps];
  for (let times = reloads; times > 0; times--) all.splice(below(all.length + 1), 0, { reload: true });
  return { header, backend, steps: all, end, legitimate: false };
}

function fromGrammar(below: Below): Step[] {
  const [bursts = []] = fc.sample(DIALOGUE, { seed: below(2 ** 31), numRuns: 1 }) as Burst[][];
  return bursts.flatMap((burst) => {
    const say = burst.map(({ octets }) => octets).join('');
    const step: Step = { say, cuts: cutsOf(below, say.length), ...(below(8) === 0 ? { hasty: true as const } : {}) };
    return /^STARTTLS\r\n$/im.test(say) ? [step, { tls: true as const }] : [step];
  });
}

const ENDS = ['\r\n', '\r\n', '\n', '\r', '\r\r\n', '\n\r', '\0', '\r\n\0', ' \r\n', '\t\n', '\x8d\x8a', ''];

/** A message with a second transaction in it, behind what some server may take for the end: of the text, of a chunk, of a line. */
function smuggled(below: Below): Step[] {
  const end = oneOf(below, ENDS);
  const inner = ['MAIL FROM:<s@sender.example>', 'RCPT TO:<u@foreign.example>', 'DATA', 'x', '.', ''].join(
    below(4) === 0 ? end : '\r\n',
  );
  const text = below(2) === 0 ? 'text' : '';
  const dot = `${text}${end}.${below(8) === 0 ? '.' : ''}${oneOf(below, ENDS)}`;
  const whole = `${dot}${inner}`;
  const message = [
    `DATA\r\n${whole}\r\n.\r\n`,
    `BDAT ${below(whole.length + 2)}${below(2) === 0 ? ' LAST' : ''}\r\n${whole}`,
    `BDAT ${dot.length} LAST${oneOf(below, ENDS)}${whole}`,
    `NOOP ${'x'.repeat(oneOf(below, [505, 506, 507, 2041, 2042, 2043, 16379]))}${inner}`,
  ];
  const envelope = 'MAIL FROM:<s@sender.example>\r\nRCPT TO:<u@local.example>\r\n';
  const said = oneOf(below, [message[0] as string, message[0] as string, ...message]);
  const data = said.startsWith('DATA') && below(3) > 0 ? ['DATA\r\n', said.slice(6)] : [said];
  return ['EHLO c.example\r\n', envelope, ...data, 'QUIT\r\n'].map((say) => ({ say, cuts: cutsOf(below, say.length) }));
}

function spliced(below: Below, one: readonly Step[], other: readonly Step[]): Step[] {
  return [...one.slice(0, below(one.length + 1)), ...other.slice(below(other.length + 1))];
}

/** One to four changes; what a legitimate client would hear is no longer known. */
function spoilt(below: Below, from: readonly Step[]): Step[] {
  const steps = from.map(({ hears: _, arrives: __, ...step }) => step as Step);
  for (let times = 1 + below(4); times > 0; times--) change(below, steps);
  return steps.slice(0, 60);
}

function change(below: Below, steps: Step[]): void {
  const at = below(steps.length);
  const step = steps[at];
  if (step === undefined) return void steps.push({ say: oneOf(below, TOKENS) });
  const say = step.say ?? '';
  const with_ = (octets: string): Step => ({
    ...step,
    say: octets.slice(0, 100_000),
    cuts: cutsOf(below, octets.length),
  });
  const place = below(say.length + 1);
  const length = below(3) === 0 ? below(30) : below(3);
  switch (below(9)) {
    case 0:
    case 1:
      steps[at] = with_(say.slice(0, place) + oneOf(below, TOKENS) + say.slice(place));
      break;
    case 2:
      steps[at] = with_(say.slice(0, place) + oneOf(below, TOKENS) + say.slice(place + length));
      break;
    case 3:
      steps[at] = with_(say.slice(0, place) + say.slice(place + length));
      break;
    case 4:
      steps.splice(at, 0, { say: oneOf(below, TOKENS) });
      break;
    case 5:
      steps.splice(at, 1);
      break;
    case 6: // two in one burst
      if (steps[at + 1]?.say === undefined || step.say === undefined) break;
      steps.splice(at, 2, with_(say + (steps[at + 1]?.say ?? '')));
      break;
    case 7:
      steps.splice(at, 0, step, ...(step.say === undefined ? [] : [{ ...step, hasty: true as const }]));
      break;
    default:
      steps[at] = { ...with_(say), ...(below(2) === 0 ? { hasty: true as const } : {}) };
  }
}
