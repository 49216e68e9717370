import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromXtext, offeredAttributes, xclientCommands, xforwardCommands } from '../../src/smtp/client-identity.ts';
import { CLIENT } from '../helpers/identity.ts';

const XCLIENT = ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'LOGIN', 'DESTADDR', 'DESTPORT'];
const XFORWARD = ['NAME', 'ADDR', 'PROTO', 'HELO', 'SOURCE', 'PORT'];

function text(commands: readonly Buffer[]): string {
  return commands.map((one) => one.toString('latin1')).join('');
}

test('an IPv6 address says that it is one', () => {
  const client = { ...CLIENT, address: '2001:db8::1', localAddress: '2001:db8::25' };
  assert.equal(
    text(xclientCommands(client, ['ADDR', 'DESTADDR'])),
    'XCLIENT ADDR=IPV6:2001:db8::1 DESTADDR=IPV6:2001:db8::25\r\n',
  );
});

test('a name that DNS does not give, or not now, is said so', () => {
  for (const [name, said] of [
    ['mail.example', 'mail.example'],
    [null, '[UNAVAILABLE]'],
    [undefined, '[TEMPUNAVAIL]'],
    ['evil name.example', '[UNAVAILABLE]'],
    ['x\r\nRCPT TO:<a@b>', '[UNAVAILABLE]'],
    [`${'a'.repeat(60)}.`.repeat(5), '[UNAVAILABLE]'],
    ['a', 'a'],
    ['a.b.c', 'a.b.c'],
    ['-a', '[UNAVAILABLE]'],
    [`${'a.'.repeat(126)}b`, `${'a.'.repeat(126)}b`],
    [`${'a.'.repeat(126)}bc`, '[UNAVAILABLE]'],
  ] as const) {
    assert.equal(text(xclientCommands({ ...CLIENT, name }, ['NAME'])), `XCLIENT NAME=${said}\r\n`);
  }
});

test('nothing is said to a server that offers no attribute that we know', () => {
  assert.deepEqual(xclientCommands(CLIENT, ['PROTO', 'HELO', 'FUTURE']), []);
  assert.deepEqual(xforwardCommands(CLIENT, 'x', true, []), []);
});

test('what a server offers is read in any case, and only as words', () => {
  assert.deepEqual(offeredAttributes('Name ADDR  p0rt \x00 PORT'), ['NAME', 'ADDR', 'PORT']);
});

test('XFORWARD says HELO and protocol as the client has them', () => {
  assert.equal(
    text(xforwardCommands(CLIENT, 'pc.example', true, XFORWARD)),
    'XFORWARD NAME=client.example ADDR=192.0.2.1 PORT=40000 HELO=pc.example PROTO=ESMTP SOURCE=REMOTE\r\n',
  );
  assert.equal(text(xforwardCommands(CLIENT, 'pc', false, ['PROTO', 'HELO'])), 'XFORWARD HELO=pc PROTO=SMTP\r\n');
  assert.equal(text(xforwardCommands(CLIENT, '', true, ['HELO'])), 'XFORWARD HELO=[UNAVAILABLE]\r\n');
});

test('xtext is undone octet by octet, and what is none stays', () => {
  assert.equal(fromXtext('a+2Bb+3D+0Dc'), 'a+b=\rc');
  assert.equal(fromXtext('a+zz+2b+2'), 'a+zz+2b+2');
});

test('a HELO cannot become another attribute (ST-54)', () => {
  assert.equal(
    text(xforwardCommands(CLIENT, 'x+0D+0AADDR=127.0.0.1 LOGIN=admin', true, ['HELO'])),
    'XFORWARD HELO=x+2B0D+2B0AADDR+3D127.0.0.1+20LOGIN+3Dadmin\r\n',
  );
});

test('a line that would be longer than 512 octets becomes two, and a value that fits none is not said', () => {
  const long = (octets: number): string[] => {
    const lines = xforwardCommands(CLIENT, 'h'.repeat(octets), true, XFORWARD);
    return lines.map((line) => line.toString('latin1').replace(/h+/, (name) => `${name.length}h`));
  };
  const before = 'XFORWARD NAME=client.example ADDR=192.0.2.1 PORT=40000';
  const room = 512 - `${before} HELO= PROTO=ESMTP SOURCE=REMOTE\r\n`.length;
  assert.deepEqual(long(room), [`${before} HELO=${room}h PROTO=ESMTP SOURCE=REMOTE\r\n`]);
  assert.deepEqual(long(room + 1), [`${before} HELO=${room + 1}h PROTO=ESMTP\r\n`, 'XFORWARD SOURCE=REMOTE\r\n']);
  const whole = 512 - 'XFORWARD HELO=\r\n'.length;
  assert.equal(long(whole)[1], `XFORWARD HELO=${whole}h\r\n`);
  assert.match(long(whole + 1)[0] ?? '', / HELO=\[UNAVAILABLE\] /);
});

test('whatever a client calls itself, each line is one command of known attributes, and says the name that it said', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), (octets) => {
      const helo = Buffer.from(octets).toString('latin1');
      const lines = xforwardCommands(CLIENT, helo, true, XFORWARD).map((line) => line.toString('latin1'));
      for (const line of lines) {
        assert.ok(line.length <= 512);
        assert.match(line, /^XFORWARD( (NAME|ADDR|PORT|HELO|PROTO|SOURCE)=[!-<>-~]+)+\r\n$/);
      }
      const said = /HELO=(\S*)/.exec(lines.join(''))?.[1] ?? '';
      const read = said.replace(/\+([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      assert.ok(read === helo || said === '[UNAVAILABLE]');
    }),
  );
  const names = XCLIENT.filter((name) => name !== 'PROTO' && name !== 'HELO');
  assert.ok(names.every((name) => text(xclientCommands(CLIENT, XCLIENT)).includes(` ${name}=`)));
});
