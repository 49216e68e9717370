// What would let pass what was refused: a sentence, and where a rule can do it, the rule as text.
//
// It is text to copy and to think about, never applied from here. The rule is as narrow as what is known of the try: this
// source, this domain, this login. Nothing is proposed where no rule can help or a name does not go into one.

import type { Example } from './refusals.ts';

export interface Remedy {
  readonly what: string;
  /** YAML, for the rules of the connector. */
  readonly rule: string | null;
}

const NAME = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/i;
const LOGIN = /^[!-~]+$/;

export function remedyFor(example: Example): Remedy {
  const { reason, connector } = example;
  const here = `connector '${connector ?? ''}'`;
  switch (reason) {
    case 'no_rule':
      return ruleFor(
        example,
        `No rule of ${here} lets it relay. If it should, this rule would, at the end of its rules:`,
      );
    case 'rule':
      return ruleFor(
        example,
        `Rule '${example.rule}' of ${here} denies it. If it should pass, put this rule before that one:`,
      );
    case 'blocked_domain':
      return said('The domain is one of blocked_domains: no rule can allow it, only taking it out of that list.');
    case 'unknown_recipient':
      return said(
        'The domain is accepted and the address is not in the file of valid_recipients: add it there if it exists.',
      );
    case 'submit':
      return said(`The setting submit of ${here} asks for a login, or for another one.`);
    case 'sender':
      return said(`The setting senders of ${here} does not let it send as this address.`);
    case 'tls_required':
      return said(`The setting require_tls of ${here} asks for STARTTLS first.`);
    case 'unqualified':
      return said(`The address has no domain: the setting unqualified_recipients of ${here} would allow that.`);
    case 'cannot_tell':
      return said(
        'A condition could not be evaluated, for example because DNS did not answer; it was told to try again.',
      );
    case 'syntax':
    case 'relay_trick':
      return said('The address is malformed or a known relay trick: nothing allows that, and nothing should.');
    case 'limit':
      return said(
        `A limit answered: ${example.rule ?? 'limits'} of ${here}. It may come again later, or raise the limit.`,
      );
    case 'no_connector':
      return said('No connector takes this address: remote_ip_ranges of one would have to hold it.');
    case 'connect':
      return said(`The setting connect of ${here} keeps it away.`);
    case 'banned':
      return said('It is banned: lift the ban below, or wait until it ends.');
    case 'connections':
    case 'connections_percent':
    case 'connection_rate':
      return said(`It came too often or too many times at once: limits.source.${reason}.`);
    case 'upstream_connections':
      return said('All places at the servers behind were taken: upstream.max_connections.');
    default:
      return said(`It was refused for this reason: ${reason}.`);
  }
}

function said(what: string): Remedy {
  return { what, rule: null };
}

function ruleFor({ client_address, recipient, login }: Example, what: string): Remedy {
  const domain = recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase();
  if (!recipient.includes('@') || !NAME.test(domain) || (login !== null && !LOGIN.test(login)))
    return said('A rule could allow it, but this name cannot be written in one as it came: see why.');
  const lines = [
    `- name: ${quoted(`allow-${client_address}-to-${domain}`)}`,
    '  allow:',
    `    sources: [${quoted(client_address)}]`,
    ...(login === null ? [] : [`    users: [${quoted(login)}]`]),
    `    recipient_domains: [${quoted(domain)}]`,
  ];
  return { what, rule: lines.join('\n') };
}

/** A quoted string of YAML in which nothing but the quote itself means anything. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
