// What one smtpd of Postfix limits, and whose logins may send as whom.

import type { Report, WrittenBlock } from './imported.ts';
import { entriesOf, type Parameters } from './postconf.ts';
import type { Tables } from './postfix-tables.ts';

const SESSION: Readonly<Record<string, string>> = {
  smtpd_hard_error_limit: 'errors',
  smtpd_junk_command_limit: 'junk_commands',
  smtpd_recipient_limit: 'recipients_per_message',
};

const RATES: Readonly<Record<string, string>> = {
  smtpd_client_connection_rate_limit: 'connection_rate',
  smtpd_client_message_rate_limit: 'message_rate',
  smtpd_client_recipient_rate_limit: 'recipient_rate',
  // Attempts there, failures here: whoever fails each time is held to the same.
  smtpd_client_auth_rate_limit: 'auth_failure_rate',
};

/** Only what is set: where nothing is said the server behind keeps its own. */
export function limitsOf(parameters: Parameters, report: Report): WrittenBlock {
  const session: Record<string, number> = {};
  const source: Record<string, number | string> = {};
  const number = (name: string, became: string): number | null => {
    const written = parameters.written(name);
    const value = parameters.value(name);
    if (written === null) return null;
    if (value === null || !/^[0-9]{1,9}$/.test(value)) {
      report.cannotBeSaid(written.where, name, written.value, 'no number that is understood');
      return null;
    }
    if (Number(value) > 0) report.exact(written.where, name, value, became);
    return Number(value) > 0 ? Number(value) : null;
  };
  for (const [name, key] of Object.entries(SESSION)) {
    const value = number(name, `limits.session.${key}`);
    if (value !== null) session[key] = value;
  }
  const count = number('smtpd_client_connection_count_limit', 'limits.source.connections');
  if (count !== null) source.connections = count;
  const window = windowOf(parameters.value('anvil_rate_time_unit') ?? '');
  for (const [name, key] of Object.entries(RATES)) {
    const value = number(name, `limits.source.${key}`);
    if (value !== null) source[key] = `${value}/${window}`;
  }
  if (Object.keys(source).length > 0) reportExceptions(parameters, report);
  const blocks = { session, source };
  const filled = Object.entries(blocks).filter(([, block]) => Object.keys(block).length > 0);
  return {
    max_message_size: sizeOf(number('message_size_limit', 'max_message_size')),
    limits: filled.length === 0 ? undefined : Object.fromEntries(filled),
  };
}

function reportExceptions(parameters: Parameters, report: Report): void {
  const name = 'smtpd_client_event_limit_exceptions';
  const where = parameters.written(name)?.where ?? { file: 'postconf', line: 1, column: 1 };
  const why = 'these were not counted there and are here: a connector of their own would spare them';
  report.stricter(where, name, parameters.text(name) ?? '$mynetworks', 'limits.source', why);
}

function windowOf(unit: string): string {
  return /^[0-9]+[smh]$/.test(unit) ? unit.replace(/^60s$/, '1m') : /^[0-9]+$/.test(unit) ? `${unit}s` : '1m';
}

function sizeOf(octets: number | null): string | undefined {
  if (octets === null) return undefined;
  return octets % 2 ** 20 === 0 ? `${octets / 2 ** 20}MiB` : `${octets}B`;
}

/** Of smtpd_sender_login_maps: for each login its addresses; null where the map cannot be read. */
export function loginSenders(parameters: Parameters, tables: Tables, report: Report): Record<string, string[]> | null {
  const name = 'smtpd_sender_login_maps';
  const written = parameters.written(name);
  const where = written?.where ?? { file: 'postconf', line: 1, column: 1 };
  const logins: Record<string, string[]> = Object.create(null); // one may be called toString
  const owned = new Set<string>(); // the first that knows an address counts
  for (const table of entriesOf(parameters.value(name) ?? '')) {
    const entries = tables.entries(table);
    if (entries === null) {
      report.loud(where, name, table, 'cannot be said', '', 'its file is not here: the server behind goes on looking');
      return null;
    }
    for (const { key, value, isPattern, where: there } of entries) {
      if (isPattern || !/^([^@\s"\\]+@[^@\s]+|<>)$/.test(key))
        report.stricter(there, name, `${key} ${value}`, '', 'no single address: nobody here is its owner');
      else if (!owned.has(key.toLowerCase())) {
        owned.add(key.toLowerCase());
        for (const login of entriesOf(value)) logins[login] = [...(logins[login] ?? []), key];
      }
    }
  }
  if (written !== null) report.exact(where, name, written.value, 'senders.login_must_match');
  return logins;
}
