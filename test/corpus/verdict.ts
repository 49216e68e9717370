// What is wrong with a conversation, by the words of its row. An empty list is a pass.
//
// `must_not_reach_backend` and `must_reach_backend` are asked of the commands as the upstream read them, never of what
// was sent. A row's expected codes are held to as they stand, with one exception: a row that may refuse may also close
// where it expects a 4yz or 5yz.

import { type Reply, ReplyFramer } from '../helpers/smtp-client.ts';
import type { Conversation, Unmet } from './conversation.ts';
import type { Row, Step } from './rows.ts';

export function faultsOf(talk: Conversation): string[] {
  return [
    ...unmetExpectations(talk),
    ...forbiddenCommands(talk),
    ...missingCommands(talk),
    ...wrongReplies(talk),
    ...(VERDICTS[talk.row.must]?.(talk) ?? []),
  ];
}

const VERDICTS: Readonly<Record<Row['must'], (talk: Conversation) => string[]>> = {
  pass: (talk) => [...alteredOctets(talk), ...alteredReplies(talk)],
  reject: (talk) => (talk.closedByGate || ownRefusals(talk) > 0 ? [] : ['nothing was refused']),
  close: (talk) => [
    ...(talk.closedByGate ? [] : ['the connection was not closed']),
    ...(talk.upstream.some(({ server }) => server.messages.length > 0) && endsInsideData(talk.row)
      ? ['the upstream took a message that the client never finished']
      : []),
  ],
  either: () => [],
};

function unmetExpectations({ row, unmet }: Conversation): string[] {
  const tolerated = ({ expected, got }: Unmet) => got === null && row.must !== 'pass' && mayRefuse(expected);
  return unmet
    .filter((one) => !tolerated(one))
    .map(({ expected, got }) => `expected ${expected}, got ${got ?? 'the end'}`);
}

/** Whether an expected code may be a refusal. */
function mayRefuse(expected: string): boolean {
  const pattern = new RegExp(`^(?:${expected})$`);
  return ['421', '450', '500', '501', '503', '550', '554'].some((code) => pattern.test(code));
}

function forbiddenCommands({ row, upstream }: Conversation): string[] {
  const commands = upstream.flatMap(({ server }) => server.commands);
  return row.must_not_reach_backend.flatMap((pattern) =>
    commands
      .filter((line) => new RegExp(pattern, 'i').test(line))
      .map((line) => `BYPASS: the upstream read ${JSON.stringify(line)}`),
  );
}

function missingCommands({ row, upstream }: Conversation): string[] {
  const commands = upstream.flatMap(({ server }) => server.commands);
  const missing = (row.must_reach_backend ?? []).filter(
    (pattern) => !commands.some((line) => new RegExp(pattern, 'i').test(line)),
  );
  return missing.map((pattern) => `the upstream never read /${pattern}/`);
}

function wrongReplies({ row, replies }: Conversation): string[] {
  const faults: string[] = [];
  for (const pattern of row.expect_not_in_replies ?? []) {
    if (replies.some((reply) => new RegExp(pattern, 'i').test(reply.text))) faults.push(`a reply holds /${pattern}/`);
  }
  if (row.reply_must_match !== undefined) {
    const pattern = new RegExp(row.reply_must_match);
    const refusals = replies.filter((reply) => reply.code.startsWith('5'));
    faults.push(
      ...refusals
        .filter((reply) => !pattern.test(reply.text))
        .map((reply) => `wrong form: ${JSON.stringify(reply.text)}`),
    );
  }
  if (row.expect_raw_reply !== undefined && !replies.some((reply) => reply.text === row.expect_raw_reply)) {
    faults.push(`no reply is ${JSON.stringify(row.expect_raw_reply)}`);
  }
  return faults;
}

// --- reject

/** Refusals that the client heard and the upstream never said. */
function ownRefusals(talk: Conversation): number {
  return talk.replies.filter(isRefusal).length - upstreamReplies(talk).filter(isRefusal).length;
}

function isRefusal(reply: Reply): boolean {
  return /^[45]/.test(reply.code);
}

function upstreamReplies({ upstream }: Conversation): Reply[] {
  return upstream.flatMap((connection) => new ReplyFramer().take(connection.sent));
}

// --- close

function endsInsideData(row: Row): boolean {
  return row.send.some((step) => step.fin || step.half_close);
}

// --- pass

/** The upstream heard what the client said, but for lines that were refused with the row's leave. */
function alteredOctets(talk: Conversation): string[] {
  const heard = Buffer.concat(talk.upstream.map(({ server }) => server.received)).toString('latin1');
  let at = 0;
  for (const { step, octets } of talk.said) {
    for (const piece of pieces(step, withoutProxyHeader(octets.toString('latin1')))) {
      if (heard.startsWith(piece, at)) at += piece.length;
      else if (!mayBeRefused(talk.row, step, piece))
        return [`altered on the way: ${JSON.stringify(piece.slice(0, 200))}`];
    }
  }
  return at === heard.length
    ? []
    : [`the upstream heard more than the client said: ${JSON.stringify(heard.slice(at, at + 200))}`];
}

/** A step whose lines can be refused one by one is looked at line by line. */
function pieces(step: Step, octets: string): string[] {
  return step.expect_replies === undefined ? [octets] : octets.split(/(?<=\r\n)/);
}

function withoutProxyHeader(octets: string): string {
  return octets.replace(/^PROXY .*\r\n/, '');
}

function mayBeRefused(row: Row, step: Step, line: string): boolean {
  if (row.must_not_reach_backend.some((pattern) => new RegExp(pattern, 'i').test(line))) return true;
  return (
    step.expect_code !== undefined &&
    mayRefuse(step.expect_code) &&
    (row.local_reply_ok || /[25]/.test(step.expect_code))
  );
}

/** The client heard what the upstream said, in order; EHLO replies may have lost lines, and where the row expects a
 * refusal a reply of ours may stand. */
function alteredReplies(talk: Conversation): string[] {
  const said = upstreamReplies(talk);
  const refusable = talk.row.send.some((step) =>
    [step.expect_code ?? '', ...(step.expect_replies ?? [])].some(mayRefuse),
  );
  let next = 0;
  for (const reply of talk.replies) {
    const original = said[next];
    if (original !== undefined && (reply.text === original.text || isFiltered(reply, original))) next++;
    else if (!(refusable && isRefusal(reply)))
      return [`a reply that the upstream did not give: ${JSON.stringify(reply.text)}`];
  }
  return next === said.length ? [] : [`a reply was lost: ${JSON.stringify(said[next]?.text)}`];
}

/** Whether the reply is the EHLO reply `original` less some of its keywords. */
function isFiltered(reply: Reply, original: Reply): boolean {
  const lines = original.text.split('\r\n').slice(0, -1);
  if (original.code !== '250' || lines.length < 2) return false;
  const kept = reply.text.split('\r\n').slice(0, -1);
  if (!kept.every((line, at) => line.startsWith(at === kept.length - 1 ? '250 ' : '250-'))) return false;
  if (kept[0]?.slice(4) !== lines[0]?.slice(4)) return false;
  let at = 0;
  for (const line of lines) if (line.slice(4) === kept[at]?.slice(4)) at++;
  return at === kept.length;
}
