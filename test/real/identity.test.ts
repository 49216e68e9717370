// Who the server believes the client is. Postfix and Exim behind Postern tell in their trace field and their log, which a
// proxy cannot fake: the client's own address, IPv4 or IPv6, and the HELO that the client itself said.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import type { Bed } from './beds/bed.ts';
import { missingServer } from './beds/bed.ts';
import { startExim } from './beds/exim.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { Authority } from './certificates.ts';
import { Client } from './client.ts';
import { assertArrived, makeMessage, RECIPIENT, SENDER, stuffed } from './messages.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { type Message, Sink } from './sink.ts';
import { missing } from './tools.ts';

const NEAR = '127.0.0.31';
const FAR = '203.0.113.9';
const FAR_IPV6 = '2001:db8::7';

let sink: Sink;

/** An open session of a client at this address, up to its EHLO, and what that was answered. */
async function open(postern: ConfiguredPostern, from: string): Promise<{ client: Client; offered: string }> {
  const near = from.startsWith('127.');
  const client = new Client(postern.ports[near ? 0 : 1] as number, near ? from : undefined);
  if (!near) {
    const ipv6 = from.includes(':');
    client.write(`PROXY ${ipv6 ? `TCP6 ${from} 2001:db8::1` : `TCP4 ${from} 192.0.2.1`} 40000 25\r\n`);
  }
  assert.match(await client.reply(), /^220 /);
  return { client, offered: await client.say('EHLO client.example') };
}

/** Hands in one message in this session; as it arrived. */
async function send(client: Client): Promise<Message> {
  const { mark, content } = makeMessage();
  assert.match(await client.say(`MAIL FROM:<${SENDER}>`), /^250/);
  assert.match(await client.say(`RCPT TO:<${RECIPIENT}>`), /^250/);
  assert.match(await client.say('DATA'), /^354/);
  client.write(`${stuffed(content)}.\r\n`);
  assert.match(await client.reply(), /^250/);
  const [message] = await sink.arrival(mark, [RECIPIENT]);
  assertArrived(message, content);
  return message as Message;
}

async function sendFrom(postern: ConfiguredPostern, from: string): Promise<Message> {
  const { client, offered } = await open(postern, from);
  try {
    assert.doesNotMatch(offered, /XCLIENT|XFORWARD/);
    return await send(client);
  } finally {
    client.close();
  }
}

const postfixSays = (address: string) =>
  `Received: from client.example (unknown [${address.includes(':') ? 'IPv6:' : ''}${address}])`;
const eximSays = (address: string) => `Received: from [${address}] (helo=client.example)`;

interface Case {
  readonly name: string;
  readonly received: (address: string) => string;
  /** Lines of Postfix's for this port; null is Exim. */
  readonly postfix: readonly string[] | null;
  readonly upstream: (ca: string) => object;
}

const XCLIENT = ['smtpd_authorized_xclient_hosts = 127.0.0.1'];
const HAPROXY = ['smtpd_upstream_proxy_protocol = haproxy'];

const CASES: readonly Case[] = [
  {
    name: 'no identity, Postfix',
    received: () => postfixSays('127.0.0.1'),
    postfix: [],
    upstream: () => ({}),
  },
  {
    name: 'XCLIENT to Postfix',
    received: postfixSays,
    postfix: XCLIENT,
    upstream: () => ({ identity: 'xclient' }),
  },
  {
    name: 'XCLIENT to Postfix inside STARTTLS',
    received: postfixSays,
    postfix: XCLIENT,
    upstream: (ca) => ({ identity: 'xclient', tls: { mode: 'require', ca } }),
  },
  {
    name: 'a PROXY header of version 1 to Postfix',
    received: postfixSays,
    postfix: HAPROXY,
    upstream: () => ({ identity: 'proxy-v1' }),
  },
  {
    name: 'a PROXY header of version 2 to Postfix, then STARTTLS',
    received: postfixSays,
    postfix: HAPROXY,
    upstream: (ca) => ({ identity: 'proxy-v2', tls: { mode: 'require', ca } }),
  },
  {
    name: 'a PROXY header of version 2 to Postfix, then TLS at once',
    received: postfixSays,
    postfix: [...HAPROXY, 'smtpd_tls_wrappermode = yes'],
    upstream: (ca) => ({ identity: 'proxy-v2', tls: { mode: 'implicit', ca } }),
  },
  {
    name: 'a PROXY header of version 1 to Exim',
    received: eximSays,
    postfix: null,
    upstream: () => ({ identity: 'proxy-v1' }),
  },
  {
    name: 'a PROXY header of version 2 to Exim',
    received: eximSays,
    postfix: null,
    upstream: () => ({ identity: 'proxy-v2' }),
  },
];

