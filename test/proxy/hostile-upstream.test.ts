// A mail server that means harm, or is broken in an odd way: the client hears what it said if that was SMTP, else 421; what is
// kept of it has a bound; and none of it opens a plain pipe.

import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { open } from './front.ts';
import { settled, UpstreamPeers } from './peer.ts';
import { type Pair, Rig } from './rig.ts';

const CONFUSED = /^421 (?:4\.3\.0 )?Mail server protocol error, [^\r]*\r\n$/;
const LIMIT = 64 * 1024; // of one reply
const READ_AT_ONCE = 64 * 1024; // of a socket, beyond what is read into the buffers of both ends

/** Pours until it is no longer wanted; how much of it had been taken by then, in octets. */
async function endless({ upstream }: Pair, line: string): Promise<void> {
  const chunk = line.repeat(Math.ceil(8192 / line.length));
  const { socket } = upstream;
  while (upstream.ending === null && !socket.destroyed) {
    if (socket.write(chunk, 'latin1')) await settled();
    else
      await new Promise<void>((resolve) => {
        socket.once('drain', resolve);
        socket.once('close', resolve);
      });
  }
}

/** What it may say, and after which of its own words. */
const ENDLESS: Readonly<Record<string, { readonly begin: (rig: Rig) => Promise<Pair>; readonly line: string }>> = {
  'a greeting of more and more lines': { begin: (rig) => rig.dialled(), line: '220-still greeting\r\n' },
  'a greeting in one line': { begin: (rig) => rig.dialled(), line: '220 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' },
  'a greeting of nothing but octets': { begin: (rig) => rig.dialled(), line: '\0\xff' },
  'a refusal of more and more lines': { begin: (rig) => rig.dialled(), line: '421-still refusing\r\n' },
  'an EHLO reply of more and more lines': {
    begin: (rig) => said(rig.greeted('220 x'), 'EHLO c.example'),
    line: '250-KEYWORD\r\n',
  },
  'an EHLO reply in one line': { begin: (rig) => said(rig.greeted('220 x'), 'EHLO c.example'), line: '250-XXXXXXXX' },
  'a reply to RCPT': { begin: (rig) => said(rig.addressed(), 'RCPT TO:<a@local.example>'), line: '250-and\r\n' },
  'a go-ahead': { begin: (rig) => said(rig.addressed(), 'DATA'), line: '354-and\r\n' },
  'a confirmation': { begin: (rig) => said(rig.inMailData(), 'x\r\n.'), line: '250-and\r\n' },
  'replies to nothing': { begin: (rig) => rig.introduced(), line: '250 2.0.0 ok\r\n' },
  'replies to nothing in mail data': { begin: (rig) => rig.inMailData(), line: '250 2.0.0 ok\r\n' },
};

async function said(opening: Promise<Pair>, line: string): Promise<Pair> {
  const pair = await opening;
  pair.client.say(`${line}\r\n`);
  await pair.upstream.hears(`${line}\r\n`);
  return pair;
}

describe('an upstream without an end', () => {
  for (const [what, { begin, line }] of Object.entries(ENDLESS)) {
    it(`is left, and the client hears 421: ${what}`, async (t) => {
      const rig = await Rig.open(t);
      const pair = await begin(rig);
      await endless(pair, line);
      const heard = await pair.client.rest();
      if (what === 'a refusal of more and more lines') assert.match(heard, /^421 4\.3\.2 [^\r]*\r\n$/);
      else assert.match(heard, CONFUSED, what);
      assert.deepEqual(rig.defects, []);
      for (const { octetsFromUpstream } of rig.sessions)
        assert.ok(octetsFromUpstream <= LIMIT + 2 * READ_AT_ONCE, `${octetsFromUpstream} octets`);
    });
  }
});

test('a server that says every reply octet by octet is understood, and the client hears whole replies', async (t) => {
  const rig = await Rig.open(t);
  const pair = await rig.dialled();
  const drip = async (line: string | null, reply: string): Promise<void> => {
    if (line !== null) {
      pair.client.say(`${line}\r\n`);
      await pair.upstream.hears(`${line}\r\n`);
    }
    for (const octet of reply) {
      assert.equal(pair.client.heard, '');
      pair.upstream.say(octet);
      await settled();
    }
    assert.equal(await pair.client.hears(reply), reply);
  };
  await drip(null, '220-mail.example\r\n220 ESMTP\r\n');
  await drip('EHLO c.example', '250-mail.example\r\n250-PIPELINING\r\n250 SIZE 1000\r\n');
  await drip('MAIL FROM:<a@sender.example>', '250 2.1.0 ok\r\n');
  await drip('RCPT TO:<b@local.example>', '250 2.1.5 ok\r\n');
  await drip('DATA', '354 go ahead\r\n');
  await drip('hello\r\n.', '250 2.0.0 taken\r\n');
  await drip('QUIT', '221 2.0.0 bye\r\n');
});

