import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { before, describe, it, type TestContext } from 'node:test';
import { TLSSocket } from 'node:tls';
import type { Endpoint } from '../../src/proxy/address.ts';
import { type Answer, Call, type Caller, type CallSettings } from '../../src/proxy/call.ts';
import { SocketStream } from '../../src/proxy/socket-stream.ts';
import { type Made, UpstreamTls, type UpstreamTlsOptions } from '../../src/proxy/upstream-tls.ts';
import { CALLER } from '../helpers/identity.ts';
import { Authority, type Certificate } from '../real/certificates.ts';
import { holdClock } from './clock.ts';
import { settled } from './peer.ts';
import { type ToldServerOptions, toldServer } from './told-server.ts';

const LONG = 60_000;

let authority: Authority;
let ours: Certificate;
let addressed: Certificate;

before(() => {
  authority = new Authority();
  ours = authority.issue(['mail.example']);
  addressed = authority.issue(['IP:127.0.0.1']);
});

const PLAIN: CallSettings = {
  connectWithin: LONG,
  greetWithin: LONG,
  tls: null,
  identity: 'none',
  ourName: 'postern.example',
};

function tls(options: Partial<UpstreamTlsOptions> = {}): UpstreamTls {
  const ca = readFileSync(authority.cert, 'latin1');
  const wanted: UpstreamTlsOptions = {
    mode: 'require',
    minVersion: 'TLSv1.2',
    ca,
    verify: true,
    pins: [],
    name: 'mail.example',
    key: 'upstreams.relay.tls',
  };
  return new UpstreamTls({ ...wanted, ...options });
}

interface Outcome {
  readonly answer: Answer | null;
  readonly why: string | null;
  readonly inTls: boolean;
  readonly unidentified: boolean;
}

function call(
  t: TestContext,
  at: Endpoint,
  settings: Partial<CallSettings>,
  caller: Caller | null = CALLER,
): Promise<Outcome> {
  return new Promise((resolve) => {
    let unidentified = false;
    const end = (outcome: Partial<Outcome>): void =>
      resolve({ answer: null, why: null, inTls: false, ...outcome, unidentified });
    const one = new Call(
      at,
      caller,
      { ...PLAIN, ...settings },
      {
        connected: () => {},
        unidentified: () => {
          unidentified = true;
        },
        answered: (answer) => {
          t.after(() => answer.stream?.destroy());
          end({ answer });
        },
        silent: () => {},
        failed: ({ why, inTls }) => end({ why, inTls }),
      },
    );
    t.after(() => one.giveUp());
  });
}

const GREETING = '220 told.example ESMTP\r\n';

async function greeted(t: TestContext, server: ToldServerOptions, settings: Partial<CallSettings>) {
  const { at, heard, names, proxyHeaders } = await toldServer(t, server);
  const { answer, why, unidentified } = await call(t, at, settings);
  assert.equal(why, null);
  return { greeting: answer?.greeting.toString('latin1'), answer, heard: heard[0], unidentified, names, proxyHeaders };
}

async function failure(t: TestContext, server: ToldServerOptions, settings: Partial<CallSettings>): Promise<string> {
  const { at, heard } = await toldServer(t, server);
  const { why, inTls } = await call(t, at, settings);
  assert.ok(
    heard[0]?.every((line) => /^(\(TLS\)|EHLO .*|STARTTLS)$/.test(line)),
    'nothing of a client is said',
  );
  return `${inTls ? 'TLS: ' : ''}${why}`;
}

describe('a call in clear text', () => {
  it('says nothing and hands the greeting over', async (t) => {
    const { greeting, heard } = await greeted(t, {}, {});
    assert.equal(greeting, GREETING);
    assert.deepEqual(heard, []);
  });
});

