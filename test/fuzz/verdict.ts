// What is wrong with what was heard. An empty list is a pass; the first word of a fault is its kind, by which it is shrunk.
//
//   bypass     the server executed a recipient, or took a message, that the reference judge refuses
//   blocked    something of a legitimate session was refused, changed, lost or answered out of turn
//   order      a positive reply that the server did not give, or gave in another order
//   confirmed  a message that the client was told of and the server did not take, or the other way round
//   upstream   the wrong server, or another client's name
//   defect, stuck

import type { Executed } from '../helpers/lenient-server.ts';
import { ReplyFramer } from '../helpers/smtp-client.ts';
import type { StandInConnection } from '../helpers/upstream-stand-in.ts';
import { factsOf } from './legitimate.ts';
import type { Heard, Mark } from './play.ts';
import { connectorFor, type Facts, isObserved, mayConnect, outcomes, sameConnector, whyNoMail } from './reference.ts';

const QUEUED = /^250[ -](?:2\.6\.0 )?queued/;

export function faultsOf(heard: Heard): string[] {
  const faults = [
    ...heard.defects.map((line) => `defect ${line.slice(0, 400)}`),
    ...(heard.stuck === '' ? [] : [`stuck ${heard.stuck}`]),
    ...[...heard.servers, ...heard.other].flatMap((connection) => bypasses(heard, connection)),
    ...wrongServer(heard),
    ...foreignPositives(heard),
    ...confirmed(heard),
  ];
  return heard.session.legitimate && heard.stuck === '' ? [...faults, ...unheard(heard), ...changed(heard)] : faults;
}

function bypasses(heard: Heard, { server }: StandInConnection): string[] {
  const faults: string[] = [];
  const judge = (executed: Executed, what: string): void => {
    const why = whyNot(heard, executed);
    if (why !== null)
      faults.push(
        `bypass ${what} ${JSON.stringify(executed.recipient)} from ${JSON.stringify(executed.reversePath)}: ${why}`,
      );
  };
  for (const executed of server.executed) judge(executed, 'executed');
  for (const { reversePath, recipients } of server.messages) {
    for (const recipient of recipients) {
      const known = server.executed.findLast(
        (executed) => executed.recipient === recipient && executed.reversePath === reversePath,
      );
      const nobody = { login: null, hello: '', mark: { tls: false, inForce: null }, begun: undefined };
      judge(known ?? { ...nobody, recipient, reversePath }, 'took a message for');
    }
  }
  return faults;
}

/** Why this recipient may not have been executed; null where some policy that may have been in force let it pass. */
function whyNot({ setting, session }: Heard, executed: Executed): string | null {
  const begun = executed.begun as Mark | undefined;
  const mark = executed.mark as Mark;
  const [, helo = ''] = /^(?:EHLO|HELO) ([\w.-]+|\[[\d.]+\])$/i.exec(executed.hello) ?? [];
  const facts: Facts = {
    ...factsOf(setting, session.header),
    login: executed.login,
    tls: mark.tls,
    sender: executed.reversePath,
    helo: session.backend.hello_again === 'once' ? '' : helo,
  };
  const first = connectorFor(setting.policy, facts);
  if (first === null) return 'no connector takes the client';
  if (!isObserved(first, facts) && mayConnect(first, facts) !== 'proceed') return 'the client may not connect';
  const inForce = begun?.inForce ?? null;
  const policies = inForce === null ? [setting.policy, setting.next] : [setting[inForce]];
  const reasons = policies.map((policy) => {
    if (policy === null) return 'no policy';
    const at = sameConnector(policy, setting.policy, first, facts);
    const noMail = whyNoMail(policy, at, facts);
    if (noMail !== null && noMail !== 'unsure') return `MAIL ${noMail}`;
    return outcomes(policy, at, facts, executed.recipient).has('proceed') ? null : 'the recipient';
  });
  return reasons.includes(null) ? null : `${reasons.join(' / ')} (${inForce ?? 'either policy'})`;
}

function wrongServer({ setting, session, servers, other, told }: Heard): string[] {
  const facts = factsOf(setting, session.header);
  const upstream = connectorFor(setting.policy, facts)?.upstream ?? 'default';
  const wrong = upstream === 'other' ? servers : other;
  const faults = wrong.length > 0 ? [`upstream a connection went to the wrong server, not ${upstream}`] : [];
  // A check of the firewall's own names nobody.
  const names = told.filter((address) => address !== '' && plainAddress(address) !== facts.client);
  return [...faults, ...names.map((address) => `upstream it was told ${address}, not ${facts.client}`)];
}

