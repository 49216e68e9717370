// What is suggested, as YAML that a person can paste into the policy, and as JSON.
//
// What comes from a log may be anything: it stands in quotes or in a comment, and never ends either.

import { formatCount, plain } from '../status/words.ts';
import { formatTime } from './inventory-report.ts';
import type { Example } from './replay.ts';
import type { NotProposed, ProposedRule, Suggestion } from './suggest.ts';

const SHOWN = 50; // of what is not proposed; --json has all

interface Counted {
  readonly recipients: number;
  readonly messages: number;
  readonly first: number | null;
  readonly last: number | null;
  readonly example: Example | null;
}

/** `untold`: recipients of which the log does not tell enough. */
export function formatSuggestion(
  { rules, recipients, abuse, others }: Suggestion,
  refused: number,
  untold: number,
): string[] {
  const passed = rules.reduce((sum, rule) => sum + rule.recipients, 0) + (recipients?.recipients ?? 0);
  const lines: string[] = [];
  if (untold > 0)
    lines.push(
      `# Of ${formatCount(untold)} more the log does not tell enough to say whether they would pass; postern replay names them. With`,
      '# --no-logins they are taken for mail of clients that had not logged in.',
    );
  if (refused === 0)
    return [...lines, '# Nothing is known to be refused that the old server accepted: there is nothing to suggest.'];
  lines.push(
    `# ${formatCount(passed)} of ${formatCount(refused)} recipients that are refused and were accepted would pass by what follows. Strike out what nobody`,
    '# needs, fill in who does, and put the rest behind the rules that the connector has.',
  );
  const connectors = [...new Set(rules.map(({ connector }) => connector))];
  if (connectors.length > 0) lines.push('connectors:');
  for (const connector of connectors) {
    lines.push(`  - name: ${quoted(connector)}`, '    rules:');
    for (const rule of rules) if (rule.connector === connector) lines.push(...formatRule(rule));
  }
  if (recipients !== null)
    lines.push(
      `# Into the file of valid_recipients: ${countsIn(recipients)}`,
      ...recipients.addresses.map((address) => `#   ${plain(address)}`),
    );
  lines.push(...shown('Looks like abuse, and is not proposed', abuse), ...shown('No rule is proposed for', others));
  return lines;
}

function formatRule(rule: ProposedRule): string[] {
  const { name, sources, login, recipientDomains, expires } = rule;
  const conditions = [
    ...(sources.length === 0 ? [] : [`sources: [${sources.map(quoted).join(', ')}]`]),
    ...(login === null ? [] : [`users: [${quoted(login)}]`]),
    `recipient_domains: [${recipientDomains.map(quoted).join(', ')}]`,
  ];
  return [
    `      # ${countsIn(rule)}`,
    `      - name: ${name}`,
    `        allow: { ${conditions.join(', ')} }`,
    "        owner: '' # who needs it: fill in",
    `        expires: ${expires}`,
  ];
}

function shown(title: string, all: readonly NotProposed[]): string[] {
  if (all.length === 0) return [];
  const lines = all
    .slice(0, SHOWN)
    .flatMap((one) => [
      `#   ${plain(one.who)}${one.connector === null ? '' : ` (${plain(one.connector)})`}: ${plain(one.why)}`,
      `#     ${countsIn(one)}`,
    ]);
  if (all.length > SHOWN) lines.push(`#   and ${formatCount(all.length - SHOWN)} more: --json has all`);
  return [`# ${title}:`, ...lines];
}

function countsIn({ recipients, messages, first, last, example }: Counted): string {
  const when = first === null ? '' : `, ${formatTime(first)} to ${formatTime(last)} UTC`;
  const where =
    example === null
      ? ''
      : `; e.g. ${plain(example.file)}:${example.line} <${plain(example.sender ?? '?')}> to <${plain(example.recipient)}>`;
  const of = (count: number, one: string): string => `${formatCount(count)} ${one}${count === 1 ? '' : 's'}`;
  return `${of(recipients, 'recipient')} in ${of(messages, 'message')}${when}${where}`;
}

/** As YAML takes it for that text and nothing else. */
function quoted(text: string): string {
  const isPlain =
    /^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)*$/i.test(text) && !/^(true|false|null|yes|no|on|off|any)$/i.test(text);
  const isAddress = /^\d{1,3}(\.\d{1,3}){3}$/.test(text);
  return isPlain || isAddress ? text : `'${plain(text).replaceAll("'", "''")}'`;
}

export function suggestionJson({ rules, recipients, abuse, others }: Suggestion): object {
  const counts = ({ first, last, ...rest }: Counted): object => ({
    ...rest,
    first: first === null ? null : new Date(first).toISOString(),
    last: last === null ? null : new Date(last).toISOString(),
  });
  return {
    rules: rules.map(({ connector, name, sources, login, recipientDomains, expires, ...rest }) => ({
      connector,
      rule: {
        name,
        allow: {
          ...(sources.length === 0 ? {} : { sources }),
          ...(login === null ? {} : { users: [login] }),
          recipient_domains: recipientDomains,
        },
        owner: '',
        expires,
      },
      ...counts(rest),
    })),
    valid_recipients: recipients === null ? null : counts(recipients),
    abuse: abuse.map(counts),
    others: others.map(counts),
  };
}
