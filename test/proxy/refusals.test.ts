// Whatever is refused or closed leaves one line: what was said, why, and the setting that is the cause. Real log lines of the
// whole firewall between a client and a server that a test plays.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { openFirewall } from '../helpers/postern.ts';
import { GREETING, greeted, type Open, open, quit, type Wanted } from './front.ts';
import { Peer, UpstreamPeers } from './peer.ts';

type Line = Record<string, unknown>;

function linesOf({ firewall }: Pick<Open, 'firewall'>): Line[] {
  return firewall.logs.map((line) => JSON.parse(line) as Line);
}

/** Lines about something refused, in the order in which they came: all but those of the firewall's own life. */
function refusals(opened: Pick<Open, 'firewall'>): Line[] {
  const own =
    /^(listening|policy loaded|upstream answers|session ended|message not ended|upstream connected|counters|draining|drained)/;
  const startUp = /seems to come from this machine|not protected/;
  return linesOf(opened).filter(({ msg }) => !own.test(String(msg)) && !startUp.test(String(msg)));
}

/** Says each line and hears its reply. */
async function dialogue(client: Peer, lines: readonly string[]): Promise<string[]> {
  const heard: string[] = [];
  for (const line of lines) {
    client.say(`${line}\r\n`);
    heard.push(await client.reply());
  }
  return heard;
}

async function refusedOf(t: TestContext, lines: readonly string[], wanted: Wanted = {}): Promise<Line[]> {
  const opened = await open(t, wanted);
  const client = await greeted(opened);
  await dialogue(client, lines);
  client.finish();
  await client.rest();
  return refusals(opened);
}

const connector = (more: Line): Wanted => ({ connectors: [{ name: 'internet', remote_ip_ranges: ['any'], ...more }] });

describe('a recipient that is refused for a parameter', () => {
  it('has the parameter in its line', async (t) => {
    const rcpt = 'RCPT TO:<x@local.example> FOO=bar';
    const [line] = await refusedOf(t, ['EHLO client.example', 'MAIL FROM:<a@sender.example>', rcpt]);
    assert.deepEqual([line?.recipient, line?.reason, line?.trace], ['x@local.example', 'syntax', rcpt]);
  });
});

