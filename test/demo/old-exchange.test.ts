// The old Exchange stand-in, as a mail client meets it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import * as exchange2003 from '../../src/demo/exchange-2003.ts';
import * as exchange2010 from '../../src/demo/exchange-2010.ts';
import type { House, ReceivedMessage } from '../../src/demo/house.ts';
import { startOldExchange } from '../../src/demo/old-exchange.ts';
import { ReceiveLog } from '../../src/demo/receive-log.ts';
import { SmtpsvcLog } from '../../src/demo/smtpsvc-log.ts';

const NOW = new Date('2009-01-01T12:00:00Z');

interface Server {
  readonly messages: ReceivedMessage[];
  /** Says all of it, in pieces of `size` octets, and returns what was heard until the server hung up. */
  talk(said: string, size?: number): Promise<string>;
}

async function serve(t: TestContext): Promise<Server> {
  const messages: ReceivedMessage[] = [];
  const onMessage = (message: ReceivedMessage) => messages.push(message);
  const server = await startOldExchange({ host: '127.0.0.1', port: 0, onMessage, now: () => NOW });
  t.after(() => server.close());
  return {
    messages,
    async talk(said, size = said.length) {
      const socket = connect(server.port, '127.0.0.1');
      socket.setNoDelay(true);
      let heard = '';
      socket.on('data', (chunk) => {
        heard += chunk.toString('latin1');
      });
      const ended = once(socket, 'end');
      for (let start = 0; start < said.length; start += size) {
        await new Promise((written) => socket.write(said.slice(start, start + size), 'latin1', written));
      }
      await ended;
      return heard;
    },
  };
}

const BANNER =
  '220 mail.example.com Microsoft ESMTP MAIL Service, Version: 6.0.3790.4675 ready at  Thu, 01 Jan 2009 12:00:00 +0000 \r\n';
const BYE = '221 2.0.0 mail.example.com Service closing transmission channel\r\n';

/** What was heard between the banner and the goodbye. */
function replies(heard: string): string[] {
  assert.ok(heard.startsWith(BANNER), heard);
  assert.ok(heard.endsWith(BYE), heard);
  return heard.slice(BANNER.length, -BYE.length).split('\r\n').slice(0, -1);
}

test('offers what Exchange 2003 offers, in its order', async (t) => {
  const server = await serve(t);
  const heard = replies(await server.talk('EHLO client.example\r\nQUIT\r\n'));
  assert.equal(heard[0], '250-mail.example.com Hello [127.0.0.1]');
  assert.deepEqual(
    heard.slice(1).map((line) => line.slice(4)),
    [
      ...['TURN', 'SIZE', 'ETRN', 'PIPELINING', 'DSN', 'ENHANCEDSTATUSCODES', '8bitmime', 'BINARYMIME', 'CHUNKING'],
      ...['VRFY', 'X-EXPS GSSAPI NTLM LOGIN', 'X-EXPS=LOGIN', 'AUTH GSSAPI NTLM LOGIN', 'AUTH=LOGIN'],
      ...['X-LINK2STATE', 'XEXCH50', 'OK'],
    ],
  );
  assert.ok(heard.slice(0, -1).every((line) => line.startsWith('250-')));
  assert.equal(heard.at(-1), '250 OK');
});

const DATA_SESSION = [
  'EHLO client.example',
  'MAIL FROM:<a@foreign.example> SIZE=20',
  'RCPT TO:<b@other.example>',
  'RCPT TO:<"c d"@example.com>',
  'DATA',
  'RCPT TO:<not@a.command>',
  '..',
  '. ',
  '.',
  'QUIT',
  '',
].join('\r\n');

for (const size of [1, 2, 3, 5, 7, DATA_SESSION.length]) {
  test(`takes a message for anybody by DATA, said ${size} octets at a time`, async (t) => {
    const server = await serve(t);
    const heard = replies(await server.talk(DATA_SESSION, size)).slice(-5);
    assert.deepEqual(heard, [
      '250 2.1.0 a@foreign.example....Sender OK',
      '250 2.1.5 b@other.example ',
      '250 2.1.5 "c d"@example.com ',
      '354 Start mail input; end with <CRLF>.<CRLF>',
      '250 2.6.0  <MAIL00000001@mail.example.com> Queued mail for delivery',
    ]);
    assert.deepEqual(server.messages, [
      {
        clientAddress: '127.0.0.1',
        heloName: 'client.example',
        sender: 'a@foreign.example',
        recipients: ['b@other.example', '"c d"@example.com'],
        octets: 'RCPT TO:<not@a.command>\r\n..\r\n. \r\n'.length,
      },
    ]);
  });
}

