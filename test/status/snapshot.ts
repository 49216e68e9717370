// One answer of GET /status and one of GET /sessions, for the picture that a terminal is shown of them.
import type { SessionList, SessionRow, Status } from '../../src/status/shapes.ts';

export const STATUS: Status = {
  time: '2027-01-31T03:00:00.000Z',
  version: '1.2.3',
  mode: 'enforce',
  protected: false,
  listening: true,
  draining: false,
  started: '2027-01-27T23:00:00.000Z',
  uptime_seconds: 273_600,
  policy: { version: '3f2a9c1d', loaded: '2027-01-31T00:48:00.000Z' },
  reload_refused: null,
  listeners: ['0.0.0.0:25', '[::]:25'],
  admin: '127.0.0.1:9125',
  workers: { configured: 2, open: 2 },
  servers: [
    { server: '10.0.0.10:25', state: 'up', up: true, since: '2027-01-27T23:00:05.000Z', sessions: 1412 },
    {
      server: '10.0.0.11:25',
      state: 'down',
      up: false,
      since: '2027-01-31T02:47:30.000Z',
      sessions: 0,
      why: 'connect time-out',
      next_probe_seconds: 42,
    },
    { server: '10.0.0.12:25', state: 'draining', up: true, since: '2027-01-31T02:59:15.000Z', sessions: 3 },
    { server: '10.0.0.13:25', state: 'unknown', up: true, since: null, sessions: 0 },
  ],
  sessions: {
    open: 1415,
    by_phase: { reply: 12, command: 1300, 'mail-data': 103 },
    by_connector: { internet: 1400, 'line-of-business': 15 },
  },
  totals: {
    sessions: 90_000,
    connections_refused: 1,
    messages: 1_234_567,
    recipients_passed: 2_000_000,
    recipients_refused: 34_567,
    recipients_would_be_refused: 89,
    recipients_refused_by_server: 1_234,
    defects: 0,
    log_lines_lost: 0,
  },
  bans: 3,
  state: { kind: 'redis', up: true },
  certificates: [
    { listener: '0.0.0.0:25', names: ['mx.example.com'], not_after: '2027-03-02T00:00:00.000Z', days_left: 29 },
  ],
  warnings: [
    'connectors that only observe (line-of-business): what the policy would refuse there is only logged, so the relay is not protected',
  ],
};

function row(of: Partial<SessionRow>): SessionRow {
  return {
    id: '1-17',
    client_address: '192.0.2.1',
    client_port: 40_000,
    connector: 'internet',
    server: '10.0.0.10:25',
    phase: 'command',
    waits_for: 'client',
    waits_since: '2027-01-31T02:59:18.000Z',
    opened: '2027-01-31T02:58:00.000Z',
    octets_from_client: 512,
    octets_from_upstream: 300,
    sasl_username: null,
    helo_name: 'client.example',
    verb: 'RCPT',
    ...of,
  };
}

export const LIST: SessionList = {
  open: 1415,
  more: true,
  sessions: [
    row({ opened: '2027-01-30T22:57:00.000Z', phase: 'mail-data', verb: 'DATA', octets_from_client: 1_258_291 }),
    row({
      id: '2-90412',
      client_address: '2001:db8:1234:5678:9abc:def0:1234:5678',
      phase: 'confirmation',
      waits_for: 'server',
      waits_since: '2027-01-31T02:53:00.000Z',
      sasl_username: 'CORP\\alice',
      connector: 'line-of-business',
      verb: 'BDAT',
    }),
    row({ id: '2-90413', server: null, phase: 'connect', waits_for: 'server', verb: null, octets_from_client: 0 }),
    row({ id: '1-18', sasl_username: '\x1b[31mred\x07\u202e', verb: 'MAIL' }),
  ],
};
