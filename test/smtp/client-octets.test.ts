// How the client's octets are cut: where a line ends and how long it may be, what may not even begin one, what is thrown away,
// and what waits.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEFAULT_LIMITS, type Harness, type HarnessOptions } from '../helpers/harness.ts';
import { behind, IN_MAIL_DATA, OPENED, say, WITH_RECIPIENT } from '../helpers/opened.ts';

const TOO_LONG = '500 5.5.2 Line too long\r\n';
const BAD_END = '500 5.5.2 Commands must end in CRLF and hold no control characters\r\n';
const UNKNOWN = '500 5.5.1 Command unrecognized\r\n';

/** What the client hears of these octets, whole and octet by octet, or in pieces where they are many: the same. */
function heard(lines: readonly string[], octets: string, options: HarnessOptions = {}): Harness {
  const whole = behind(lines, options);
  whole.clientSays(octets);
  const cut = behind(lines, options);
  const size = octets.length > 5000 ? 997 : 1;
  for (let at = 0; at < octets.length; at += size) cut.clientSays(octets.slice(at, at + size));
  assert.equal(cut.clientHeard, whole.clientHeard);
  assert.equal(cut.upstreamHeard, whole.upstreamHeard);
  assert.deepEqual(cut.closed, whole.closed);
  return whole;
}

