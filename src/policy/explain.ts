// Why: the way from a question to its answer, as data and as text.
//
// The answer is what the judge said (policy-question.ts asks it as a session would); what is added here is only the account of
// it: the range that chose the connector, every rule that was tried, and the first condition that failed.

import type { Address } from '../smtp/types.ts';
import type { Condition, Facts } from './condition.ts';
import { formatIp } from './ip.ts';
import { formatAddress } from './lists.ts';
import type { Policy } from './policy.ts';
import { type Answer, answerQuestion, type PolicyQuestion } from './policy-question.ts';
import type { Path } from './problem.ts';
import { type Trial, whySpelled } from './rules.ts';
import { formatPlace, type PlaceOf, type Setting, settingOf } from './setting.ts';
import { fromOctets } from './spellings.ts';
import { isUnknown, NO_GUESS } from './truth.ts';

export type { PlaceOf } from './setting.ts';

export interface Explanation {
  readonly answer: Answer;
  /** The mode is observe: what the policy would refuse is forwarded all the same. */
  readonly observed: boolean;
  /** As the client would hear it; null when all proceeds. */
  readonly reply: string | null;
  readonly reason: string | null;
  readonly rule: string | null;
  readonly connector: {
    readonly name: string;
    readonly place: string;
    readonly why: string;
    /** Which servers its sessions go to, as the configuration names them; left out where that is the default. */
    readonly upstream?: string;
  } | null;
  /** What the grammar says when it ended the matter, before any policy. */
  readonly grammar: string | null;
  /** The setting that refused, or would in observe; left out where none did, or rules decided. */
  readonly setting?: Setting;
  readonly recipients: readonly ExplainedRecipient[];
}

export interface ExplainedRecipient {
  readonly address: string;
  /** Hidden in the local part of the address as written: it must be allowed as well. */
  readonly hidden: boolean;
  readonly why: string;
  readonly rules: readonly ExplainedRule[];
}

export interface ExplainedRule {
  readonly name: string;
  readonly place: string;
  readonly action: 'allow' | 'deny';
  readonly matched: 'yes' | 'no' | 'cannot tell';
  readonly why: string;
}

/** `names`: what the client is called in DNS, as the policy's resolver would answer (null: it does not). */
export async function explain(
  policy: Policy,
  asked: PolicyQuestion,
  names: () => readonly string[] | null,
  place: PlaceOf,
): Promise<Explanation> {
  const verdict = await answerQuestion(policy, asked);
  const { answer, connector, entry, decision, grammar, reply, question } = verdict;
  const at = (path: Path): string => formatPlace(place(path));
  const ends = {
    address: asked.source,
    localAddress: asked.local.address,
    localPort: asked.local.port,
  };
  const recipients: ExplainedRecipient[] = [];
  for (const [i, address] of (question?.addresses ?? []).entries()) {
    const steps = question && connector?.stepsFor(ends, question, address, names());
    if (!steps) continue;
    const { blocked, known, trials, facts } = steps;
    recipients.push({
      address: formatAddress(address),
      hidden: i > 0,
      why: whyDomain(address, blocked, known),
      rules: trials.map((trial) => ({
        name: trial.rule.name,
        place: at(trial.rule.path),
        action: trial.rule.action,
        matched: isUnknown(trial.matched) ? 'cannot tell' : trial.matched ? 'yes' : 'no',
        why: whyRule(trial, facts),
      })),
    });
  }
  const setting = settingOf(verdict, ends, names(), place);
  const bound = connector !== null && connector.document.bindings.length > 0;
  return {
    answer,
    observed: answer === 'proceed' && reply !== null,
    reply,
    reason: decision?.reason ?? null,
    rule: decision?.rule ?? null,
    connector:
      connector === null || entry === null
        ? null
        : {
            name: connector.name,
            place: at(connector.path),
            why: `${bound ? 'bound to the local address, and ' : ''}'${entry.text}' (${at(entry.path)}) is the most specific range that holds ${asked.source}`,
            ...(connector.document.upstream === 'default' ? {} : { upstream: connector.document.upstream }),
          },
    grammar,
    ...(setting === null ? {} : { setting }),
    recipients,
  };
}

function whyDomain(
  address: Address,
  blocked: string | null,
  known: { readonly kind: 'accepted' | 'relay'; readonly text: string } | null,
): string {
  if (address.literal !== null) return 'an address literal: it passes when it is one of accepted_literals';
  if (address.domain === null)
    return 'no domain: Postmaster always passes, others where unqualified_recipients allows it';
  if (blocked !== null) return `blocked_domains has '${blocked}': never, for anyone`;
  if (known !== null) return `${known.kind}_domains has '${known.text}'`;
  return `${fromOctets(address.domain)} is neither accepted nor relayed for everyone: the rules decide`;
}

function whyRule({ rule, expired, failed, open }: Trial, facts: Facts): string {
  if (expired) return 'it has expired';
  if (failed !== null) return `${failed.key}: ${whyNot(failed, facts)}`;
  if (open !== null) return `${open.key}: ${whyOpen(open, facts)}`;
  const spelled = whySpelled(rule.conditions, facts);
  return spelled === null ? 'all its conditions hold' : `all its conditions hold: ${spelled}`;
}