test('replies of almost 64 KiB to every command pass whole, and one octet more ends the session', async (t) => {
  const rig = await Rig.open(t);
  const pair = await rig.introduced();
  const line = `250-${'x'.repeat(1018)}\r\n`;
  const large = (octets: number): string => {
    const head = line.repeat(Math.floor((octets - 16) / line.length));
    return `${head}250 ${'y'.repeat(octets - head.length - 6)}\r\n`;
  };
  for (let times = 0; times < 50; times++) {
    pair.client.say('NOOP\r\n');
    await pair.upstream.hears('NOOP\r\n');
    const reply = large(LIMIT);
    pair.upstream.say(reply);
    while (pair.client.heard.length < reply.length) await settled();
    assert.equal(await pair.client.hears(reply), reply);
  }
  pair.client.say('NOOP\r\n');
  await pair.upstream.hears('NOOP\r\n');
  pair.upstream.say(large(LIMIT + 1));
  assert.match(await pair.client.rest(), CONFUSED);
});

test('a client that takes none of such replies is read no further, and neither is the server', async (t) => {
  const rig = await Rig.open(t);
  const pair = await rig.introduced();
  pair.client.socket.pause();
  const reply = `${`250-${'x'.repeat(1018)}\r\n`.repeat(60)}250 ok\r\n`;
  let answered = 0;
  const answer = (): void => {
    for (let at = pair.upstream.heard.indexOf('\n'); at !== -1; at = pair.upstream.heard.indexOf('\n')) {
      pair.upstream.heard = pair.upstream.heard.slice(at + 1);
      pair.upstream.say(reply);
      answered++;
    }
  };
  pair.upstream.socket.on('data', answer);
  pair.client.say('NOOP\r\n'.repeat(5_000));
  let before = -1;
  for (let still = 0; still < 20; still++) {
    if (rig.sessions[0]?.octetsFromUpstream !== before) still = 0;
    before = rig.sessions[0]?.octetsFromUpstream ?? 0;
    await settled();
  }
  // What the two kernels hold of it differs from machine to machine; all of it would be 300 MB.
  assert.ok(before < 40e6, `${before} octets of ${answered} replies`);
  assert.deepEqual(rig.defects, []);
});

describe('a server that is asked before the client is, and has no end', () => {
  for (const [identity, tls] of [
    ['xclient', {}],
    ['none', { mode: 'require', verify: false }],
  ] as const) {
    for (const [what, words] of Object.entries({
      greeting: ['220-still greeting\r\n'],
      'reply to EHLO': ['220 mail.example\r\n', '250-KEYWORD\r\n'],
      'list of surplus replies': ['220 mail.example\r\n220 mail.example\r\n'],
    })) {
      it(`is left, and the client hears 421: ${identity === 'xclient' ? 'XCLIENT' : 'STARTTLS'}, ${what}`, async (t) => {
        const upstreams = await UpstreamPeers.listen(t);
        const opened = await open(t, { upstream: { servers: [`127.0.0.1:${upstreams.port}`], identity, tls } });
        const client = await opened.client();
        const upstream = await upstreams.next();
        if (words.length === 2) {
          upstream.say(words[0] ?? '');
          await upstream.hears('\r\n');
        }
        await endless({ client, upstream }, words.at(-1) ?? '');
        assert.match(await client.rest(), /^421 4\.3\.2 [^\r]*\r\n$/);
      });
    }
  }
});

test('replies to nothing between two commands end the session before the next command is sent', async (t) => {
  const rig = await Rig.open(t);
  const pair = await rig.addressed();
  pair.upstream.say('250 2.1.5 this one too\r\n');
  assert.match(await pair.client.rest(), CONFUSED);
  assert.equal(pair.upstream.heard, '');
  await rig.servesOn();
});