describe('a command line', () => {
  const line = (start: string, octets: number): string => `${start}${'x'.repeat(octets - start.length - 2)}\r\n`;

  it('may have 2048 octets with its CRLF', () => {
    assert.equal(heard(OPENED, line('NOOP ', 2048)).upstreamHeard, line('NOOP ', 2048));
    const { clientHeard, upstreamHeard } = heard(OPENED, `${line('NOOP ', 2049)}NOOP\r\n`);
    assert.deepEqual([clientHeard, upstreamHeard], [TOO_LONG, 'NOOP\r\n']);
  });

  it('of a login may have 12290, whatever the case of its verb; a word that only begins so may not', () => {
    for (const verb of ['AUTH PLAIN ', 'auth plain ']) {
      const { clientHeard } = heard(OPENED, line(verb, 12290));
      assert.match(clientHeard, /^501 5\.5\.2 Cannot decode/);
      assert.equal(heard(OPENED, line(verb, 12291)).clientHeard, TOO_LONG);
    }
    for (const verb of ['AUTHX ', 'XAUTH ', 'X-EXPSX ', ' AUTH ']) {
      assert.equal(heard(OPENED, line(verb, 2049)).clientHeard, TOO_LONG);
    }
    assert.equal(heard(OPENED, line('X-EXPS NTLM ', 12290)).clientHeard, '502 5.5.1 Command not available\r\n');
    assert.equal(heard(OPENED, line('X-EXPS NTLM ', 12291)).clientHeard, TOO_LONG);
  });

  it('of Exchange may have 4096 where X-LINK2STATE was offered', () => {
    const list = ['S 250-mail', 'S 250-X-LINK2STATE', 'S 250-XRDST', 'S 250 XSHADOW'];
    const profile = { exchangeVerbs: 'forward', relaysAnywhere: true } as const;
    const lines = [...OPENED, 'C EHLO again', ...list];
    for (const verb of ['X-LINK2STATE ', 'x-link2state ', 'XRDST ', 'XSHADOW ', 'XQDISCARD ']) {
      assert.equal(heard(lines, line(verb, 4096), { profile }).upstreamHeard, line(verb, 4096));
      assert.equal(heard(lines, line(verb, 4097), { profile }).clientHeard, '500 Line too long\r\n');
      assert.equal(heard(OPENED, line(verb, 2049)).clientHeard, TOO_LONG);
    }
    for (const verb of ['NOOP ', 'NOOP XRDST '])
      assert.equal(heard(lines, line(verb, 2049), { profile }).clientHeard, '500 Line too long\r\n');
  });

  it('ends in CRLF and in nothing else', () => {
    for (const octets of [
      '\n',
      'NOOP\n',
      'NOOP\r\r\n',
      'NO\rOP\r\n',
      'NO\0OP\r\n',
      '\0\r\n',
      '\r\r\n',
      `NOOP ${'x'.repeat(3000)}\n`,
    ]) {
      const { clientHeard, upstreamHeard, closed } = heard(OPENED, `${octets}NOOP\r\n`);
      assert.deepEqual([clientHeard, upstreamHeard], [BAD_END, '']);
      assert.deepEqual(closed, { origin: 'policy', what: 'command line with a bare CR, bare LF or NUL' });
    }
    assert.equal(heard(OPENED, '\r\n').clientHeard, UNKNOWN);
  });

  it('that is too long is thrown away up to its CRLF, wherever that is cut, and the next one is read', () => {
    const octets = `${line('NOOP ', 5000)}FOO\r\n`;
    for (const place of [2048, 2049, 4998, 4999, 5000]) {
      const harness = behind(OPENED);
      harness.clientSays(octets.slice(0, place));
      harness.clientSays(octets.slice(place));
      assert.equal(harness.clientHeard, TOO_LONG + UNKNOWN);
      assert.equal(harness.closed, null);
    }
  });

  it('that is too long and whose last octet that was kept is the CR ends there', () => {
    const harness = behind(OPENED);
    harness.clientSays(`NOOP ${'x'.repeat(2043)}\r`); // one octet too many
    harness.clientSays('\nFOO\r\n');
    assert.equal(harness.clientHeard, TOO_LONG + UNKNOWN);
  });

  it('that is too long by an LF alone does not end in CRLF', () => {
    const harness = behind(OPENED);
    harness.clientSays(`NOOP ${'x'.repeat(2043)}`);
    harness.clientSays('\nFOO\r\n');
    assert.equal(harness.clientHeard, BAD_END);
  });

  it('of a response within a login may have 12290, and a longer one ends the session', () => {
    const lines = [...OPENED, 'C AUTH PLAIN', 'S 334 '];
    const fits = heard(lines, `${'A'.repeat(12288)}\r\n`);
    assert.equal(fits.closed?.what, 'authentication response refused', 'it was read: these are NULs');
    const { clientHeard, upstreamHeard, closed } = heard(lines, `${'A'.repeat(12289)}\r\nNOOP\r\n`);
    assert.deepEqual([clientHeard, upstreamHeard], [TOO_LONG, '']);
    assert.deepEqual(closed, { origin: 'policy', what: 'authentication response too long' });
  });

  it('of a login may be as long as any other where those may be longer', () => {
    const options = { profile: { limits: { ...DEFAULT_LIMITS, commandLine: 20_000 } } };
    assert.match(heard(OPENED, line('AUTH PLAIN ', 20_000), options).clientHeard, /^501 5\.5\.2 Cannot decode/);
  });

  it('ends the session beyond 64 KiB, wherever it begins', () => {
    const behindAnother = behind(OPENED);
    behindAnother.clientSays(`FOO\r\n${line('NOOP ', 65537)}`);
    assert.equal(behindAnother.closed?.what, 'command line without end');

    const fits = heard(OPENED, line('NOOP ', 65536));
    assert.deepEqual([fits.clientHeard, fits.closed], [TOO_LONG, null]);
    const { clientHeard, closed } = heard(OPENED, line('NOOP ', 65537));
    const key = 'limits.session.command_line';
    assert.deepEqual([clientHeard, closed], [TOO_LONG, { origin: 'policy', what: 'command line without end', key }]);
  });

  it('each has 64 KiB of its own', () => {
    const harness = heard(OPENED, line('NOOP ', 40_000).repeat(2));
    assert.deepEqual([harness.clientHeard, harness.closed], [TOO_LONG.repeat(2), null]);
  });
});