test('takes an empty message, and another one after it in the same session', async (t) => {
  const server = await serve(t);
  const one = 'MAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n';
  await server.talk(`HELO c\r\n${one}.\r\n${one}hello\r\n.\r\nQUIT\r\n`);
  assert.deepEqual(
    server.messages.map(({ sender, octets }) => [sender, octets]),
    [
      ['', 0],
      ['', 7],
    ],
  );
});

for (const size of [1, 4, 200]) {
  test(`takes a message by BDAT, whose octets are nothing but octets, said ${size} at a time`, async (t) => {
    const server = await serve(t);
    const heard = await server.talk(
      'EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 9\r\n\r\n.\r\nQUITBDAT 3\r\nabcBDAT 0 LAST\r\nQUIT\r\n',
      size,
    );
    assert.deepEqual(replies(heard).slice(-3), [
      '250 2.6.0 CHUNK received OK, 9 octets',
      '250 2.6.0 CHUNK received OK, 3 octets',
      '250 2.6.0  <MAIL00000001@mail.example.com> Queued mail for delivery',
    ]);
    assert.deepEqual(
      server.messages.map((message) => message.octets),
      [12],
    );
  });
}

test('swallows a chunk that it has no recipient for', async (t) => {
  const server = await serve(t);
  const heard = replies(await server.talk('MAIL FROM:<a@b.example>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\nQUIT\r\n'));
  assert.deepEqual(heard.slice(1), ['503 5.5.2 Need Rcpt command.', '250 2.0.0 OK']);
  assert.deepEqual(server.messages, []);
});

test('keeps the order of commands, and RSET starts anew', async (t) => {
  const server = await serve(t);
  const said = [
    'RCPT TO:<b@x.example>',
    'DATA',
    'MAIL FROM:<a@b.example>',
    'MAIL FROM:<c@d.example>',
    'DATA',
    'RSET',
    'RCPT TO:<b@x.example>',
    'QUIT',
    '',
  ];
  assert.deepEqual(replies(await server.talk(said.join('\r\n'))), [
    '503 5.5.2 Need mail command.',
    '503 5.5.2 Need mail command.',
    '250 2.1.0 a@b.example....Sender OK',
    '503 5.5.2 Sender already specified',
    '503 5.5.2 Need Rcpt command.',
    '250 2.0.0 Resetting',
    '503 5.5.2 Need mail command.',
  ]);
});

test('knows no account: every login fails, in every mechanism', async (t) => {
  const server = await serve(t);
  const said = [
    'AUTH LOGIN',
    'Z3Vlc3Q=',
    'eA==',
    'AUTH LOGIN Z3Vlc3Q=',
    '*',
    'X-EXPS NTLM',
    'TlRMTVNTUAA=',
    'QUIT',
    '',
  ];
  assert.deepEqual(replies(await server.talk(said.join('\r\n'))), [
    '334 VXNlcm5hbWU6',
    '334 UGFzc3dvcmQ6',
    '535 5.7.3 Authentication unsuccessful.',
    '334 UGFzc3dvcmQ6',
    '535 5.7.3 Authentication unsuccessful.',
    '334 NTLM supported',
    '535 5.7.3 Authentication unsuccessful.',
  ]);
});

test('asks for a login before XEXCH50, so that no binary follows', async (t) => {
  const server = await serve(t);
  assert.deepEqual(replies(await server.talk('XEXCH50 10 2\r\nNOOP\r\nQUIT\r\n')), [
    '504 5.7.0 Need to authenticate first',
    '250 2.0.0 OK',
  ]);
});

test('hangs up on a line without an end', async (t) => {
  const server = await serve(t);
  const heard = await server.talk('A'.repeat(65_537));
  assert.ok(heard.endsWith('500 5.3.3 Line too long\r\n'));
});

test('close ends the sessions that are still open', async () => {
  const server = await startOldExchange({ host: '127.0.0.1', port: 0, onMessage: () => {} });
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'data');
  const gone = once(socket, 'close');
  await server.close();
  await gone;
});