describe('a command that is refused', () => {
  const EHLO = 'EHLO client.example';
  const MAIL = 'MAIL FROM:<a@sender.example>';
  const cases: readonly [
    lines: string[],
    verb: string | undefined,
    said: string,
    reply: RegExp,
    key?: string,
    wanted?: Wanted,
  ][] = [
    [['HELO a\tb'], 'HELO', 'HELO a\\x09b', /^501 /],
    [[EHLO, 'MAIL FROM:<a@sender.example'], 'MAIL', 'MAIL FROM:<a@sender.example', /^501 /],
    [[EHLO, `${MAIL} FOO=bar`], 'MAIL', `${MAIL} FOO=bar`, /^555 /],
    [[EHLO, 'RCPT TO:<x@local.example>'], 'RCPT', 'RCPT TO:<x@local.example>', /^503 /],
    [[EHLO, 'DATA'], 'DATA', 'DATA', /^503 /],
    [[EHLO, MAIL, MAIL], 'MAIL', MAIL, /^503 /],
    [[EHLO, 'WHATEVER now'], 'WHATEVER', 'WHATEVER now', /^500 /],
    [[EHLO, 'ETRN x'], 'ETRN', 'ETRN x', /^502 /],
    [[EHLO, 'STARTTLS'], 'STARTTLS', 'STARTTLS', /^502 /, 'connectors[internet].starttls'],
    [
      [EHLO, 'AUTH PLAIN AHVzZXIAU2VjcmV0'],
      'AUTH',
      'AUTH PLAIN',
      /^502 /,
      'connectors[internet].auth',
      connector({ auth: 'hide' }),
    ],
    [[EHLO, 'VRFY bob'], 'VRFY', 'VRFY bob', /^252 /, 'connectors[internet].vrfy', connector({ vrfy: 'refuse' })],
    [
      [EHLO, `${MAIL} SIZE=2000`],
      'MAIL',
      `${MAIL} SIZE=2000`,
      /^552 /,
      'connectors[internet].max_message_size',
      connector({ max_message_size: '1KiB' }),
    ],
    [[EHLO, `NOOP ${'x'.repeat(3000)}`], 'NOOP', `NOOP ${'x'.repeat(251)}`, /^500 /, 'limits.session.command_line'],
    [[EHLO, 'XEXCH50 10 2'], 'XEXCH50', 'XEXCH50 10 2', /^502 /, 'connectors[internet].exchange_verbs'],
  ];
  for (const [lines, verb, said, reply, key, wanted] of cases) {
    it(`has one line: ${lines.at(-1)?.slice(0, 40)}${key === undefined ? '' : ` (${key})`}`, async (t) => {
      const [line, ...others] = await refusedOf(t, lines, wanted);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [line?.msg, line?.verb, line?.said, line?.key, line?.connector],
        ['command refused', verb, said, key, 'internet'],
      );
      assert.match(String(line?.reply), reply);
    });
  }

  it('has one line however often it is said in a session, and the summary counts', async (t) => {
    const opened = await open(t);
    const client = await greeted(opened);
    await dialogue(client, ['HELO a\tb', 'HELO c\td', 'HELO e\tf', 'DATA']);
    await quit(client);
    assert.deepEqual(
      refusals(opened).map(({ verb }) => verb),
      ['HELO', 'DATA'],
    );
    const [summary] = opened.logged('session ended');
    assert.deepEqual([summary?.errors, summary?.repeated], [4, 2]);
  });

  it('never tells a password, however AUTH was written, nor what is said behind a login that failed', async (t) => {
    const opened = await open(t, { rest: { limits: { session: { errors: 100 } } } });
    const client = await greeted(opened);
    const secrets = [
      'AUTH  PLAIN c2VjcmV0',
      ' AUTH PLAIN c2VjcmV0',
      'AUTH\tPLAIN c2VjcmV0',
      'AUTH c2VjcmV0',
      'PASS c2VjcmV0',
      'a LOGIN x c2VjcmV0',
    ];
    await dialogue(client, [
      'EHLO client.example',
      ...secrets,
      'c2VjcmV0',
      'c2VjcmV0 c2VjcmV0',
      'EHLO',
      'auth=c2VjcmV0',
    ]);
    client.say(`AUTH PLAIN ${'c2VjcmV0'.repeat(2000)}\r\n`);
    await client.reply();
    client.say('c2VjcmV0\n');
    await client.rest();
    assert.ok(refusals(opened).length >= 3);
    assert.doesNotMatch(opened.firewall.logs.join(''), /c2VjcmV0/);
  });

  it('that ends in a bare line feed is told with it', async (t) => {
    const opened = await open(t);
    const client = await greeted(opened);
    client.say('EHLO client.example\n');
    await client.rest();
    assert.deepEqual(
      refusals(opened).map(({ verb, said }) => [verb, said]),
      [['EHLO', 'EHLO client.example\\x0a']],
    );
    assert.equal(opened.logged('session ended')[0]?.what, 'command line with a bare CR, bare LF or NUL');
  });

  it('ends the session when it comes too often, and the summary names the limit', async (t) => {
    const opened = await open(t, { rest: { limits: { session: { errors: 2 } } } });
    const client = await greeted(opened);
    await dialogue(client, ['FOO', 'FOO', 'FOO']);
    await client.rest();
    const [summary] = opened.logged('session ended');
    assert.deepEqual([summary?.what, summary?.key], ['too many errors', 'limits.session.errors']);
  });
});

