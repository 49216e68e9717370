import assert from 'node:assert/strict';
import { test } from 'node:test';
import { argumentOf } from '../../src/moving-in/iis-log.ts';
import { answers, read, readFiles, write } from './read.ts';

const HEAD =
  '#Software: Microsoft Internet Information Services 6.0\r\n#Version: 1.0\r\n#Date: 2026-01-01 07:00:00\r\n';
const LONG =
  '#Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer)\r\n';
const SHORT = '#Fields: time c-ip cs-method cs-uri-stem cs-uri-query sc-status\r\n';

const long = (helo: string, method: string, query: string, status: number, ip = '198.51.100.17'): string =>
  `2026-01-01 08:00:01 ${ip} ${helo} SMTPSVC1 MAIL1 192.0.2.6 0 ${method} - ${query} ${status} 0 48 13 0 SMTP - - - -\r\n`;

test('W3C: a message is told, what the server sent itself is not, and junk is no fault', async () => {
  const { told, report } = await read(
    HEAD +
      LONG +
      long('printer', 'HELO', '+printer', 250) +
      long('printer', 'MAIL', '+FROM:+<scan@example.com>+SIZE=1', 250) +
      long('OutboundConnectionCommand', 'MAIL', 'FROM:<other@example.com>', 0) +
      long('OutboundConnectionResponse', '-', '250+ok', 0) +
      long('printer', 'RCPT', '+TO:<a+tag@partner.example>', 250) +
      long('printer', 'RCPT', '+TO:+<b@foreign.example>', 550) +
      long('printer', 'DATA', '+<1@printer>', 250) +
      long('printer', 'get', '-', 500) +
      long('printer', 'QUIT', 'printer', 240),
  );
  assert.equal(report.unknown, 0);
  assert.deepEqual(told.map(answers), [['accepted a+tag@partner.example', 'refused b@foreign.example']]);
  const [message] = told;
  assert.deepEqual(
    [message?.at, message?.helo, message?.sender, message?.delivered, message?.local, message?.connector],
    [Date.UTC(2026, 0, 1, 8, 0, 1), 'printer', 'scan@example.com', 'yes', '192.0.2.6:25', 'SMTPSVC1'],
  );
});

test('W3C: #Fields may change within a file, the date may come from #Date, and a status may be missing', async () => {
  const { told } = await read(
    `${HEAD}${SHORT}08:00:01 198.51.100.17 MAIL - FROM:a@example.com 250\r\n08:00:02 198.51.100.17 RCPT - TO:<b@example.com> 250\r\n` +
      `08:00:03 198.51.100.17 DATA - - 250\r\n08:00:03 198.51.100.17 QUIT - - 240\r\n#Date: 2026-01-02 00:00:00\r\n` +
      `#Fields: c-ip cs-username cs-method cs-uri-query\r\n203.0.113.7 app MAIL +FROM:<c@example.com>\r\n203.0.113.7 app RCPT +TO:<d@example.com>\r\n203.0.113.7 app DATA -\r\n`,
  );
  assert.deepEqual(
    told.map(({ at, source, sender, delivered, recipients }) => [at, source, sender, delivered, recipients[0]?.answer]),
    [
      [Date.UTC(2026, 0, 1, 8, 0, 1), '198.51.100.17', 'a@example.com', 'yes', 'accepted'],
      [null, '203.0.113.7', 'c@example.com', 'unknown', 'unknown'],
    ],
  );
});

/** A message at each of these times, of a source of its own; what is told of when. */
async function days(
  head: string,
  times: readonly string[],
  name?: string,
): Promise<{ days: string[]; notes: readonly string[] }> {
  const rows = times.flatMap((time, i) =>
    ['MAIL - FROM:<a@example.com> 250', 'RCPT - TO:<b@example.com> 250', 'DATA - - 250', 'QUIT - - 240'].map(
      (row) => `${time} 198.51.100.${i} ${row}\r\n`,
    ),
  );
  const { told, report } = await readFiles([write(head + SHORT + rows.join(''), name)]);
  return {
    days: told.map(({ at }) => (at === null ? '?' : new Date(at).toISOString().slice(0, 16))),
    notes: report.notes,
  };
}

test('W3C: times without a day are of #Date, and of the next day where they begin anew', async () => {
  const { days: some } = await days('#Date: 2026-12-31 20:00:00\r\n', [
    '20:00:01',
    '23:59:58',
    '00:00:01',
    '23:59:59', // written a moment later
    '00:00:02',
    '22:00:00',
    '08:00:00',
  ]);
  assert.deepEqual(some, [
    '2026-12-31T20:00',
    '2026-12-31T23:59',
    '2027-01-01T00:00',
    '2026-12-31T23:59',
    '2027-01-01T00:00',
    '2027-01-01T22:00',
    '2027-01-02T08:00',
  ]);
  const quiet = await days('#Date: 2026-01-01 00:10:00\r\n', ['00:10:00', '23:30:00', '00:05:00']);
  assert.deepEqual(quiet.days, ['2026-01-01T00:10', '2026-01-01T23:30', '2026-01-02T00:05']);
});

test('W3C: without #Date the day is that of the name, which is said, and without that nobody knows it', async () => {
  for (const name of ['ex260131.log', 'u_ex260131.log', 'ex26013108.log', 'EX260131.LOG.txt']) {
    const { days: some, notes } = await days('', ['08:00:00', '09:00:00'], name);
    assert.deepEqual(some, ['2026-01-31T08:00', '2026-01-31T09:00'], name);
    assert.match(notes.join(), /neither a #Date line nor a date column: the day is that of its name/);
  }
  assert.deepEqual((await days('', ['08:00:00'], 'extend1.log')).days, ['?']);
});

test('W3C: without its #Fields line nobody can tell the columns', async () => {
  const { told, report } = await read(long('printer', 'MAIL', '+FROM:<a@example.com>', 250));
  assert.equal(told.length, 0);
  assert.match(report.problems[0] ?? '', /without its #Fields line/);
});

test('NCSA: a message is told, with its time in the zone of the line', async () => {
  const line = (helo: string, what: string, status: number) =>
    `198.51.100.17 - ${helo} [01/Jan/2026:08:00:01 -0600] "${what} SMTP" ${status} 46\r\n`;
  const { told, report } = await read(
    line('printer', 'HELO -?+printer', 250) +
      line('OutboundConnectionCommand', 'EHLO -?mail.example.com', 0) +
      line('printer', 'MAIL -?+FROM:+<scan@example.com>', 250) +
      line('printer', 'RCPT -?+TO:<a@foreign.example>', 550) +
      line('printer', 'RCPT -?+TO:+<b@example.com>', 250) +
      line('printer', 'DATA -?+<1@printer>', 250) +
      line('printer', 'QUIT -?printer', 240),
  );
  assert.equal(report.unknown, 0);
  assert.deepEqual(told.map(answers), [['refused a@foreign.example', 'accepted b@example.com']]);
  assert.equal(told[0]?.at, Date.UTC(2026, 0, 1, 14, 0, 1));
});

test('a plus within a path is one, and a blank beside it', () => {
  assert.equal(argumentOf('+FROM:<a+b@example.com>+SIZE=1'), 'FROM:<a+b@example.com> SIZE=1');
  assert.equal(argumentOf('+TO:a@example.com'), 'TO:a@example.com');
});
