import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, read, readFiles, write } from './read.ts';

const FIELDS = 'date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context';
const HEADER = `#Software: Microsoft Exchange Server\r\n#Version: 14.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n#Date: 2026-01-01T00:00:00.000Z\r\n#Fields: ${FIELDS}\r\n`;

interface Who {
  readonly id?: string;
  readonly connector?: string;
  readonly remote?: string;
}

/** Lines of one session: event, data and context as they stand in the file. */
function lines(
  events: readonly string[],
  { id = '08D675E58CA1DA38', connector = 'EX1\\Relay', remote = '198.51.100.17:50001' }: Who = {},
): string[] {
  return events.map(
    (event, at) =>
      `2026-01-01T08:00:${String(at % 60).padStart(2, '0')}.000Z,${connector},${id},${at},192.0.2.6:25,${remote},${event}`,
  );
}

const file = (...all: string[][]): string => `${HEADER}${all.flat().join('\r\n')}\r\n`;

const MESSAGE = [
  '+,,',
  '*,SMTPSubmit SMTPAcceptAnySender SMTPAcceptAnyRecipient,Set Session Permissions',
  '>,"220 ex1.example.com Microsoft ESMTP MAIL Service ready at Thu, 1 Jan 2026 08:00:00 +0000",',
  '<,EHLO printer,',
  '>,250-ex1.example.com Hello [198.51.100.17] SIZE PIPELINING,',
  '<,MAIL FROM:<scan@example.com> SIZE=10,',
  '*,08D675E58CA1DA38;2026-01-01T08:00:00.000Z;1,receiving message',
  '>,250 2.1.0 Sender OK,',
  '<,RCPT TO:<a@partner.example>,',
  '>,250 2.1.5 Recipient OK,',
  '<,RCPT TO:<b@partner.example>,',
  '>,550 5.7.1 Unable to relay,',
  '<,DATA,',
  '>,354 Start mail input; end with <CRLF>.<CRLF>,',
  '>,250 2.6.0 <1@printer> [InternalId=1] Queued mail for delivery,',
  '<,QUIT,',
  '>,221 2.0.0 Service closing transmission channel,',
  '-,,Remote(ConnectionReset)',
];

test('a message is told with its client, its recipients and their answers', async () => {
  const { told, report } = await read(file(lines(MESSAGE)));
  assert.equal(told.length, 1);
  const [message] = told;
  assert.ok(message !== undefined);
  const { file: _, recipients, ...rest } = message;
  assert.deepEqual(rest, {
    at: Date.UTC(2026, 0, 1, 8, 0, 5),
    line: 11,
    session: '08D675E58CA1DA38',
    source: '198.51.100.17',
    ptr: null,
    local: '192.0.2.6:25',
    connector: 'EX1\\Relay',
    helo: 'printer',
    login: null,
    tls: false,
    mayRelay: true,
    sender: 'scan@example.com',
    senderAnswer: 'accepted',
    delivered: 'yes',
    untold: 0,
  });
  assert.deepEqual(recipients, [
    { address: 'a@partner.example', answer: 'accepted', reply: '250 2.1.5 Recipient OK' },
    { address: 'b@partner.example', answer: 'refused', reply: '550 5.7.1 Unable to relay' },
  ]);
  assert.equal(report.unknown, 0);
});

test('sessions interleave, and go on in the next file behind a new header', async () => {
  const one = lines(MESSAGE);
  const other = lines(MESSAGE, { id: '08D675E58CA1DA39', remote: '[2001:db8::7]:50002' });
  const mixed = one.flatMap((line, at) => [line, other[at] as string]);
  const first = write(file(mixed.slice(0, 18)), 'RECV2026010108-9.LOG');
  const second = write(file(mixed.slice(18, 30), [HEADER.trimEnd()], mixed.slice(30)), 'RECV2026010108-10.LOG');
  const { told } = await readFiles([first, second]);
  assert.deepEqual(
    told.map(({ source }) => source),
    ['198.51.100.17', '2001:db8::7'],
  );
  for (const message of told)
    assert.deepEqual(answers(message), ['accepted a@partner.example', 'refused b@partner.example']);
});

test('quoted data and names may hold commas and quotes', async () => {
  const events = MESSAGE.map((event) =>
    event.replace('<,RCPT TO:<a@partner.example>,', '<,"RCPT TO:<""last, first""@partner.example>",'),
  );
  const { told } = await read(file(lines(events, { connector: '"EX1\\Relay, ""old"""' })));
  assert.equal(told[0]?.connector, 'EX1\\Relay, "old"');
  assert.equal(told[0]?.recipients[0]?.address, '"last, first"@partner.example');
});

