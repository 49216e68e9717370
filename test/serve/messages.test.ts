// The line for each message that the server answered: what is in it, and where it goes.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openFirewall, startPostern } from '../helpers/postern.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';

type Entry = Readonly<Record<string, unknown>>;

let upstream = 0;
before(async () => {
  const server = createServer(serve);
  server.unref();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  upstream = (server.address() as AddressInfo).port;
});

/** A server that knows who is unknown to it, and refuses the messages of one sender at their end and of another at DATA. */
function serve(socket: Socket): void {
  let text = '';
  let sender = '';
  let inData = false;
  let octets = 0; // of a chunk, still to come
  let last = false;
  const say = (reply: string) => socket.write(`${reply}\r\n`);
  const end = () => say(sender.includes('late') ? '451 4.7.1 Come later' : `250 2.0.0 Ok: queued as ${sender}`);
  const answer = (line: string) => {
    const [verb, size, ending] = line.split(' ') as [string, string, string];
    if (verb === 'EHLO')
      say(
        '250-mx.local.example\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250-XFORWARD NAME ADDR\r\n250 CHUNKING',
      );
    else if (verb === 'MAIL') {
      sender = /<(.*?)@/.exec(line)?.[1] ?? '';
      say('250 2.1.0 Ok');
    } else if (verb === 'RCPT') say(line.includes('unknown') ? '550 5.1.1 User unknown' : '250 2.1.5 Ok');
    else if (verb === 'DATA') {
      inData = sender !== 'nodata';
      say(inData ? '354 Go on' : '554 5.7.0 No');
    } else if (verb === 'BDAT') {
      octets = Number(size);
      last = ending === 'LAST';
    } else say(verb === 'QUIT' ? '221 Bye' : '250 2.0.0 Ok');
  };
  socket.on('error', () => socket.destroy());
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk;
    for (;;) {
      if (octets > 0) {
        if (text.length < octets) return;
        text = text.slice(octets);
        octets = 0;
        if (last) end();
        else say('250 2.0.0 chunk');
      }
      const mark = inData ? '\r\n.\r\n' : '\r\n';
      const at = text.indexOf(mark);
      if (at === -1) return;
      const line = text.slice(0, at);
      text = text.slice(at + mark.length);
      if (!inData) answer(line);
      else {
        inData = false;
        end();
      }
    }
  });
  say('220 mx.local.example ESMTP');
}

