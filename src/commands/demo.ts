// postern demo: an old Exchange that relays for everyone, and the firewall before it, to be looked at and talked to.
//
// Both run in this process on the loopback, on ports that were free. Probes both, prints what came of it side by side,
// and then prints every message that the old server gets and every recipient that the firewall refuses.
// It deliberately takes no configuration: it shows the product as it stands, closed by default. The road of --moving-in is in
// demo/moving-in.ts.

import { parseArgs } from 'node:util';
import { loadFlags } from '../config/load.ts';
import type { ReceivedMessage } from '../demo/house.ts';
import { startOldExchange } from '../demo/old-exchange.ts';
import { startFirewall } from '../serve/firewall.ts';
import { toPrintable } from '../smtp/bytes.ts';
import type { SessionEvent } from '../smtp/types.ts';
import { whatIsWrong } from './arguments.ts';
import { type MovingIn, playMovingIn } from './demo/moving-in.ts';
import type { Output } from './output.ts';
import { type Paint, paintFor } from './paint.ts';
import { formatComparison } from './probe/comparison.ts';
import { type Examination, examine } from './probe/examine.ts';
import { formatReply } from './probe/report.ts';
import { verdictOf } from './probe/verdict.ts';

const HELP = `Usage: postern demo [--once]
       postern demo --moving-in [--exchange 2003|2010] [--keep FOLDER]

Starts a mail server that speaks as Exchange 2003 did and relays for everyone, puts Postern in
front of it, asks both to relay in every classic form, and prints the answers side by side.
Then both stay up to be talked to, until Ctrl-C. Nothing leaves this machine.

  --once           end after the table; exit code 0 when the old server is open and Postern closes it, else 1
  --moving-in      play the whole road instead, in less than a minute: an office sends mail through an open Exchange for
                   thirty days; its settings are imported, its logs replayed, what is missing is suggested and accepted;
                   Postern observes, then enforces, and the old server is closed. Exit code 0 when nothing that is wanted is
                   refused in the end and nothing else relays, 1 when a step came out otherwise, 130 interrupted
  --exchange YEAR  which one: 2003 (the default) or 2010
  --keep FOLDER    its files stay there: settings, logs, policy, cases, configuration. It must be new, or empty
  --help           print this

Examples:
  postern demo --once
  postern demo --moving-in --keep office
`;

const USAGE_ERROR = 64;
const LOOPBACK = '127.0.0.1';
const DOMAIN = 'example.com';
const RECIPIENTS_SHOWN = 5;

interface Running {
  readonly port: number;
  close(): Promise<void>;
}

/** Runs the command; returns the exit code. `ended` resolves when the user has seen enough. */
export async function demo(args: string[], out: Output, ended: () => Promise<unknown> = interrupted): Promise<number> {
  const request = parseRequest(args);
  if (typeof request === 'string') {
    out.stderr(`postern demo: ${request}\nTry: postern demo --help\n`);
    return USAGE_ERROR;
  }
  if (request.help) {
    out.stdout(HELP);
    return 0;
  }
  if (request.movingIn !== null) return playMovingIn(request.movingIn, out);
  const paint = paintFor(out.isTTY);
  const stop = request.once ? null : ended();
  const old = await startOldExchange({
    host: LOOPBACK,
    port: 0,
    onMessage: (message) => out.stdout(`${paint('green', messageLine(message))}\n`),
  });
  let probing = true; // what is refused meanwhile stands in the table
  const postern = await startPostern(old.port, (event) => {
    const line = refusalLine(event);
    if (line !== null && !probing) out.stdout(`${paint('yellow', line)}\n`);
  });
  try {
    const closes = await compare(old, postern, out, paint);
    if (stop === null) return closes ? 0 : 1;
    out.stdout(howToTalk(old.port, postern.port));
    probing = false;
    await stop;
    out.stdout('\nEnded.\n');
    return 0;
  } finally {
    await postern.close();
    await old.close();
  }
}

/** The firewall as `postern run --upstream … --accepted-domain …` starts it, without log and admin. */
async function startPostern(upstream: number, onEvent: (event: SessionEvent) => void): Promise<Running> {
  const flags = {
    listen: [`${LOOPBACK}:0`],
    upstream: [`${LOOPBACK}:${upstream}`],
    acceptedDomain: [DOMAIN],
    admin: 'none',
    logLevel: 'silent',
  };
  const { config, policy, findings } = loadFlags(flags, {});
  if (config === null || policy === null) throw new Error(findings.map(({ message }) => message).join('; '));
  const firewall = await startFirewall(config, policy, { onEvent });
  const port = firewall.addresses[0]?.port ?? 0;
  return { port, close: () => firewall.close() };
}