describe('with a house of its own', () => {
  const accounts = new Map([['alice@example.com', 'secret']]);

  /** Speaks from an address of the office's network, to a port of the server there. */
  async function inHouse(
    t: TestContext,
    house: House,
    from: string,
    port: number,
    ...said: string[]
  ): Promise<string[]> {
    const server = await startOldExchange({ host: '127.0.0.1', port: 0, onMessage: () => {}, house, proxied: true });
    t.after(() => server.close());
    const socket = connect(server.port, '127.0.0.1');
    let heard = '';
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
    });
    const ended = once(socket, 'close');
    socket.write(`PROXY TCP4 ${from} 10.0.0.10 50000 ${port}\r\n`);
    for (const line of said) socket.write(`${line}\r\n`);
    socket.write('QUIT\r\n');
    await ended;
    return heard.split('\r\n').filter((line) => /^\d{3} /.test(line));
  }

  const ask = (...more: string[]): string[] => [
    ...['HELO c', ...more, 'MAIL FROM:<a@b.example>', 'RCPT TO:<u@example.com>', 'RCPT TO:<x@foreign.example>'],
  ];
  const login = ['AUTH LOGIN', 'YWxpY2VAZXhhbXBsZS5jb20=', 'c2VjcmV0'];
  const last = (replies: string[]): string => replies.at(-2) as string;

  for (const [server, name] of [
    [exchange2003.OPEN, 'open'],
    [exchange2003.CLOSED, 'closed'],
    [exchange2003.devicesOf('10.0.0.9'), 'for one address'],
  ] as const)
    test(`Exchange 2003 relays as its lists say: ${name}`, async (t) => {
      const log = new SmtpsvcLog(
        () => NOW,
        0,
        () => 'SMTPSVC1',
      );
      const house = exchange2003.houseOf([server], ['example.com'], accounts, log);
      const relays = async (from: string, ...more: string[]): Promise<boolean> => {
        const reply = last(await inHouse(t, house, from, server.port, ...ask(...more)));
        assert.match(reply, /^250 2\.1\.5 |^550 5\.7\.1 Unable to relay for x@foreign\.example$/);
        return reply.startsWith('250');
      };
      assert.equal(await relays('203.0.113.7'), name === 'open');
      assert.equal(await relays('10.0.0.9'), name !== 'closed');
      assert.equal(await relays('203.0.113.7', ...login), name !== 'for one address');
      assert.doesNotMatch([...log.files.values()].join(), /AUTH|c2VjcmV0/);
    });

  test('Exchange 2010 chooses a connector by port and narrowest range, and writes down what the session may do', async (t) => {
    const connectors = exchange2010.closedFor('10.0.0.9');
    const log = new ReceiveLog(() => NOW, exchange2010.factsIn(connectors), Number.POSITIVE_INFINITY);
    const house = exchange2010.houseOf(connectors, ['example.com'], accounts, log);
    const from = async (address: string, port: number, ...more: string[]): Promise<string> =>
      last(await inHouse(t, house, address, port, ...ask(...more)));
    assert.equal(await from('203.0.113.7', 25), '550 5.7.1 Unable to relay');
    assert.equal(await from('10.0.0.9', 25), '550 5.7.1 Unable to relay');
    assert.equal(await from('10.0.0.9', 2525), '250 2.1.5 Recipient OK');
    assert.equal(await from('192.168.1.101', 25), '250 2.1.5 Recipient OK');
    assert.equal(await from('192.168.1.102', 25), '550 5.7.1 Unable to relay');
    assert.equal(await from('203.0.113.7', 25, ...login), '250 2.1.5 Recipient OK');
    const [anonymous = ''] = await inHouse(t, house, '203.0.113.7', 587, 'HELO c', 'MAIL FROM:<a@b.example>').then(
      (all) => all.slice(-2),
    );
    assert.equal(anonymous, '530 5.7.1 Client was not authenticated');
    const text = [...log.files.values()].join();
    assert.match(text, /EX10\\Devices through Postern,.*SMTPAcceptAnyRecipient,Set Session Permissions/);
    assert.match(text, /,<,AUTH LOGIN,\r\n.*,>,334 <authentication response>,\r\n/);
    assert.doesNotMatch(text, /c2VjcmV0|secret/);
  });

  test('a connection that does not say where it comes from is ended', async (t) => {
    const server = await startOldExchange({ host: '127.0.0.1', port: 0, onMessage: () => {}, proxied: true });
    t.after(() => server.close());
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    const ended = once(socket, 'close');
    socket.write('EHLO me\r\n');
    await ended;
  });
});