test('a login counts when it succeeded, under the name that the log tells, or without one', async () => {
  const login = (...between: string[]) => [
    ...MESSAGE.slice(0, 5),
    '<,AUTH LOGIN,',
    '>,334 <authentication response>,',
    ...between,
    ...MESSAGE.slice(5),
  ];
  const success = '>,235 2.7.0 Authentication successful,';
  const named = await read(file(lines(login('*,CORP\\alice,authenticated', success))));
  assert.equal(named.told[0]?.login, 'CORP\\alice');
  const inContext = await read(file(lines(login('*,,"Inbound AUTH LOGIN, User Name: bob@example.com"', success))));
  assert.equal(inContext.told[0]?.login, 'bob@example.com');
  const unnamed = await read(file(lines(login(success))));
  assert.equal(unnamed.told[0]?.login, '?');
  const failed = await read(file(lines(login('*,,User Name: mallory', '>,535 5.7.3 Authentication unsuccessful,'))));
  assert.equal(failed.told[0]?.login, null);
});

test('a session of 2013 that is in the logs of both roles counts once, whichever is read first', async () => {
  const of2013 = (text: string) => text.replace('#Version: 14.', '#Version: 15.');
  const front = of2013(file(lines(MESSAGE, { remote: '203.0.113.7:50001' })));
  const handedOn = [
    ...MESSAGE.slice(0, 5),
    '<,XPROXYFROM SID=08D675E58CA1DA38 IP=203.0.113.7 PORT=50001 DOMAIN=printer SEQNUM=1 PERMS=0 AUTHSRC=Anonymous,',
    '>,250 XProxyFrom accepted,',
    ...MESSAGE.slice(5),
  ];
  const hub = of2013(
    file(lines(handedOn, { id: '08D675E58CA1FFFF', connector: 'EX1\\Default EX1', remote: '192.0.2.6:40000' })),
  );
  for (const order of [
    [front, hub],
    [hub, front],
  ]) {
    const { told } = await readFiles(order.map((text) => write(text)));
    assert.deepEqual(
      told.map(({ source }) => source),
      ['203.0.113.7'],
    );
  }
  const alone = await read(hub);
  assert.deepEqual(
    alone.told.map(({ source, helo }) => ({ source, helo })),
    [{ source: '203.0.113.7', helo: 'printer' }],
  );
});

test('replies belong to commands in order when a client pipelines', async () => {
  const events = [
    '+,,',
    '<,EHLO app,',
    '>,250-ex1 Hello,',
    '<,MAIL FROM:<>,',
    '<,RCPT TO:<a@example.com>,',
    '<,RCPT TO:<b@foreign.example>,',
    '>,250 2.1.0 Sender OK,',
    '>,250 2.1.5 Recipient OK,',
    '>,550 5.7.1 Unable to relay,',
    '<,BDAT 10,',
    '<,BDAT 5 LAST,',
    '>,250 2.6.0 10 bytes received,',
    '>,451 4.3.2 try later,',
    '-,,Local',
  ];
  const { told } = await read(file(lines(events)));
  assert.deepEqual(told.map(answers), [['accepted a@example.com', 'refused b@foreign.example']]);
  assert.deepEqual([told[0]?.sender, told[0]?.delivered], ['', 'no']);
});

test('a refused sender is told, and a transaction that was given up was not delivered', async () => {
  const refused = [...MESSAGE.slice(0, 6), '>,530 5.7.1 Client was not authenticated,', '-,,Remote'];
  assert.equal((await read(file(lines(refused)))).told[0]?.senderAnswer, 'refused');
  const given = [...MESSAGE.slice(0, 10), '-,,Remote'];
  assert.equal((await read(file(lines(given)))).told[0]?.delivered, 'no');
  const cut = MESSAGE.slice(0, 14); // the log ends within the message
  assert.equal((await read(file(lines(cut)))).told[0]?.delivered, 'unknown');
});

test('a line that is cut off is counted and shown with its place, and the rest is read', async () => {
  const all = lines(MESSAGE);
  all.splice(3, 0, '2026-01-01T08:00:00.000Z,EX1\\Relay,08D6');
  const { told, report } = await read(file(all));
  assert.equal(told.length, 1);
  assert.equal(report.unknown, 1);
  assert.deepEqual(
    report.unknownLines.map(({ line, text }) => ({ line, text })),
    [{ line: 9, text: '2026-01-01T08:00:00.000Z,EX1\\Relay,08D6' }],
  );
});

test('the send log and the tracking log say which log is wanted', async () => {
  // Its columns are those of the receive log.
  const send = await read(HEADER.replace('Receive', 'Send'));
  assert.match(send.report.problems[0] ?? '', /SMTP Send Protocol Log.*receive log is wanted/);
  const tracking = await read('#Software: Microsoft Exchange Server\r\n#Log-type: Message Tracking Log\r\n');
  assert.match(tracking.report.problems[0] ?? '', /Message Tracking Log/);
});