describe('a call with STARTTLS', () => {
  const offers = { keywords: ['PIPELINING', 'STARTTLS'] };

  it('is inside TLS when it hands over, with the greeting of outside', async (t) => {
    const { greeting, answer, heard, names } = await greeted(t, { ...offers, certificate: ours }, { tls: tls() });
    assert.equal(greeting, GREETING);
    assert.ok(answer?.stream);
    assert.deepEqual(heard, ['EHLO postern.example', 'STARTTLS', '(TLS)']);
    while (names.length === 0) await settled();
    assert.deepEqual(names, ['mail.example']);
  });

  it('calls itself by the address of its end where the host has no full name', async (t) => {
    const { heard } = await greeted(t, { ...offers, certificate: ours }, { tls: tls(), ourName: null });
    assert.equal(heard?.[0], 'EHLO [127.0.0.1]');
  });

  it('that is required fails where it is not offered or refused, and where the handshake fails', async (t) => {
    assert.equal(await failure(t, {}, { tls: tls() }), 'it does not offer STARTTLS');
    assert.equal(await failure(t, { replies: { EHLO: '502 what' } }, { tls: tls() }), 'it does not offer STARTTLS');
    for (const code of ['454 4.7.0', '501', '250']) {
      const replies = { STARTTLS: `${code} no` };
      assert.equal(
        await failure(t, { ...offers, replies }, { tls: tls() }),
        `it answered STARTTLS with ${code.slice(0, 3)}`,
      );
    }
    assert.match(
      await failure(t, { ...offers, handshake: 'hangs up' }, { tls: tls() }),
      /^TLS: no TLS handshake \(ECONNRESET\): an old server/,
    );
  });

  it('that is only welcome goes on in clear text where it is not offered or refused', async (t) => {
    const welcome = tls({ mode: 'opportunistic', verify: false });
    for (const server of [
      {},
      { replies: { EHLO: '500 what' } },
      { ...offers, replies: { STARTTLS: '454 4.7.0 no' } },
    ]) {
      const { greeting, heard } = await greeted(t, server, { tls: welcome });
      assert.equal(greeting, GREETING);
      assert.ok(!heard?.includes('(TLS)'));
    }
  });

  it('fails in time where the handshake does not', async (t) => {
    const clock = holdClock(t);
    const { at, heard } = await toldServer(t, { ...offers, handshake: 'stays silent' });
    const outcome = call(t, at, { tls: tls(), connectWithin: 5_000 });
    while (heard[0]?.at(-1) !== 'STARTTLS') await clock.advance(0);
    await clock.advance(5_000);
    assert.deepEqual(await outcome, {
      answer: null,
      why: 'no TLS handshake in time',
      inTls: true,
      unidentified: false,
    });
  });

  it('gives up a server that says more than 220 in clear text (the twin of CVE-2011-0411)', async (t) => {
    for (const mode of ['require', 'opportunistic'] as const) {
      const server = { ...offers, certificate: ours, injected: '250 2.0.0 ok\r\n' };
      assert.equal(
        await failure(t, server, { tls: tls({ mode }) }),
        'it sent octets in clear text behind its reply to STARTTLS',
      );
    }
  });
});

describe('a call with implicit TLS', () => {
  it('is greeted inside', async (t) => {
    const { greeting, heard } = await greeted(
      t,
      { implicit: true, certificate: ours },
      { tls: tls({ mode: 'implicit' }) },
    );
    assert.equal(greeting, GREETING);
    assert.deepEqual(heard, ['(TLS)']);
  });

  it('to a port that speaks in clear text says so', async (t) => {
    assert.match(
      await failure(t, {}, { tls: tls({ mode: 'implicit' }) }),
      /^TLS: it does not speak TLS there \(ERR_SSL_\w+\): mode implicit is for port 465/,
    );
  });

  it('hears a server that does not want us', async (t) => {
    const server = { implicit: true, certificate: ours, greeting: '421 4.3.2 full' };
    const { at } = await toldServer(t, server);
    const { answer } = await call(t, at, { tls: tls({ mode: 'implicit' }) });
    assert.equal(answer?.stream, null);
    assert.equal(answer?.greeting.toString('latin1'), '421 4.3.2 full\r\n');
  });
});