/** Probes both and prints the table; true when the firewall closes what was open. */
async function compare(old: Running, postern: Running, out: Output, paint: Paint): Promise<boolean> {
  out.stdout(
    [
      'An old mail server that relays for everyone (it speaks as Exchange 2003 did), and Postern in front of it:',
      `  old server   ${LOOPBACK}:${old.port}`,
      `  Postern      ${LOOPBACK}:${postern.port}   mail for ${DOMAIN} may pass, nothing may relay`,
      'Asking both to relay, in every classic form. No message is sent.',
      '\n',
    ].join('\n'),
  );
  const before = await examineHere(old);
  const after = await examineHere(postern);
  if (typeof before === 'string' || typeof after === 'string') {
    const [what, why] = typeof before === 'string' ? ['the old server', before] : ['Postern', after];
    out.stderr(`postern demo: ${what} could not be probed: ${why}\n`);
    return false;
  }
  const sides = [
    { title: 'old server', examination: before },
    { title: 'behind Postern', examination: after },
  ] as const;
  out.stdout(`${formatComparison(sides, paint)}\n\n`);
  const plain = after.answers.find((answer) => answer.form === after.forms[0]);
  if (plain !== undefined) out.stdout(`Postern answers:  ${formatReply(plain.reply)}\n`);
  return verdictHere(before) === 'open' && verdictHere(after) === 'closed';
}

async function examineHere({ port }: Running): Promise<Examination | string> {
  return await examine({ to: { host: LOOPBACK, port, source: null }, domain: DOMAIN, pace: 0 });
}

function verdictHere({ answers, login }: Examination): string {
  return verdictOf(answers, login).verdict;
}

function howToTalk(old: number, postern: number): string {
  const swaks = `swaks --server ${LOOPBACK}:${postern} --from me@home.example --to`;
  return `
Both stay up. Talk to Postern from another window:
  ${swaks} you@${DOMAIN}          # arrives
  ${swaks} you@elsewhere.example    # refused
or by hand, with telnet ${LOOPBACK} ${postern} (or nc -C ${LOOPBACK} ${postern}):
  EHLO me
  MAIL FROM:<me@home.example>
  RCPT TO:<you@elsewhere.example>      refused by Postern; the old server never hears of it
  RCPT TO:<you@${DOMAIN}>            accepted by the old server
  DATA                                 then a text, a line with one dot, and QUIT
The old server without Postern is at ${LOOPBACK} ${old}: there, everything arrives.

Is your own server open? postern probe mail.example.com:25 asks it the same, and sends no message either.

What arrives and what is refused is shown here. Ctrl-C ends it.
`;
}

function messageLine({ sender, recipients, octets }: ReceivedMessage): string {
  const shown = recipients.slice(0, RECIPIENTS_SHOWN).map((recipient) => `<${toPrintable(recipient)}>`);
  const more = recipients.length - shown.length;
  const to = more === 0 ? shown.join(', ') : `${shown.join(', ')} and ${more} more`;
  return `arrived   from <${toPrintable(sender)}> to ${to}, ${octets} octets`;
}

/** null for what is not a refused sender or recipient. */
function refusalLine(event: SessionEvent): string | null {
  if (event.name === 'sender') return `refused   <${toPrintable(event.sender)}>: ${toPrintable(event.reply)}`;
  if (event.name !== 'recipient' || event.decision !== 'reject') return null;
  const { sender, recipient, reply } = event;
  return `refused   from <${toPrintable(sender)}> to <${toPrintable(recipient)}>: ${toPrintable(reply)}`;
}

/** Resolves at Ctrl-C or SIGTERM; a second one changes nothing, since npm passes on what the terminal sent already. */
function interrupted(): Promise<unknown> {
  return new Promise((resolve) => {
    process.on('SIGINT', resolve);
    process.on('SIGTERM', resolve);
  });
}

interface Request {
  readonly help: boolean;
  readonly once: boolean;
  readonly movingIn: MovingIn | null;
}

/** A string is what is wrong with the arguments. */
function parseRequest(args: string[]): Request | string {
  let values: ReturnType<typeof parse>['values'];
  try {
    values = parse(args).values;
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { help = false, once = false, exchange = '2003', keep = null } = values;
  const isMovingIn = values['moving-in'] ?? false;
  if (!isMovingIn && (values.exchange !== undefined || keep !== null))
    return '--exchange and --keep are for --moving-in';
  if (isMovingIn && once) return '--once and --moving-in: one of them';
  if (exchange !== '2003' && exchange !== '2010') return `--exchange: '${exchange}' is neither 2003 nor 2010`;
  return { help, once, movingIn: isMovingIn ? { exchange, keep } : null };
}

function parse(args: string[]) {
  return parseArgs({
    args,
    options: {
      once: { type: 'boolean' },
      'moving-in': { type: 'boolean' },
      exchange: { type: 'string' },
      keep: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