/** Why nobody can tell whether a condition holds. What is excluded may be any of these. */
function whyOpen({ holds }: Condition, facts: Facts): string {
  const open = holds(facts, NO_GUESS);
  const fact = isUnknown(open) ? open.fact : null;
  if (fact === 'ptr') return 'no answer from DNS';
  if (fact === 'sender')
    return `<${fromOctets(facts.question.sender)}> is read as one sender here and as another there`;
  return 'the name of the login is not known';
}

/** Why a condition does not hold, from the facts that it looks at. */
function whyNot(condition: Condition, facts: Facts): string {
  const { key } = condition;
  const { client, question, recipient, names, localIp, localPort } = facts;
  const login =
    question.login === null ? 'nobody has logged in' : question.login.name === null ? 'the login has no name' : null;
  switch (key) {
    case 'sources':
      return client.lost
        ? `${formatIp(client.ip)} is ours, loopback or the gateway, and is not listed by itself`
        : `${formatIp(client.ip)} is in none of them`;
    case 'ptr':
      if (client.lost) return `${formatIp(client.ip)} is ours, loopback or the gateway: its name is not the client's`;
      return names === null || names.length === 0
        ? 'the client has no confirmed name'
        : `${names.join(', ')}: none of them`;
    case 'local':
      // 0.0.0.0 is what a question has for an address that it does not name.
      return `the client has connected to ${localIp ? formatIp(localIp) : 'an unknown address'}, port ${localPort}`;
    case 'authenticated':
      return login ?? `${question.login?.name} has logged in`;
    case 'users':
    case 'groups':
      return login ?? `${question.login?.name} is none of them`;
    case 'tls':
      return question.tls ? 'the session is encrypted' : 'the session is in clear text';
    case 'tls_subject':
      return question.tlsSubject.length === 0
        ? 'the client has shown no certificate that could be verified'
        : `${question.tlsSubject.map(fromOctets).join(', ')}: none of them`;
    case 'senders':
    case 'sender_domains':
      return `<${fromOctets(question.sender)}> is none of them`;
    case 'recipients':
      return `${recipient === null ? '' : formatAddress(recipient)} is none of them`;
    case 'recipient_domains':
      return `${fromOctets(recipient?.domain ?? 'no domain')} is in none of them`;
    case 'helo':
      return question.helo === '' ? 'no name was given' : `${fromOctets(question.helo)} is none of them`;
    default: {
      const spelled = whySpelled([condition], facts);
      return spelled === null ? 'what it excludes holds' : `what it excludes holds: ${spelled}`;
    }
  }
}

/** The account as text: the answer first, then the way to it. `serversOf` an upstream, where the configuration is known. */
export function formatExplanation(
  explanation: Explanation,
  serversOf: ((upstream: string) => string) | null = null,
): string {
  const { answer, observed, reply, connector, grammar, recipients, reason, rule, setting } = explanation;
  const lines = [`${answer}${reply === null || observed ? '' : `  ${reply}`}`];
  if (observed) lines.push(`(observe: it would be refused, and is only logged: ${reply})`);
  lines.push('');
  if (connector === null) lines.push('connector  none: no connector of this local address holds the client');
  else lines.push(`connector  ${connector.name} (${connector.place}): ${connector.why}`);
  if (connector !== null && connector.upstream !== undefined)
    lines.push(`upstream   ${connector.upstream}${serversOf === null ? '' : `: ${serversOf(connector.upstream)}`}`);
  if (answer === 'refuse-connection' && connector !== null)
    lines.push('connection its connect list keeps the client out');
  if (answer === 'refuse-sender')
    lines.push(`sender     ${grammar ?? `refused: ${String(reason).replaceAll('_', ' ')}`}`);
  else if (grammar !== null) lines.push(`recipient  ${grammar}`);
  if (setting !== undefined) lines.push(`setting    ${setting.key} (${setting.place}): ${setting.why}`);
  if (grammar === null) {
    for (const { address, hidden, why, rules } of recipients) {
      lines.push(
        `recipient  ${address}${hidden ? ' (hidden in the local part, it must be allowed as well)' : ''}: ${why}`,
      );
      for (const one of rules)
        lines.push(`  ${one.matched.padEnd(11)} ${one.action} ${one.name} (${one.place}): ${one.why}`);
      if (rules.length > 0 && rules.every(({ matched }) => matched === 'no'))
        lines.push('  no rule matches: to relay is forbidden');
    }
  }
  if (reason === 'cannot_tell') lines.push('what cannot be told decides, so the client is asked to try again');
  else if (rule !== null && recipients.some(({ rules }) => rules.some(({ matched }) => matched === 'cannot tell')))
    lines.push(`what cannot be told changes nothing: it comes to ${answer} either way (the log names ${rule})`);
  else if (rule !== null) lines.push(`decided by ${rule}`);
  return `${lines.join('\n')}\n`;
}