function config(more: object = {}, upstreamMore: object = {}): Record<string, unknown> {
  return {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${upstream}`], ...upstreamMore },
    admin: null,
    lost_address_guard: 'warn',
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [
        {
          name: 'internet',
          remote_ip_ranges: ['any'],
          rules: [{ name: 'partners', allow: { recipient_domains: ['partner.example'] } }],
        },
      ],
    },
    ...more,
  };
}

/** Says each step, and waits for so many replies. */
async function talk(port: number, ...steps: (readonly [text: string, replies: number])[]): Promise<void> {
  const client = new SmtpClient(port);
  await client.reply();
  for (const [text, replies] of [['EHLO client.example\r\n', 1] as const, ...steps, ['QUIT\r\n', 1] as const]) {
    await client.write(Buffer.from(text, 'latin1'));
    for (let i = 0; i < replies; i++) assert.ok(await client.reply(), text);
  }
  await client.end();
  client.destroy();
}

/** The message lines of what is said, without what differs from run to run. */
async function messagesOf(
  settings: Record<string, unknown>,
  ...steps: (readonly [text: string, replies: number])[]
): Promise<Entry[]> {
  const firewall = await openFirewall(settings);
  await talk(firewall.port, ...steps);
  await firewall.close();
  return messagesIn(firewall.logs);
}

function messagesIn(lines: readonly string[], said = 'message'): Entry[] {
  return lines
    .map((line) => JSON.parse(line) as Entry)
    .filter(({ msg }) => msg === said)
    .map((entry) => ({
      ...entry,
      time: '',
      client_port: 0,
      server: String(entry.server).replace(/\d+$/, '25'),
      seconds: 0,
    }));
}

const BODY = 'Subject: x\r\n\r\n..dot\r\n.\r\n';
const local = { decision: 'proceed', reason: 'accepted_domain', answer: 'accepted', reply: '250 2.1.5 Ok' };
const relayed = { ...local, reason: 'rule', rule: 'partners' };

const to = (recipient: string): string => `RCPT TO:<${recipient}>\r\n`;
const from = (sender: string): string => `MAIL FROM:<${sender}@sender.example>\r\n`;

describe('the line of a message', () => {
  it('has who sent it, each recipient with its rule and answer, and the final reply with its queue id', async () => {
    const [line, ...others] = await messagesOf(
      config(),
      [`${from('a')}${to('bob@local.example')}${to('x@foreign.example')}${to('unknown@local.example')}DATA\r\n`, 5],
      [BODY, 1],
    );
    assert.deepEqual(others, []);
    assert.deepEqual(line, {
      level: 'info',
      time: '',
      session: 1,
      client_address: '127.0.0.1',
      client_port: 0,
      connector: 'internet',
      helo_name: 'client.example',
      sender: 'a@sender.example',
      recipients: [
        { recipient: 'bob@local.example', ...local },
        { recipient: 'unknown@local.example', ...local, answer: 'refused', reply: '550 5.1.1 User unknown' },
        {
          recipient: 'x@foreign.example',
          decision: 'reject',
          reason: 'no_rule',
          reply: '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied',
        },
      ],
      server: '127.0.0.1:25',
      relayed: false,
      octets: BODY.length - '.\r\n'.length,
      seconds: 0,
      answer: 'accepted',
      reply: '250 2.0.0 Ok: queued as a',
      msg: 'message',
    });
  });

  it('says of one that the server refuses at its end, or at DATA, that it did', async () => {
    const lines = await messagesOf(
      config(),
      [`${from('late')}${to('bob@local.example')}DATA\r\n`, 3],
      [BODY, 1],
      [`${from('nodata')}${to('bob@local.example')}DATA\r\n`, 3],
    );
    assert.deepEqual(
      lines.map(({ sender, answer, reply, octets, relayed: passed }) => [sender, answer, reply, octets, passed]),
      [
        ['late@sender.example', 'deferred', '451 4.7.1 Come later', BODY.length - 3, false],
        ['nodata@sender.example', 'refused', '554 5.7.0 No', 0, false],
      ],
    );
    assert.deepEqual(lines[0]?.recipients, [{ recipient: 'bob@local.example', ...local }]);
  });

  it('names the recipients that the server took of a message that had no end, given up or cut short', async () => {
    const unended = async (log: object): Promise<[unknown, unknown][]> => {
      const firewall = await openFirewall(config({ log }));
      await talk(firewall.port, [`${from('a')}${to('x@partner.example')}${to('unknown@local.example')}RSET\r\n`, 4]);
      await talk(firewall.port, [`${from('b')}${to('bob@local.example')}`, 2]);
      await talk(firewall.port, [`${from('c')}${to('unknown@local.example')}${to('x@foreign.example')}`, 3]);
      await talk(firewall.port, [`${from('d')}${to('bob@local.example')}DATA\r\n`, 3], [BODY, 1]);
      await talk(firewall.port, [`${from('nodata')}${to('bob@local.example')}DATA\r\n`, 3]);
      await firewall.close();
      return messagesIn(firewall.logs, 'message not ended').map(({ sender, recipients }) => [sender, recipients]);
    };
    const unknown = { ...local, answer: 'refused', reply: '550 5.1.1 User unknown' };
    const given = [
      { recipient: 'x@partner.example', ...relayed },
      { recipient: 'unknown@local.example', ...unknown },
    ];
    const all = [
      ['a@sender.example', given],
      ['b@sender.example', [{ recipient: 'bob@local.example', ...local }]],
    ];
    assert.deepEqual(await unended({}), all);
    assert.deepEqual(await unended({ messages: 'relayed' }), all.slice(0, 1));
    assert.deepEqual(await unended({ messages: 'none' }), []);
  });

  it('is not said to have no end where the server took nobody behind its answer', async () => {
    const unended = async (more: string): Promise<unknown[]> => {
      const firewall = await openFirewall(config());
      await talk(
        firewall.port,
        [`${from('nodata')}${to('bob@local.example')}DATA\r\n`, 3],
        [`${to(`${more}@local.example`)}RSET\r\n`, 2],
      );
      await firewall.close();
      return messagesIn(firewall.logs, 'message not ended').map(({ recipients }) => (recipients as object[]).length);
    };
    assert.deepEqual(await unended('unknown'), []);
    assert.deepEqual(await unended('carol'), [2]);
  });

  it('says of one without an end who the client was when its recipients were judged', async () => {
    const firewall = await openFirewall(config());
    await talk(firewall.port, [`${from('a')}${to('bob@local.example')}RSET\r\n`, 3], ['EHLO other.example\r\n', 1]);
    await firewall.close();
    assert.deepEqual(
      messagesIn(firewall.logs, 'message not ended').map(({ helo_name }) => helo_name),
      ['client.example'],
    );
  });

  it('counts the octets of all chunks of BDAT', async () => {
    const lines = await messagesOf(
      config(),
      [`${from('a')}${to('x@partner.example')}`, 2],
      ['BDAT 5\r\n12345', 1],
      ['BDAT 3 LAST\r\n123', 1],
    );
    assert.deepEqual(
      lines.map(({ sender, octets, relayed: passed, reply }) => [sender, octets, passed, reply]),
      [['a@sender.example', 8, true, '250 2.0.0 Ok: queued as a']],
    );
    assert.deepEqual(lines[0]?.recipients, [{ recipient: 'x@partner.example', ...relayed }]);
  });

  it('has only the recipients of its own transaction, however it is pipelined', async () => {
    const lines = await messagesOf(
      config(),
      [
        `${from('a')}${to('x@partner.example')}${to('unknown@local.example')}RSET\r\n${from('b')}${to('bob@local.example')}DATA\r\n`,
        7,
      ],
      [BODY, 1],
      [`${from('c')}${to('carol@local.example')}DATA\r\n`, 3],
      [BODY, 1],
    );
    assert.deepEqual(
      lines.map(({ sender, recipients, relayed: passed }) => [sender, recipients, passed]),
      [
        ['b@sender.example', [{ recipient: 'bob@local.example', ...local }], false],
        ['c@sender.example', [{ recipient: 'carol@local.example', ...local }], false],
      ],
    );
  });

  it('is the same where the server is told with XFORWARD who the client is', async () => {
    const lines = await messagesOf(
      config({}, { identity: 'xforward' }),
      [`${from('a')}${to('bob@local.example')}DATA\r\n`, 3],
      [BODY, 1],
    );
    assert.deepEqual(
      lines.map(({ sender, recipients, reply }) => [sender, recipients, reply]),
      [['a@sender.example', [{ recipient: 'bob@local.example', ...local }], '250 2.0.0 Ok: queued as a']],
    );
  });

  it('names a hundred recipients and counts the others', async () => {
    const many = Array.from({ length: 130 }, (_, i) => to(`${i}@local.example`)).join('');
    const few = Array.from({ length: 15 }, (_, i) => to(`${i}@foreign.example`)).join('');
    const [line] = await messagesOf(config(), [`${from('a')}${few}${many}`, 146], ['DATA\r\n', 1], [BODY, 1]);
    const recipients = line?.recipients as { recipient: string; answer: string }[];
    assert.equal(recipients.length, 105);
    assert.equal(recipients[99]?.recipient, '99@local.example');
    assert.equal(recipients[100]?.recipient, '0@foreign.example');
    assert.equal(line?.recipients_untold, 40);
  });

  it('says in observe of what a limit would have refused whether it was relayed: that is the domain, and not the limit', async () => {
    const limits = { source: { recipient_rate: '1/1h' }, session: { recipients_per_message: 2 } };
    const lines = await messagesOf(
      config({ mode: 'observe', limits }),
      [`${from('a')}${to('bob@local.example')}DATA\r\n`, 3],
      [BODY, 1],
      [`${from('b')}${to('bob@local.example')}${to('carol@LOCAL.example')}${to('dave@local.example')}DATA\r\n`, 5],
      [BODY, 1],
      [`${from('c')}${to('x@partner.example')}${to('bob@local.example')}DATA\r\n`, 4],
      [BODY, 1],
    );
    assert.deepEqual(
      lines.map(({ sender, relayed, recipients }) => [
        sender,
        relayed,
        (recipients as Entry[]).map(({ decision, reason }) => `${decision} ${reason}`),
      ]),
      [
        ['a@sender.example', false, ['proceed accepted_domain']],
        ['b@sender.example', false, Array(3).fill('would_reject limit')],
        ['c@sender.example', true, Array(2).fill('would_reject limit')],
      ],
    );
  });

  it('is written for all, for relayed ones, or for none, as log.messages says', async () => {
    const counts: number[] = [];
    for (const messages of ['all', 'relayed', 'none']) {
      const lines = await messagesOf(
        config({ log: { messages } }),
        [`${from('a')}${to('bob@local.example')}DATA\r\n`, 3],
        [BODY, 1],
        [`${from('a')}${to('x@partner.example')}DATA\r\n`, 3],
        [BODY, 1],
        [`${from('late')}${to('x@partner.example')}DATA\r\n`, 3],
        [BODY, 1],
      );
      counts.push(lines.length);
    }
    assert.deepEqual(counts, [3, 1, 0]);
  });
});

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-messages-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const relay = (sender: string) =>
  [
    [`${from(sender)}${to('x@partner.example')}DATA\r\n`, 3],
    [BODY, 1],
  ] as const;

async function until<T>(look: () => T | undefined): Promise<T> {
  for (let waited = 0; waited < 10_000; waited += 20) {
    const found = look();
    if (found !== undefined) return found;
    await sleep(20);
  }
  throw new Error('it did not come');
}

/** The senders of the messages in a file; none where it is not there. */
function sendersIn(file: string): string[] {
  try {
    return messagesIn(readFileSync(file, 'utf8').split('\n').filter(Boolean)).map(({ sender }) => String(sender));
  } catch {
    return [];
  }
}

describe('the file for relayed mail', () => {
  it('has relayed messages alone, whatever the log leaves out, and goes on in a new file at SIGHUP', async (t) => {
    const file = join(folderOf(t), 'relayed.log');
    const log = { level: 'warn', messages: 'none', relayed_file: file };
    const postern = await startPostern(config({ log }));
    await talk(postern.port, ...relay('one'), [`${from('a')}${to('bob@local.example')}DATA\r\n`, 3], [BODY, 1]);
    await until(() => sendersIn(file)[0]);
    renameSync(file, `${file}.1`);
    await talk(postern.port, ...relay('two')); // nobody has said yet that it was moved
    await until(() => sendersIn(`${file}.1`)[1]);
    process.kill(postern.pid, 'SIGHUP');
    await until(() => {
      try {
        return readFileSync(file);
      } catch {
        return undefined;
      }
    });
    await talk(postern.port, ...relay('three'));
    await postern.close();
    assert.deepEqual(sendersIn(`${file}.1`), ['one@sender.example', 'two@sender.example']);
    assert.deepEqual(sendersIn(file), ['three@sender.example']);
    assert.deepEqual(messagesIn(postern.logs), []);
  });

  it('has those of all workers, each line whole', async (t) => {
    const file = join(folderOf(t), 'relayed.log');
    const postern = await startPostern(config({ workers: 2, log: { relayed_file: file } }));
    const senders = Array.from({ length: 40 }, (_, i) => `s${i}`);
    await Promise.all(senders.map((sender) => talk(postern.port, ...relay(sender), ...relay(`${sender}b`))));
    await postern.close();
    const expected = senders.flatMap((sender) => [`${sender}@sender.example`, `${sender}b@sender.example`]).sort();
    assert.deepEqual(sendersIn(file).sort(), expected);
    const logged = messagesIn(postern.logs);
    assert.deepEqual(logged.map(({ sender }) => sender).sort(), expected);
    assert.deepEqual([...new Set(logged.map(({ worker }) => worker))].sort(), [1, 2]);
  });

  it('that cannot be written costs lines and no mail', { skip: process.platform !== 'linux' }, async () => {
    const postern = await startPostern(config({ admin: undefined, log: { relayed_file: '/dev/full' } }));
    for (let i = 0; i < 20; i++) await talk(postern.port, ...relay(`s${i}`));
    await postern.close();
    assert.equal(messagesIn(postern.logs).filter(({ relayed: passed }) => passed).length, 20);
  });

  it('that cannot be opened anew stays the one that is open, and the log says so', async (t) => {
    const folder = folderOf(t);
    const file = join(folder, 'relayed.log');
    const postern = await startPostern(config({ log: { relayed_file: file } }));
    renameSync(file, `${file}.1`);
    mkdirSync(file); // a folder stands in its place
    process.kill(postern.pid, 'SIGHUP');
    await until(() => postern.logs.find((line) => line.includes('log.relayed_file could not be opened anew')));
    await talk(postern.port, ...relay('one'));
    await postern.close();
    assert.deepEqual(sendersIn(`${file}.1`), ['one@sender.example']);
  });

  it('that cannot be opened at the start is told in a sentence', async (t) => {
    const file = join(folderOf(t), 'plain');
    writeFileSync(file, '');
    await assert.rejects(
      startPostern(config({ log: { relayed_file: join(file, 'relayed.log') } })),
      /cannot open .*plain\/relayed\.log \(log\.relayed_file\): ENOTDIR/,
    );
  });
});
