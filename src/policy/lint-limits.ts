// Limits that are spelled well and mean nothing: what a connector's own block names without effect.
//
// Limits from the top of a configuration are for all connectors, so a word that only some of them can use is no fault there.

import type { Limits, PartialLimits, Rate } from './document.ts';
import type { Draft } from './draft.ts';
import type { Notes } from './lists.ts';
import type { Path } from './problem.ts';
import { isEverything, parseRange } from './ranges.ts';

const CLIENTS_WAIT = 300_000; // RFC 5321 §4.5.3.2: the reply to MAIL or RCPT is awaited for five minutes

export function lintLimits({ document, path, limits }: Draft, notes: Notes): void {
  const own = document.limits;
  const at = [...path, 'limits'];
  if (own !== undefined) lintBlock(own, limits, at, notes);
  if (own?.login !== undefined && document.auth === 'hide')
    notes.warn([...at, 'login'], 'nobody logs in here (auth: hide), so nobody has these limits');
  const rates = [
    limits.source.connection_rate,
    limits.source.message_rate,
    limits.source.recipient_rate,
    limits.source.byte_rate,
    limits.source.rejected_recipient_rate,
    limits.login.message_rate,
    limits.login.recipient_rate,
    limits.sender.message_rate,
    limits.connector.message_rate,
  ];
  const { source, connector } = limits;
  const unlimited =
    source.connections === Number.POSITIVE_INFINITY && connector.connections === Number.POSITIVE_INFINITY;
  if (unlimited && rates.every((rate) => rate === null))
    notes.warn(at, `connector '${document.name}' has no limit at all: one client can take every connection`);
}

const CUSTOMER = 64; // bits of the network that every IPv6 line has at least

/** `own`: a block as it is written, at `at`; `limits`: with what it leaves out filled in. */
export function lintBlock(own: PartialLimits, limits: Limits, at: Path, notes: Pick<Notes, 'error' | 'warn'>): void {
  for (const path of shutting(own))
    notes.warn(
      [...at, ...path],
      '0 lets nothing through at all: unlimited is no limit, and connect.deny shuts out whole ranges',
    );
  for (const [i, text] of (own.ban?.never_ban ?? []).entries()) {
    const { error, warning, ranges } = parseRange(text);
    // Of what a range may be, a name and a list file have no place here.
    const said = error
      ?.replace(/: clients are named .*/, ': addresses and ranges are wanted here')
      .replace(/, any and file:PATH are known$/, ' or any is wanted');
    if (said !== undefined) notes.error([...at, 'ban', 'never_ban', i], said);
    if (warning !== undefined) notes.warn([...at, 'ban', 'never_ban', i], warning);
    if (limits.ban.after !== null && ranges.some(isEverything))
      notes.warn([...at, 'ban', 'never_ban', i], `'${text}' holds everyone, so nobody is banned`);
  }
  if (own.ban?.after?.limit === 0)
    notes.error(
      [...at, 'ban', 'after'],
      'nobody can be banned after none: 1/10m bans with the first exceeded limit, never with none',
    );
  if (own.ban?.for === 0)
    notes.error([...at, 'ban', 'for'], '0 is no time to be banned for: leave ban out, or say 10m');
  else if (own.ban?.for !== undefined && limits.ban.after === null)
    notes.warn([...at, 'ban', 'for'], 'nobody is banned without ban.after, as 5/10m exceeded limits');
  if (own.source?.connections_percent !== undefined && limits.connector.connections === Number.POSITIVE_INFINITY)
    notes.warn(
      [...at, 'source', 'connections_percent'],
      'a share of connector.connections, which is unlimited: it limits nobody',
    );
  if ((own.source?.ipv6_prefix ?? 0) > CUSTOMER)
    notes.warn(
      [...at, 'source', 'ipv6_prefix'],
      `whoever has one IPv6 address has a whole /${CUSTOMER} of them, and would be as many sources as he likes: ${CUSTOMER} or less is wanted`,
    );
  if ((own.tarpit ?? 0) >= CLIENTS_WAIT)
    notes.warn(
      [...at, 'tarpit'],
      'clients wait five minutes for a reply: they would be gone before it comes; 5s is usual',
    );
}

/** Where a limit is none at all. Errors, junk and failed logins are left out: with 0 the first ends the session. */
function shutting({ session, source, login, sender, connector }: PartialLimits): Path[] {
  const rates = { source, login, sender, connector };
  const blocked: Path[] = [];
  for (const [block, limits] of Object.entries(rates)) {
    for (const [key, limit] of Object.entries(limits ?? {})) {
      const most = key.endsWith('_rate') ? (limit as Rate | null)?.limit : key === 'connections' ? limit : undefined;
      if (most === 0) blocked.push([block, key]);
    }
  }
  for (const key of ['recipients_per_message', 'messages'] as const)
    if (session?.[key] === 0) blocked.push(['session', key]);
  return blocked;
}