describe('what may not begin a line', () => {
  it('is the first octet of a TLS handshake, whatever follows', () => {
    const { clientHeard, closed } = heard(OPENED, '\x16\x03\x01');
    const key = 'listeners[].implicit_tls';
    assert.equal(clientHeard, '500 5.5.1 This is an SMTP port\r\n');
    assert.deepEqual(closed, { origin: 'policy', what: 'TLS on a plain SMTP port', key });
    assert.equal(heard(OPENED, 'NOOP \x16\r\n').closed, null); // within a line it is an octet like another
    const line = behind(OPENED);
    line.clientSays('\x16 FOO\r\n');
    assert.equal(line.clientHeard, clientHeard);
  });

  it('is anything but a letter behind a login that may have agreed on a security layer', () => {
    const lines = [...OPENED, `C AUTH GSSAPI ${GSSAPI}`, 'S 235 in'];
    for (const octet of ['@', '[', '`', '{', '1', ' ', '\0', '\xe1']) {
      const { closed, upstreamHeard } = heard(lines, `${octet}\r\n`);
      assert.deepEqual(closed, { origin: 'policy', what: 'security layer behind a GSSAPI login' });
      assert.equal(upstreamHeard, '');
      const whole = behind(lines);
      whole.clientSays(`${octet}\r\n`);
      assert.deepEqual(whole.events, [], 'it is not read');
    }
    for (const octet of ['A', 'Z', 'a', 'z']) {
      const { clientHeard, closed } = heard(lines, `${octet}1 2\r\n`);
      assert.deepEqual([clientHeard, closed], [UNKNOWN, null]);
    }
    for (const octet of ['@', '1']) assert.equal(heard(OPENED, `${octet}\r\n`).closed, null); // without such a login
  });
});

const GSSAPI = Buffer.concat([Buffer.from('60820100', 'hex'), Buffer.alloc(256, 'k')]).toString('base64');

describe('the signature of a PROXY header of version 2', () => {
  const said = (octets: string): unknown => {
    const harness = behind(OPENED.slice(0, 1));
    harness.clientSays(octets);
    const refused = harness.events.filter((event) => event.name === 'refused').at(-1);
    return refused?.name === 'refused' ? refused.said : null;
  };

  it('is two empty lines and then a NUL, at the very start', () => {
    assert.equal(said('\r\n\r\n\0\r\n'), 'PROXY (version 2)');
    assert.equal(said('\r\n\r\nx\0\r\n'), 'x\0\r\n');
    assert.equal(said('\r\n\0\r\n'), '\0\r\n');
    assert.equal(said('\r\nFOO\r\n\0\r\n'), '\0\r\n');
    assert.equal(said('FOO\r\n\r\n\r\n\0\r\n'), '\0\r\n');
  });
});

describe('counted octets', () => {
  it('are so many and no more: what is behind them is a command', () => {
    const harness = heard(WITH_RECIPIENT, 'BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n');
    assert.equal(harness.upstreamHeard, 'BDAT 6 LAST\r\nNOOP\r\n');
    say(harness, 'S 250 taken');
    assert.equal(harness.takeUpstreamHeard(), 'BDAT 6 LAST\r\nNOOP\r\nNOOP\r\n');
  });
});

describe('mail data', () => {
  it('whose line is too long for the server ends the session, by the setting of that server', () => {
    for (const [upstream, key] of [
      ['default', 'upstream.text_line'],
      ['old', 'upstreams.old.text_line'],
    ] as const) {
      const options: HarnessOptions = { profile: { upstream, textLine: 8 } };
      assert.equal(heard(IN_MAIL_DATA, '123456\r\n', options).closed, null);
      const { clientHeard, upstreamHeard, closed } = heard(IN_MAIL_DATA, '1234567\r\n.\r\n', options);
      assert.equal(clientHeard, '554 5.6.0 Message refused: line too long\r\n');
      assert.equal(upstreamHeard, '1234567\r');
      assert.deepEqual(closed, { origin: 'policy', what: 'line of mail data too long', key });
    }
  });
});

describe('while the session holds', () => {
  it('octets wait in their order, however many pieces they come in, and none are kept behind its end', () => {
    const harness = behind([...OPENED, 'C NOOP'], { pushy: true });
    harness.clientSays('FO');
    harness.clientSays('O\r\nBA');
    harness.clientSays('R\r\n');
    assert.ok(harness.holding);
    assert.equal(harness.clientHeard, '');
    say(harness, 'S 250 ok');
    assert.equal(harness.clientHeard, `250 ok\r\n${UNKNOWN}${UNKNOWN}`);
    assert.equal(harness.holding, false);
    say(harness, 'C NOOP', 'C QUIT', 'C NOOP', 'S 250 ok', 'S 221 bye');
    assert.equal(harness.closed?.what, 'quit');
  });
});