const missingExim = missingServer('exim4-daemon-heavy');

suite('who the server believes the client is', {
  concurrency: 2,
  skip: missing(['openssl']) || postfix.missing,
}, () => {
  let authority: Authority;
  let server: Bed;
  let behindProxy: Bed | null = null;
  const ports = new Map<string, number>();

  before(async () => {
    authority = new Authority();
    sink = await Sink.start();
    const { cert, key } = authority.issue(['mail.local.example', 'IP:127.0.0.1']);
    const lines = new Map<number, readonly string[]>();
    const listen = async (name: string, settings: readonly string[]) => {
      const port = await freePort();
      ports.set(name, port);
      lines.set(port, settings);
    };
    for (const each of CASES) if (each.postfix !== null) await listen(each.name, each.postfix);
    await listen('judging', [...XCLIENT, `smtpd_client_restrictions = check_client_access inline:{ ${FAR}=REJECT }`]);
    await listen('IPv4 only', [...XCLIENT, 'inet_protocols = ipv4', 'mynetworks = 0.0.0.0/0']);
    await listen('forwarding', ['smtpd_authorized_xforward_hosts = 127.0.0.1']);
    const main = [
      'inet_protocols = all', // or it does not believe in IPv6 clients
      'mynetworks = 0.0.0.0/0 [::]/0',
      `smtpd_tls_cert_file = ${cert}`,
      `smtpd_tls_key_file = ${key}`,
      'smtpd_tls_security_level = may',
    ];
    server = await startPostfix(sink.port, await freePort(), { main, ports: lines });
    if (missingExim !== false) return;
    behindProxy = await startExim(sink.port, await freePort(), {
      package: 'exim4-daemon-heavy',
      main: ['hosts_proxy = 127.0.0.1', 'tls_advertise_hosts ='],
    });
  });
  after(async () => {
    await behindProxy?.stop();
    await server?.stop();
    await sink?.stop();
  });

  /** The second listener wants a PROXY header, so that a test can come from anywhere. */
  async function behind(port: number | undefined, upstream: object): Promise<ConfiguredPostern> {
    return startConfigured({
      listeners: [{}, { proxy_protocol: { from: ['127.0.0.1/32'] } }],
      upstream: { servers: [`127.0.0.1:${port}`], ...upstream },
    });
  }

  for (const each of CASES) {
    suite(each.name, { concurrency: false, skip: each.postfix === null && missingExim }, () => {
      let postern: ConfiguredPostern;
      before(async () => {
        const port = each.postfix === null ? behindProxy?.port : ports.get(each.name);
        postern = await behind(port, each.upstream(authority.cert));
      });
      after(() => postern?.stop());

      for (const address of [NEAR, FAR, FAR_IPV6]) {
        test(`a client at ${address}, with its own HELO`, async () => {
          const { content } = await sendFrom(postern, address);
          assert.ok(content.startsWith(each.received(address)), content.slice(0, 200));
        });
      }
    });
  }

  test('XCLIENT to Postfix that judges by address: one client is refused by it, another is not', async () => {
    const postern = await behind(ports.get('judging'), { identity: 'xclient' });
    try {
      const { client } = await open(postern, FAR);
      await client.say(`MAIL FROM:<${SENDER}>`);
      assert.match(await client.say(`RCPT TO:<${RECIPIENT}>`), /^554 5\.7\.1 .*203\.0\.113\.9.* rejected/);
      client.close();
      await sendFrom(postern, NEAR);
    } finally {
      await postern.stop();
    }
  });

  for (const [what, name, address] of [
    ['does not offer it', 'no identity, Postfix', NEAR],
    ['knows no IPv6', 'IPv4 only', FAR_IPV6],
  ] as const) {
    test(`XCLIENT to Postfix that ${what}: mail goes through as from us, and the log warns`, async () => {
      const postern = await behind(ports.get(name), { identity: 'xclient' });
      try {
        const { content } = await sendFrom(postern, address);
        assert.ok(content.startsWith(postfixSays('127.0.0.1')), content.slice(0, 200));
        await postern.logged(/does not offer to be told who the client is/, { level: 'warn' });
      } finally {
        await postern.stop();
      }
    });
  }

  test('XFORWARD to Postfix: its log names the client with every message of a session', async () => {
    const postern = await behind(ports.get('forwarding'), { identity: 'xforward' });
    try {
      for (const address of [NEAR, FAR, FAR_IPV6]) {
        const { client, offered } = await open(postern, address);
        assert.doesNotMatch(offered, /XFORWARD/);
        for (const count of [1, 2]) {
          await send(client);
          assert.equal(server.log().split(`orig_client=unknown[${address}]`).length - 1, count, server.log());
        }
        client.close();
      }
    } finally {
      await postern.stop();
    }
  });
});