describe('whom we talk to', () => {
  const secured = (certificate: Certificate): ToldServerOptions => ({ implicit: true, certificate });
  const implicit = (options: Partial<UpstreamTlsOptions>) => ({ tls: tls({ mode: 'implicit', ...options }) });

  it('a certificate for another name is refused, and the names that it has are said', async (t) => {
    assert.equal(
      await failure(t, secured(ours), implicit({ name: 'other.example' })),
      `TLS: its certificate is for DNS:mail.example, not for other.example: set upstreams.relay.tls.name, or pin it, SHA-256 ${ours.fingerprint}`,
    );
  });

  it('a server given by its address must have that in its certificate', async (t) => {
    await greeted(t, secured(addressed), implicit({ name: null }));
    assert.match(
      await failure(t, secured(ours), implicit({ name: null })),
      /is for DNS:mail\.example, not for 127\.0\.0\.1/,
    );
  });

  it('a server given by its name must have that in its certificate, a dot at its end or not', async (t) => {
    const certificate = authority.issue(['localhost']);
    const { at, names } = await toldServer(t, secured(certificate));
    for (const host of ['localhost', 'localhost.', 'other.example']) {
      const plain = connect(at.port, at.address);
      t.after(() => plain.destroy());
      const made = await new Promise<Made>((resolve) =>
        implicit({ name: null }).tls.start(new SocketStream(plain), host, false, resolve),
      );
      assert.equal(made.stream !== null, host !== 'other.example', made.stream === null ? made.why : '');
    }
    while (names.length < 3) await settled();
    assert.deepEqual(names, ['localhost', 'localhost', 'other.example']);
  });

  it('an unknown authority is refused, and how to name it is said', async (t) => {
    assert.match(
      await failure(t, secured(ours), implicit({ ca: null })),
      /^TLS: its certificate is of an authority that is not known here \(\w+\): name that in upstreams\.relay\.tls\.ca, or pin it, SHA-256 [0-9A-F:]{95}$/,
    );
  });

  it('without verification anybody will do', async (t) => {
    await greeted(t, secured(ours), implicit({ ca: null, verify: false, name: 'other.example' }));
  });

  it('a pin takes the place of authority and name, and there may be several', async (t) => {
    const pin = ours.fingerprint.replaceAll(':', '');
    await greeted(t, secured(ours), implicit({ ca: null, name: 'other.example', pins: ['00'.repeat(32), pin] }));
  });

  it('another certificate than the pinned one is refused, and its own fingerprint is said', async (t) => {
    const pins = [addressed.fingerprint.replaceAll(':', '')];
    assert.match(
      await failure(t, secured(ours), implicit({ pins })),
      new RegExp(`^TLS: its certificate is not the pinned one, its SHA-256 is ${ours.fingerprint}: pin`),
    );
  });
});

describe('an old server', () => {
  const old = (): ToldServerOptions => ({
    keywords: ['STARTTLS'],
    certificate: ours,
    secure: { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'AES128-SHA:ECDHE-ECDSA-AES128-SHA@SECLEVEL=0' },
  });

  it('that has TLS 1.0 is reached where the configuration says so', async (t) => {
    const { answer } = await greeted(t, old(), { tls: tls({ minVersion: 'TLSv1' }), asSocket: true });
    const socket = answer?.stream?.toSocket();
    assert.ok(socket instanceof TLSSocket);
    t.after(() => socket.destroy());
    assert.equal(socket.getProtocol(), 'TLSv1');
  });

  it('that has TLS 1.0 is not reached otherwise, and what to set is said', async (t) => {
    assert.match(
      await failure(t, old(), { tls: tls() }),
      /^TLS: no TLS handshake \(ERR_SSL_\w+\): an old server may need upstreams\.relay\.tls\.min_version: TLSv1;/,
    );
  });
});