/** Without the zeros that IPv6 may leave out. */
function plainAddress(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

const OURS = /^(?:220 .*Ready to start TLS|252 (?:2\.5\.0 )?Cannot VRFY|221 (?:2\.0\.0 )?Bye)/;

/** Every positive reply stands among the server's, in their order; of an EHLO reply only the first line is compared. */
function foreignPositives({ replies, servers, other, setting }: Heard): string[] {
  const said = [...servers, ...other]
    .flatMap(({ sent }) => new ReplyFramer().take(sent))
    .filter(({ code }) => /^[23]/.test(code));
  let at = 0;
  for (const { code, text } of replies) {
    if (!/^[23]/.test(code) || OURS.test(text)) continue;
    if (setting.upstreamTls === 'require' && /^220 mock ESMTP ready|^250.mock/.test(text)) continue; // said before its own dialogue
    const found = said.findIndex(
      (reply, i) => i >= at && reply.code === code && firstLine(reply.text) === firstLine(text),
    );
    if (found < 0) {
      if (said.some((reply) => firstLine(reply.text) === firstLine(text)) && /^250.mock/.test(text)) continue; // an earlier EHLO reply counts
      return [`order the server did not say ${JSON.stringify(text.slice(0, 200))} behind ${at} others`];
    }
    at = found + 1;
  }
  return [];
}

function firstLine(text: string): string {
  return text.slice(4).split('\n')[0]?.trimEnd() ?? '';
}

function confirmed({ replies, servers, other, session, stuck }: Heard): string[] {
  const taken = [...servers, ...other].reduce((sum, { server }) => sum + server.messages.length, 0);
  const told = replies.filter(({ text }) => QUEUED.test(text)).length;
  if (session.backend.data_early !== undefined || session.backend.raw_reply !== undefined) return [];
  if (told > taken) return [`confirmed ${told} messages, and the server took ${taken}`];
  const stayed = session.end === 'fin' && stuck === '' && session.backend.rst_after === undefined;
  return stayed && told < taken ? [`confirmed ${told} messages of ${taken} that the server took`] : [];
}

// --- a legitimate session

function unheard({ session, answers }: Heard): string[] {
  for (const [at, { say = '', hears = [] }] of session.steps.entries()) {
    const codes = (answers[at] ?? []).map(({ code }) => code);
    const wanted = hears.map((code) => code.replace('!', ''));
    if (wanted.join() === codes.join()) continue;
    const texts = (answers[at] ?? []).map(({ text }) => text).join('');
    return [
      `blocked step ${at} ${JSON.stringify(say.slice(0, 300))}: expected ${wanted.join(' ')}, heard ${JSON.stringify(texts)}`,
    ];
  }
  return [];
}

/** What the server heard is what the client said, less the lines that are the firewall's to answer. */
function changed({ session, servers, other, setting }: Heard): string[] {
  const heard = Buffer.concat([...servers, ...other].map(({ server }) => server.received)).toString('latin1');
  let at = 0;
  const skipOurs = (piece: string): void => {
    while (!(piece !== '' && heard.startsWith(piece, at))) {
      const [ours] = OF_OURS.exec(heard.slice(at, at + 600)) ?? [];
      if (ours === undefined) return;
      at += ours.length;
    }
  };
  for (const { say = '', arrives = say } of session.steps) {
    for (const piece of arrives.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
      skipOurs(piece);
      if (!heard.startsWith(piece, at)) {
        const there = JSON.stringify(heard.slice(at, at + 200));
        return [`blocked on the way: ${JSON.stringify(piece.slice(0, 200))} became ${there} (${setting.dialect})`];
      }
      at += piece.length;
    }
  }
  skipOurs('');
  return at === heard.length ? [] : [`blocked the server heard more: ${JSON.stringify(heard.slice(at, at + 200))}`];
}

/** What the firewall says by itself: RSET behind a second EHLO, who the client is, and its own way in. */
const OF_OURS = /^(?:RSET|XFORWARD [^\r\n]*|XCLIENT [^\r\n]*|EHLO [^\r\n]*)\r\n/;
