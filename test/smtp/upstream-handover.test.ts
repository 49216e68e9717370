// What is said to a server before the client is. Each dialogue runs whole and octet by octet, and with an octet too many.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Step, UpstreamHandover, type UpstreamHandoverOptions } from '../../src/smtp/upstream-handover.ts';
import { CLIENT } from '../helpers/identity.ts';

const GREETING = '220-mail.example\r\n220 ESMTP ready\r\n';
const EHLO = '> EHLO us.example';
const SAID =
  '> XCLIENT NAME=client.example ADDR=192.0.2.1 PORT=40000 LOGIN=[UNAVAILABLE] DESTADDR=203.0.113.5 DESTPORT=25';

function offers(...keywords: string[]): string {
  const lines = ['mail.example', ...keywords];
  return lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}\r\n`).join('');
}

const XCLIENT = 'xclient NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT';

/** What comes of it, as text: what we say behind `>`, what we do, and the end. */
function play(options: Partial<UpstreamHandoverOptions>, replies: readonly string[], split: boolean): string[] {
  const approach = new UpstreamHandover({ ourName: () => 'us.example', startTls: 'no', identity: null, ...options });
  const done: string[] = [];
  const take = (step: Step): void => {
    if (step.do === 'send') done.push(`> ${step.bytes.toString('latin1').trimEnd()}`);
    if (step.do === 'start TLS') {
      done.push('TLS');
      take(approach.tlsStarted());
    }
    if (step.do === 'introduce') take(approach.introduce(CLIENT));
    assert.ok(['read', 'send', 'start TLS', 'introduce', 'end', 'give up'].includes(step.do));
    if (step.do === 'give up') done.push(`give up: ${step.why}`);
    if (step.do === 'end') {
      const { introduced, unidentified, xforward } = step;
      const more = [introduced && 'introduced', unidentified && 'unidentified', xforward.join(',')].filter(Boolean);
      done.push(`end: ${[JSON.stringify(step.greeting.toString('latin1')), ...more].join(' ')}`);
    }
  };
  for (const reply of replies) {
    const octets = Buffer.from(reply, 'latin1');
    const chunks = split ? [...octets].map((octet) => Buffer.from([octet])) : [octets];
    for (const chunk of chunks) take(approach.fromUpstream(chunk));
  }
  return done;
}

interface Row {
  readonly name: string;
  readonly options: Partial<UpstreamHandoverOptions>;
  readonly replies: readonly string[];
  readonly comes: readonly string[];
}

const FIRST = `end: ${JSON.stringify(GREETING)}`;

const ROWS: readonly Row[] = [
  {
    name: 'STARTTLS: EHLO, STARTTLS, and the first greeting',
    options: { startTls: 'required' },
    replies: [GREETING, offers('SIZE', 'starttls'), '220 go\r\n'],
    comes: [EHLO, '> STARTTLS', 'TLS', FIRST],
  },
  {
    name: 'XCLIENT: EHLO, XCLIENT, and the new greeting',
    options: { identity: 'XCLIENT' },
    replies: [GREETING, offers(XCLIENT), '220 new\r\n'],
    comes: [EHLO, SAID, `end: "220 new\\r\\n" introduced`],
  },
  {
    name: 'both: what is offered outside TLS does not count inside',
    options: { startTls: 'if offered', identity: 'XCLIENT' },
    replies: [GREETING, offers('STARTTLS', XCLIENT), '220 go\r\n', offers('SIZE')],
    comes: [EHLO, '> STARTTLS', 'TLS', EHLO, `${FIRST} unidentified`],
  },
  {
    name: 'both: a server that refuses EHLO inside offers nothing there, whatever was said outside',
    options: { startTls: 'required', identity: 'XCLIENT' },
    replies: [GREETING, offers('STARTTLS', XCLIENT), '220 go\r\n', '502 what\r\n'],
    comes: [EHLO, '> STARTTLS', 'TLS', EHLO, `${FIRST} unidentified`],
  },
  {
    name: 'both: a server that takes EHLO once counts with its earlier list',
    options: { startTls: 'required', identity: 'XCLIENT' },
    replies: [GREETING, offers('STARTTLS', XCLIENT), '220 go\r\n', '503 already identified\r\n', '220 new\r\n'],
    comes: [EHLO, '> STARTTLS', 'TLS', EHLO, SAID, `end: "220 new\\r\\n" introduced`],
  },
  {
    name: 'XCLIENT with what is offered, and no more',
    options: { identity: 'XCLIENT' },
    replies: [GREETING, offers('XCLIENT NAME ADDR'), '220 new\r\n'],
    comes: [EHLO, '> XCLIENT NAME=client.example ADDR=192.0.2.1', `end: "220 new\\r\\n" introduced`],
  },
  {
    name: 'XFORWARD: only learnt, for the session',
    options: { identity: 'XFORWARD' },
    replies: [GREETING, offers('XFORWARD NAME ADDR')],
    comes: [EHLO, `${FIRST} NAME,ADDR`],
  },
  {
    name: 'a server that knows no EHLO offers nothing',
    options: { startTls: 'if offered', identity: 'XFORWARD' },
    replies: [GREETING, '500 what\r\n'],
    comes: [EHLO, `${FIRST} unidentified`],
  },
  {
    name: 'a greeting that refuses is the end, and what is shown',
    options: { startTls: 'required' },
    replies: ['554 not here\r\n'],
    comes: ['end: "554 not here\\r\\n"'],
  },
  {
    name: 'a refusal behind XCLIENT is what is shown',
    options: { identity: 'XCLIENT' },
    replies: [GREETING, offers(XCLIENT), '554 5.7.1 not you\r\n'],
    comes: [EHLO, SAID, 'end: "554 5.7.1 not you\\r\\n" introduced'],
  },
  ...[501, 503].map((code) => ({
    name: `a server that answers XCLIENT with ${code} does not know the client, and its greeting stands`,
    options: { identity: 'XCLIENT' as const },
    replies: [GREETING, offers(XCLIENT), `${code} 5.5.4 Bad ADDR syntax\r\n`],
    comes: [EHLO, SAID, `${FIRST} unidentified`],
  })),
  {
    name: 'no STARTTLS where it is required',
    options: { startTls: 'required' },
    replies: [GREETING, offers('STARTTLSX')],
    comes: [EHLO, 'give up: it does not offer STARTTLS'],
  },
  {
    name: 'STARTTLS refused where it is only welcome',
    options: { startTls: 'if offered', identity: 'XCLIENT' },
    replies: [GREETING, offers('STARTTLS', XCLIENT), '454 4.7.0 no\r\n', '220 new\r\n'],
    comes: [EHLO, '> STARTTLS', SAID, `end: "220 new\\r\\n" introduced`],
  },
  {
    name: 'a server of that name does not offer it',
    options: { startTls: 'required' },
    replies: [GREETING, '250-STARTTLS at your service\r\n250 SIZE\r\n'],
    comes: [EHLO, 'give up: it does not offer STARTTLS'],
  },
  {
    name: 'lines that end in a bare LF',
    options: { identity: 'XFORWARD' },
    replies: [GREETING, '250-mail.example\n250-XFORWARD NAME ADDR\n250 SIZE\n'],
    comes: [EHLO, `${FIRST} NAME,ADDR`],
  },
  {
    name: 'STARTTLS refused where it is required',
    options: { startTls: 'required', identity: 'XCLIENT' },
    replies: [GREETING, offers('STARTTLS', XCLIENT), '454 4.7.0 no\r\n'],
    comes: [EHLO, '> STARTTLS', 'give up: it answered STARTTLS with 454'],
  },
  {
    name: 'STARTTLS refused with the least of all refusals, where it is only welcome; nobody is to be told of',
    options: { startTls: 'if offered' },
    replies: [GREETING, offers('STARTTLS'), '400 no\r\n'],
    comes: [EHLO, '> STARTTLS', FIRST],
  },
  {
    name: 'STARTTLS offered where it is not wanted, and XFORWARD likewise',
    options: { identity: 'XCLIENT' },
    replies: [GREETING, offers('STARTTLS', 'XFORWARD NAME', XCLIENT), '220 new\r\n'],
    comes: [EHLO, SAID, `end: "220 new\\r\\n" introduced`],
  },
  {
    name: 'XCLIENT offered where XFORWARD is wanted',
    options: { identity: 'XFORWARD' },
    replies: [GREETING, offers(XCLIENT, 'XFORWARD')],
    comes: [EHLO, FIRST],
  },
  {
    name: 'the least of all refusals, in the greeting, is what is shown',
    options: { identity: 'XCLIENT' },
    replies: ['400 no\r\n'],
    comes: ['end: "400 no\\r\\n"'],
  },
  {
    name: 'the least of all refusals, behind XCLIENT, is what is shown',
    options: { identity: 'XCLIENT' },
    replies: [GREETING, offers(XCLIENT), '400 no\r\n'],
    comes: [EHLO, SAID, 'end: "400 no\\r\\n" introduced'],
  },
  ...[
    { at: 'the greeting', replies: [], bad: ['250 ok\r\n', '221 bye\r\n', '354 go\r\n', 'hello\r\n', '22\r\n'] },
    {
      at: 'EHLO',
      replies: [GREETING],
      bad: ['421 no\r\n', '450 no\r\n', '354 go\r\n', '251 ok\r\n', '250-a\r\n251 b\r\n'],
    },
    {
      at: 'STARTTLS',
      replies: [GREETING, offers('STARTTLS')],
      bad: ['250 ok\r\n', '354 go\r\n', '421 no\r\n', '220-\0\r\n'],
    },
  ].flatMap(({ at, replies, bad }) =>
    bad.map((reply) => ({
      name: `an answer to ${at} that is none: ${JSON.stringify(reply)}`,
      options: { startTls: 'if offered' as const },
      replies: [...replies, reply],
      comes: ['give up'],
    })),
  ),
  ...['250 ok\r\n', '354 go\r\n'].map((reply) => ({
    name: `an answer to XCLIENT that is none: ${JSON.stringify(reply)}`,
    options: { identity: 'XCLIENT' as const },
    replies: [GREETING, offers(XCLIENT), reply],
    comes: ['give up'],
  })),
  {
    name: 'a reply without an end',
    options: { startTls: 'if offered' },
    replies: [GREETING, '250-x\r\n'.repeat(10_000)],
    comes: ['give up'],
  },
];

describe('the approach', () => {
  for (const { name, options, replies, comes } of ROWS) {
    it(name, () => {
      for (const split of [false, true]) {
        const done = play(options, replies, split);
        if (comes[0] === 'give up') assert.match(done.find((one) => !one.startsWith('>')) ?? '', /^give up: /);
        else assert.deepEqual(done, comes);
      }
    });
  }

  it('gives up a server that says one octet more than it was asked, at every step', () => {
    for (const { options, replies, comes } of ROWS) {
      if (comes.at(-1)?.startsWith('give up')) continue;
      for (const at of replies.keys()) {
        const said = replies.slice(0, at + 1).map((reply, index) => (index === at ? `${reply}2` : reply));
        assert.match(play(options, said, false).at(-1) ?? '', /^give up: it sent /);
      }
    }
  });

  it('says with which code a server was given up', () => {
    for (const [options, replies, code] of [
      [{ startTls: 'if offered' }, [GREETING, '421 4.3.2 full\r\n'], 421],
      [{ startTls: 'if offered' }, [GREETING, offers('STARTTLS'), '421 4.3.2 full\r\n'], 421],
      [{ startTls: 'if offered' }, [GREETING, '450 not now\r\n'], 450],
      [{ identity: 'XCLIENT' }, [GREETING, offers(XCLIENT), '354 go\r\n'], 354],
      [{ startTls: 'required' }, [GREETING, offers('SIZE')], null],
    ] as const) {
      const approach = new UpstreamHandover({
        ourName: () => 'us.example',
        startTls: 'no',
        identity: null,
        ...options,
      });
      let step: Step = { do: 'read' };
      for (const reply of replies) {
        step = approach.fromUpstream(Buffer.from(reply));
        if (step.do === 'introduce') step = approach.introduce(CLIENT);
      }
      assert.equal(step.do === 'give up' && step.code, code);
    }
  });

  it('says why a server was given up', () => {
    const tls = { startTls: 'if offered' } as const;
    for (const [options, replies, why] of [
      [{}, ['hello\r\n'], 'it sent something that is no SMTP reply'],
      [{}, ['250 ok\r\n'], 'it greeted with 250'],
      [{}, [`${GREETING}250 ok\r\n`], 'it sent a surplus reply'],
      [tls, [GREETING, '450 no\r\n'], 'it answered our EHLO with 450'],
      [tls, [GREETING, offers('STARTTLS'), '250 ok\r\n'], 'it answered STARTTLS with 250'],
      [tls, [GREETING, offers('STARTTLS'), '220 go\r\nx'], 'it sent octets in clear text behind its reply to STARTTLS'],
      [{ identity: 'XCLIENT' }, [GREETING, offers(XCLIENT), '354 go\r\n'], 'it answered XCLIENT with 354'],
    ] as const) {
      assert.equal(play(options, replies, false).at(-1), `give up: ${why}`);
    }
  });

  it('gives up a server that speaks out of turn while TLS is made or DNS is asked', () => {
    for (const [options, replies] of [
      [{ startTls: 'required' }, [GREETING, offers('STARTTLS'), '220 go\r\n']],
      [{ identity: 'XCLIENT' }, [GREETING, offers(XCLIENT)]],
    ] as const) {
      const approach = new UpstreamHandover({
        ourName: () => 'us.example',
        startTls: 'no',
        identity: null,
        ...options,
      });
      for (const reply of replies) approach.fromUpstream(Buffer.from(reply));
      assert.deepEqual(approach.fromUpstream(Buffer.from('250 ok\r\n')), {
        do: 'give up',
        why: 'it spoke out of turn',
        code: null,
      });
    }
  });
});

describe('the answer to our EHLO is handed on, for a server that takes no other one', () => {
  const listOf = (replies: readonly string[]): string | null => {
    const approach = new UpstreamHandover({ ourName: () => 'us.example', startTls: 'if offered', identity: 'XCLIENT' });
    let step: Step = { do: 'read' };
    for (const reply of replies) step = approach.fromUpstream(Buffer.from(reply, 'latin1'));
    return step.do === 'end' ? (step.list?.toString('latin1') ?? null) : 'no end';
  };
  it('where it offered nothing of what was wanted', () => {
    assert.equal(listOf([GREETING, offers('SIZE', 'HELP')]), offers('SIZE', 'HELP'));
  });
  it('not where it knows no EHLO, or does not want us', () => {
    assert.equal(listOf([GREETING, '502 what\r\n']), null);
    assert.equal(listOf(['554 no\r\n']), null);
  });
});
