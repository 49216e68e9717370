// Every line that the log can hold, as one table: its level, its text, when it is written, and its fields.
//
// docs/log-fields.md is made of it, and `write` is how a line is written: the types let no other field into one. A text with
// {braces} is one that says more each time; whoever writes it gives it in full. Beside these fields each line has time, level
// and msg, and worker where there are several. What is said of clients stands in session-table.ts.

import type { Logger } from 'pino';
import { line } from './fields.ts';
import { ABOUT_CLIENTS } from './session-table.ts';

export const LINES = {
  ...ABOUT_CLIENTS,

  // The servers behind
  upstream_down: line(
    'warn',
    'upstream does not answer',
    'When it ceases to.',
    ['server', 'why'],
    ['next_probe_seconds'],
  ),
  upstream_up: line('info', 'upstream answers', 'When it first does.', ['server']),
  upstream_up_again: line('info', 'upstream answers again', 'When it does after a while without.', ['server']),
  upstream_silent: line(
    'warn',
    'upstream accepted the connection and has not greeted for 10 s; another server is tried where there is one',
    'At most every ten minutes for each server.',
    ['server'],
  ),
  upstream_silent_behind_greeting: line(
    'warn',
    'upstream greeted and has not answered our EHLO, STARTTLS or XCLIENT for 10 s; another server is tried where there is one',
    'The same.',
    ['server'],
  ),
  upstream_full: line(
    'warn',
    'upstream is full: it declined a session while it serves others, and is not taken for down. Set ' +
      'upstream.max_connections to what it takes, or raise its own limit for each client address',
    'The same.',
    ['server', 'why'],
    ['sessions'],
  ),
  upstream_421: line(
    'warn',
    'the upstream answered 421: if it counts connections by source, it counts all of ours as one. Give Postern a receive ' +
      'connector of its own there with these limits raised',
    'At most every ten minutes.',
    [],
  ),
  upstream_connected: line('debug', 'upstream connected', 'For each session.', ['server', 'seconds']),
  upstream_in_clear: line(
    'warn',
    'upstream in clear text',
    'TLS was wanted where it can be had, and could not be; once for each reason.',
    ['server', 'why'],
  ),
  upstream_unidentified: line(
    'warn',
    'the upstream does not offer to be told who the client is, or does not understand it, and takes the client for Postern: ' +
      'list the address of Postern there (Postfix: smtpd_authorized_xclient_hosts, smtpd_authorized_xforward_hosts; ' +
      'inet_protocols = all for IPv6 clients), or set upstream.identity: none',
    'Once for each server.',
    ['server', 'identity'],
  ),

  // The firewall itself
  listening: line(
    'info',
    'listening',
    'At the start, when all listeners are open.',
    ['addresses', 'mode', 'sockets'],
    ['admin'],
  ),
  no_ipv6: line(
    'warn',
    'this machine has no IPv6, so nothing listens there; leave [::] out of listeners[].bind to hear no more of it',
    'At the start, where the kernel has no IPv6 or the process may not use it, and listeners have other addresses.',
    ['addresses'],
  ),
  observing: line(
    'warn',
    'the mode is observe: what the policy would refuse is only logged, so the relay is not protected',
    'At the start and at each reload.',
    ['mode'],
  ),
  connectors_observing: line(
    'warn',
    'connectors that only observe ({connectors}): what the policy would refuse there is only logged, so the relay is not protected',
    'The same.',
    ['mode'],
  ),
  finding: line('warn', '{place}: warning: {sentence}', 'At the start: what `postern check` warns of.', []),
  few_descriptors: line(
    'warn',
    'upstream.max_connections admits {sessions} sessions, which need {wanted} file descriptors, and this process may have {limit}: ' +
      'raise LimitNOFILE (systemd), --ulimit nofile (container) or ulimit -n, or lower it',
    'At the start.',
    ['key'],
  ),
  policy_loaded: line('info', 'policy loaded', 'At the start and at each reload.', ['policy_version']),
  reloaded: line('info', 'reloaded', 'A reload is in force.', ['file', 'mode']),
  reload_refused: line('error', 'reload refused, the old config stays', 'What was read has an error.', [
    'file',
    'findings',
  ]),
  needs_restart: line(
    'warn',
    'a restart is needed for these keys, which changed in the file; the policy, its limits and the mode are in force',
    'At a reload.',
    ['keys'],
  ),
  lost_address: line(
    'warn',
    'a client seems to come from this machine or its gateway: its own address was lost on the way (container NAT, a ' +
      'balancer without PROXY protocol), so no source range that grants relaying is applied to it',
    'Once for each such address.',
    ['client_address'],
  ),
  lost_addresses: line(
    'warn',
    'most clients come from {address} ({connections} of the last {of}): unless that is one application, their ' +
      'own addresses are lost on the way; let the balancer send a PROXY header (listeners.proxy_protocol), or use host ' +
      'networking: deploy/README.md',
    'At once, and then every hour.',
    ['client_address', 'connections', 'of'],
  ),
  server_drained: line('warn', 'server is drained: new sessions go elsewhere', 'By you.', ['server']),
  server_in_use: line('warn', 'server is in use again', 'By you.', ['server']),
  banned: line(
    'warn',
    'banned',
    'A source was banned, by its limits or by you.',
    ['network', 'seconds', 'by'],
    ['key'],
  ),
  ban_lifted: line('warn', 'ban lifted', 'By you.', ['network']),
  state_shared: line('info', 'counters are shared with the other nodes', 'Redis answers.', []),
  state_alone: line(
    'warn',
    'counters are not shared: this node counts by itself until Redis answers',
    'It does not, or too late.',
    ['why'],
  ),
  share_is_full: line(
    'warn',
    'more of one kind are counted than one node may keep in Redis: those beyond it are counted by this node alone, as with state: memory',
    'When there are.',
    ['kind'],
  ),
  shortage: line(
    'warn',
    'short of {what, and what to raise}',
    'This machine had no more of it; at most once a minute.',
    ['code', 'doing'],
  ),
  worker_ended: line('error', 'worker ended, its sessions are lost', 'A thread died.', [
    'worker',
    'why',
    'next_start_ms',
  ]),
  worker_started: line('info', 'worker started anew', 'After that.', ['worker']),
  worker_not_started: line('warn', 'worker could not be started', 'It is tried again.', ['worker', 'why']),
  lines_lost: line(
    'warn',
    'log lines were lost while the log could not be written as fast as they came: of those sources that had most of them',
    'When the log can be written again.',
    ['lines'],
  ),
  relayed_lines_lost: line(
    'warn',
    'lines of log.relayed_file were lost while it could not be written as fast as they came',
    'When it can be written again.',
    ['lines'],
  ),
  not_watched: line(
    'warn',
    'a folder of the configuration is not watched: what changes there is read at SIGHUP or postern reload',
    'With `watch`, where the system refuses it, as it does above its limit (Linux: fs.inotify). Each reload tries again.',
    ['file', 'why'],
  ),
  relayed_file_not_opened: line(
    'error',
    'log.relayed_file could not be opened anew: lines go on into the one that is open',
    'At SIGHUP.',
    ['file', 'why'],
  ),
  defect: line('error', 'defect', 'A fault of ours that was caught. Please report it.', ['doing', 'stack']),
  draining: line('info', 'draining', 'SIGTERM or SIGINT came.', ['sessions']),
  drained: line('info', 'drained', 'The end.', ['sessions_cut_off']),
};

export type LineName = keyof typeof LINES;

type Value = string | number | boolean | readonly string[] | readonly object[];

/** The fields that a line must have and may have. */
export type FieldsOf<Name extends LineName> = Readonly<
  Record<(typeof LINES)[Name]['always'][number], Value> &
    Partial<Record<(typeof LINES)[Name]['sometimes'][number], Value | undefined>>
>;

/** Writes a line. `text` where the table's has braces. */
export function write<Name extends LineName>(log: Logger, name: Name, fields: FieldsOf<Name>, text?: string): void {
  const { level, text: fixed } = LINES[name];
  log[level](fields as object, text ?? fixed);
}

/** A text with what stands in its braces filled in. */
export function fill(text: string, values: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{([^}]+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