describe('a session that is ended by a setting names it', () => {
  it('a time-out', async (t) => {
    const opened = await open(t, { rest: { timeouts: { client_idle: '50ms' } } });
    const client = await greeted(opened);
    await client.rest();
    const [summary] = opened.logged('session ended');
    assert.deepEqual([summary?.what, summary?.key], ['timeout while awaiting command', 'timeouts.client_idle']);
  });

  it('commands without mail', async (t) => {
    const opened = await open(t, { rest: { limits: { session: { junk_commands: 2 } } } });
    const client = await greeted(opened);
    await dialogue(client, ['EHLO a', 'NOOP', 'NOOP', 'NOOP']);
    await client.rest();
    assert.equal(opened.logged('session ended')[0]?.key, 'limits.session.junk_commands');
  });

  it('and where it is only observed, the line that says so', async (t) => {
    const opened = await open(t, { rest: { mode: 'observe', limits: { session: { junk_commands: 1 } } } });
    const client = await greeted(opened);
    await dialogue(client, ['EHLO a', 'NOOP', 'NOOP', 'NOOP']);
    await quit(client);
    assert.deepEqual(
      refusals(opened).map(({ decision, reason, key }) => [decision, reason, key]),
      [['would_reject', 'limit', 'limits.session.junk_commands']],
    );
  });

  it('a client that talks before the greeting', async (t) => {
    const upstreams = await UpstreamPeers.listen(t);
    const opened = await openWith(t, upstreams, { early_talker: 'reject' });
    const client = await Peer.connect(opened.firewall.port);
    client.say('EHLO early.example\r\n');
    await client.rest();
    const [line] = refusals(opened);
    assert.deepEqual([line?.said, line?.key], ['EHLO early.example', 'connectors[internet].early_talker']);
  });
});