describe('a call that tells who the client is', () => {
  for (const [version, expected] of [
    ['proxy-v1', Buffer.from('PROXY TCP4 192.0.2.1 203.0.113.5 40000 25\r\n')],
    ['proxy-v2', Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000201cb0071059c400019', 'hex')],
  ] as const) {
    it(`says it in a header of ${version} before all else, TLS too`, async (t) => {
      const plain = await greeted(t, { proxied: true }, { identity: version });
      assert.equal(plain.greeting, GREETING);
      assert.deepEqual(plain.proxyHeaders, [expected]);
      const server = { proxied: true, implicit: true, certificate: ours };
      const inTls = await greeted(t, server, { identity: version, tls: tls({ mode: 'implicit' }) });
      assert.deepEqual(inTls.proxyHeaders, [expected]);
    });
  }

  it('says UNKNOWN or LOCAL where it is nobody but us who calls', async (t) => {
    for (const [identity, header] of [
      ['proxy-v1', Buffer.from('PROXY UNKNOWN\r\n')],
      ['proxy-v2', Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')],
    ] as const) {
      const { at, proxyHeaders } = await toldServer(t, { proxied: true });
      const { answer } = await call(t, at, { identity }, null);
      assert.equal(answer?.greeting.toString('latin1'), GREETING);
      assert.deepEqual(proxyHeaders, [header]);
    }
  });

  const XCLIENT = 'XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT';
  const SAID =
    'XCLIENT NAME=client.example ADDR=192.0.2.1 PORT=40000 LOGIN=[UNAVAILABLE] DESTADDR=203.0.113.5 DESTPORT=25';

  it('with XCLIENT, and shows the greeting behind it', async (t) => {
    const { greeting, heard, unidentified } = await greeted(t, { keywords: [XCLIENT] }, { identity: 'xclient' });
    assert.equal(greeting, '220 told.example knows you now\r\n');
    assert.deepEqual(heard, ['EHLO postern.example', SAID]);
    assert.equal(unidentified, false);
  });

  it('with XCLIENT inside TLS, where it asks anew what is offered', async (t) => {
    const server = { keywords: ['STARTTLS', XCLIENT], certificate: ours };
    const { heard } = await greeted(t, server, { identity: 'xclient', tls: tls() });
    assert.deepEqual(heard, ['EHLO postern.example', 'STARTTLS', '(TLS)', 'EHLO postern.example', SAID]);
  });

  it('shows the client what the server says to it behind XCLIENT, refusals as well', async (t) => {
    for (const reply of ['554 5.7.1 not you', '450 4.7.1 not now']) {
      const server = { keywords: [XCLIENT], replies: { XCLIENT: reply } };
      const { greeting, answer } = await greeted(t, server, { identity: 'xclient' });
      assert.equal(greeting, `${reply}\r\n`);
      assert.ok(answer?.stream);
    }
  });

  it('goes on where XCLIENT is not offered, and says so', async (t) => {
    const { greeting, heard, unidentified } = await greeted(t, {}, { identity: 'xclient' });
    assert.equal(greeting, GREETING);
    assert.deepEqual(heard, ['EHLO postern.example']);
    assert.equal(unidentified, true);
  });

  it('learns of XFORWARD, which the session will say', async (t) => {
    const { answer, heard } = await greeted(
      t,
      { keywords: ['XFORWARD NAME ADDR PROTO HELO SOURCE PORT'] },
      { identity: 'xforward' },
    );
    assert.deepEqual(heard, ['EHLO postern.example']);
    assert.deepEqual(answer?.forwarding?.attributes, ['NAME', 'ADDR', 'PROTO', 'HELO', 'SOURCE', 'PORT']);
    assert.equal(answer?.forwarding?.client.name, 'client.example');
  });
});