async function openWith(t: TestContext, upstreams: UpstreamPeers, more: Line = {}): Promise<Pick<Open, 'firewall'>> {
  const firewall = await openFirewall({
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${upstreams.port}`] },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [{ name: 'internet', remote_ip_ranges: ['any'], ...more }],
    },
    admin: null,
    lost_address_guard: 'warn',
  });
  t.after(() => firewall.close());
  return { firewall };
}

describe('mail data with an ambiguous end', () => {
  for (const [octets, shown, offset] of [
    ['a\r\nb\n.\r\nc', '\\n.\\r\\n', 5],
    ['a\r\n.\nc', '\\r\\n.\\n', 3],
    ['a\r.\rc', '\\r.\\r', 2],
    ['\n.\n', '\\n.\\n', 1],
    ['a\r\n.\0', '\\r\\n.\\x00', 3],
  ] as const) {
    it(`has a warning that names the octets ${shown} and bare_lf: normalize`, async (t) => {
      const opened = await open(t);
      const client = await greeted(opened);
      await dialogue(client, ['EHLO a', 'MAIL FROM:<a@sender.example>', 'RCPT TO:<x@local.example>', 'DATA']);
      client.say(octets);
      assert.match(await client.rest(), /^554 /);
      const [line, ...others] = refusals(opened);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [line?.level, line?.octets, line?.offset, line?.key],
        ['warn', shown, offset, 'connectors[internet].bare_lf'],
      );
      assert.match(String(line?.msg), /bare_lf: normalize/);
      assert.equal(opened.logged('session ended')[0]?.key, 'connectors[internet].bare_lf');
    });
  }

  it('names the octets and their place however they were cut', async (t) => {
    const opened = await open(t);
    const client = await greeted(opened);
    await dialogue(client, ['EHLO a', 'MAIL FROM:<a@sender.example>', 'RCPT TO:<x@local.example>', 'DATA']);
    for (const octet of `${'x'.repeat(10)}\n.\n`) {
      client.say(octet);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.rest();
    const [line] = refusals(opened);
    assert.deepEqual([line?.octets, line?.offset], ['\\n.\\n', 11]);
  });
});

describe('what a balancer says unasked', () => {
  for (const [what, words, hint] of [
    ['a PROXY header of version 1', 'PROXY TCP4 192.0.2.1 192.0.2.2 4711 25\r\n', /proxy_protocol\.from/],
    ['a PROXY header of version 2', '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0cabcdefghijkl', /proxy_protocol\.from/],
    ['XCLIENT', 'XCLIENT ADDR=192.0.2.1 NAME=[UNAVAILABLE]\r\n', /xclient off/],
    ['XFORWARD', 'XFORWARD ADDR=192.0.2.1\r\n', /smtp_send_xforward_command = no/],
  ] as const) {
    it(`is a warning once for each source, with what to change there: ${what}`, async (t) => {
      const opened = await open(t);
      for (const address of ['127.0.0.1', '127.0.0.1', '127.0.0.2']) {
        const client = await greeted(opened, address);
        client.say(words);
        await client.reply();
        client.finish();
        await client.rest();
      }
      const warnings = refusals(opened).filter(({ level }) => level === 'warn');
      assert.deepEqual(
        warnings.map(({ client_address }) => client_address),
        ['127.0.0.1', '127.0.0.2'],
      );
      for (const { msg, key } of warnings) {
        assert.match(String(msg), hint);
        assert.equal(key, 'listeners[].proxy_protocol.from');
      }
      const ordinary = refusals(opened).filter(({ level, said }) => level === 'info' && said !== '');
      assert.deepEqual(
        ordinary.map(({ msg }) => msg),
        ['command refused'],
      );
    });
  }
});

describe('a listener with proxy_protocol', () => {
  const proxied: Wanted = { listener: { proxy_protocol: { from: ['127.0.0.1/32'] } } };
  const FROM = 'listeners[].proxy_protocol.from';
  for (const [reason, words, said, key] of [
    ['none', 'EHLO client.example\r\n', 'EHLO client.example', FROM],
    ['none', '\x16\x03\x01\x00', '\\x16\\x03\\x01\\x00', FROM],
    ['bad', 'PROXY TCP4 1.2.3 4.5.6.7 1 2\r\n', 'PROXY TCP4 1.2.3 4.5.6.7 1 2', undefined],
    ['bad', 'PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\n', 'PROXY TCP4 192.0.2.77 203.0.113.5 4711 25\\x0a', undefined],
    ['too_long', `PROXY TCP4 ${'1'.repeat(200)}`, `PROXY TCP4 ${'1'.repeat(96)}`, undefined],
    [
      'bad',
      '\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c',
      '\\x0d\\x0a\\x0d\\x0a\\x00\\x0d\\x0aQUIT\\x0a1\\x11\\x00\\x0c',
      undefined,
    ],
  ] as const) {
    it(`tells why it closes: ${reason}, ${JSON.stringify(words).slice(0, 40)}`, async (t) => {
      const opened = await open(t, proxied);
      const client = await opened.client();
      client.say(words);
      assert.equal(await client.rest(), '');
      const [line, ...others] = refusals(opened);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [line?.reason, line?.said, line?.key, line?.client_address, line?.local_port],
        [`proxy_header_${reason}`, said, key, '127.0.0.1', opened.firewall.port],
      );
    });
  }

  it('tells of a peer that is not listed', async (t) => {
    const opened = await open(t, proxied);
    assert.equal(await (await opened.client('127.0.0.2')).rest(), '');
    const [line] = refusals(opened);
    assert.deepEqual([line?.reason, line?.key, line?.client_address], ['proxy_header_not_listed', FROM, '127.0.0.2']);
  });

  it('tells of a header that comes too late', async (t) => {
    const opened = await open(t, { ...proxied, rest: { timeouts: { proxy_header: '50ms' } } });
    const client = await opened.client();
    client.say('PROXY TCP4 ');
    assert.equal(await client.rest(), '');
    const [line] = refusals(opened);
    assert.deepEqual(
      [line?.reason, line?.said, line?.key],
      ['proxy_header_late', 'PROXY TCP4 ', 'timeouts.proxy_header'],
    );
  });

  it('says nothing of a peer that only looks whether the port is open', async (t) => {
    const opened = await open(t, proxied);
    const client = await opened.client();
    client.finish();
    await client.rest();
    assert.deepEqual(refusals(opened), []);
  });
});

describe('a recipient that the server refuses', () => {
  /** Everything that the session says and hears, up to the server's answers to a group of three RCPTs. */
  async function grouped(
    t: TestContext,
    answers: string,
  ): Promise<{ opened: Pick<Open, 'firewall'>; client: Peer; upstream: Peer }> {
    const upstreams = await UpstreamPeers.listen(t);
    const opened = await openWith(t, upstreams);
    const client = await Peer.connect(opened.firewall.port);
    const upstream = await upstreams.next();
    upstream.say(GREETING);
    await client.hears(GREETING);
    client.say('EHLO a\r\n');
    await upstream.hears('EHLO a\r\n');
    upstream.say('250-s\r\n250 PIPELINING\r\n');
    await client.reply();
    client.say(
      'MAIL FROM:<a@sender.example>\r\nRCPT TO:<one@local.example>\r\nRCPT TO:<no@foreign.example>\r\n' +
        'RCPT TO:<two@local.example>\r\nRCPT TO:<three@local.example>\r\n',
    );
    await upstream.hears('three@local.example>\r\n');
    upstream.say(answers);
    return { opened, client, upstream };
  }
  const counts = ({ firewall }: Pick<Open, 'firewall'>) => {
    const [end] = linesOf({ firewall }).filter(({ msg }) => msg === 'session ended');
    const {
      recipients_accepted: accepted,
      recipients_refused: ours,
      recipients_refused_by_server: refused,
    } = end as Line;
    return { accepted, ours, refused, deferred: end?.recipients_deferred, unanswered: end?.recipients_unanswered };
  };
  const told = (opened: Pick<Open, 'firewall'>) =>
    refusals(opened).map(({ msg, recipient, answer, reply, origin }) => [msg, recipient, answer ?? origin, reply]);
  const OURS = [
    'recipient refused',
    'no@foreign.example',
    undefined,
    '554 <no@foreign.example>: Recipient address rejected: Relay access denied',
  ];

  it('is told with the answer, in a pipeline too, and does not count as accepted', async (t) => {
    const { opened, client } = await grouped(t, '250 m\r\n250 1\r\n550 5.1.1 who\r\n451 later\r\n');
    for (let i = 0; i < 5; i++) await client.reply();
    client.finish();
    await client.rest();
    assert.deepEqual(told(opened), [
      OURS,
      ['recipient refused by the server', 'two@local.example', 'refused', '550 5.1.1 who'],
      ['recipient deferred by the server', 'three@local.example', 'deferred', '451 later'],
    ]);
    assert.deepEqual(counts(opened), { accepted: 1, ours: 1, refused: 1, deferred: 1, unanswered: undefined });
  });

  it('by 421 was deferred, and those behind were never answered', async (t) => {
    const { opened, client } = await grouped(t, '250 m\r\n421 going\r\n');
    await client.rest();
    assert.deepEqual(counts(opened), { accepted: 0, ours: 1, refused: undefined, deferred: 1, unanswered: 2 });
  });

  it('and a server that is lost leaves those that it did not answer unanswered', async (t) => {
    const { opened, client, upstream } = await grouped(t, '250 m\r\n250 1\r\n');
    await client.hears('250 1\r\n');
    upstream.finish();
    await client.rest();
    assert.deepEqual(counts(opened), { accepted: 1, ours: 1, refused: undefined, deferred: undefined, unanswered: 2 });
  });

  it('as a sender, or as a message, is told too', async (t) => {
    const opened = await open(t);
    const reply = { MAIL: '550 5.1.8 no', EOD: '554 5.7.0 virus' };
    for (const [verb, sentence] of [
      ['MAIL', 'sender refused by the server'],
      ['EOD', 'message refused by the server'],
    ] as const) {
      opened.upstream.expect({ dialect: 'lf', backend: { reply: { [verb]: reply[verb] } } });
      const client = await greeted(opened);
      await dialogue(client, ['EHLO a', 'MAIL FROM:<a@sender.example>']);
      if (verb === 'EOD') await dialogue(client, ['RCPT TO:<x@local.example>', 'DATA', 'Subject: x\r\n\r\nx\r\n.']);
      await quit(client);
      assert.deepEqual(
        opened.logged(sentence).map((line) => [line.reply, line.sender]),
        [[reply[verb], 'a@sender.example']],
      );
    }
    assert.equal(opened.logged('session ended')[1]?.messages_refused_by_server, 1);
  });
});
