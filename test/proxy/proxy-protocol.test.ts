import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Endpoint, normaliseAddress } from '../../src/proxy/address.ts';
import {
  BAD,
  formatProxyHeader,
  INCOMPLETE,
  ProxyHeaderReader,
  readProxyHeader,
} from '../../src/proxy/proxy-protocol.ts';

const SIGNATURE = '0d0a0d0a000d0a515549540a';
const NOBODY = { source: null, destination: null };

/** The TCP4 addresses of the tests, as they stand in version 2. */
const FOUR = 'c0000201 cb007105 9c40 0019';
const FOUR_NAMED = named('192.0.2.1', 40000, '203.0.113.5', 25);
const SIX = '20010db8000000000000000000000001 20010db8000000000000000000000019 9c40 0019';
const SIX_NAMED = named('2001:db8::1', 40000, '2001:db8::19', 25);

function named(from: string, fromPort: number, to: string, toPort: number) {
  return { source: { address: from, port: fromPort }, destination: { address: to, port: toPort } };
}

/** A version 2 header: command, family, addresses in hexadecimal, and what stands behind them. */
function v2(command: string, family: string, addresses: string, more = Buffer.alloc(0), length?: number): Buffer {
  const rest = Buffer.concat([Buffer.from(addresses.replaceAll(' ', ''), 'hex'), more]);
  const count = Buffer.alloc(2);
  count.writeUInt16BE(length ?? rest.length);
  return Buffer.concat([Buffer.from(SIGNATURE + command + family, 'hex'), count, rest]);
}

function v1(line: string): Buffer {
  return Buffer.from(`${line}\r\n`, 'latin1');
}

const LONG_UNKNOWN = `PROXY UNKNOWN ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535`;

const GOOD: Readonly<Record<string, readonly [Buffer, { source: Endpoint | null; destination: Endpoint | null }]>> = {
  'version 1, IPv4': [v1('PROXY TCP4 192.0.2.1 203.0.113.5 40000 25'), FOUR_NAMED],
  'version 1, IPv6': [v1('PROXY TCP6 2001:db8::1 2001:db8::19 40000 25'), SIX_NAMED],
  'version 1, IPv6 in full and in capitals': [
    v1('PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0001 2001:DB8:0:0::19 40000 25'),
    SIX_NAMED,
  ],
  'version 1, IPv4 mapped into IPv6': [v1('PROXY TCP6 ::ffff:192.0.2.1 ::FFFF:203.0.113.5 40000 25'), FOUR_NAMED],
  'version 1, IPv4 mapped into IPv6 in hexadecimal': [
    v1('PROXY TCP6 ::ffff:c000:201 0:0:0:0:0:ffff:cb00:7105 40000 25'),
    FOUR_NAMED,
  ],
  'version 1, the least and the greatest port': [
    v1('PROXY TCP4 192.0.2.1 203.0.113.5 0 65535'),
    named('192.0.2.1', 0, '203.0.113.5', 65535),
  ],
  'version 1, no addresses': [v1('PROXY UNKNOWN'), NOBODY],
  'version 1, no addresses that count, at 107 octets': [v1(LONG_UNKNOWN), NOBODY],
  'version 2, IPv4': [v2('21', '11', FOUR), FOUR_NAMED],
  'version 2, IPv6': [v2('21', '21', SIX), SIX_NAMED],
  'version 2, IPv4 mapped into IPv6': [
    v2('21', '21', '00000000000000000000ffffc0000201 00000000000000000000ffffcb007105 9c40 0019'),
    FOUR_NAMED,
  ],
  'version 2, IPv4 and fields behind it': [v2('21', '11', FOUR, Buffer.from('0400010005000178', 'hex')), FOUR_NAMED],
  'version 2, IPv6 and fields behind it': [v2('21', '21', SIX, Buffer.alloc(300, '\r\n')), SIX_NAMED],
  'version 2, the longest': [v2('21', '11', FOUR, Buffer.alloc(65535 - 12)), FOUR_NAMED],
  'version 2, a health check of the balancer itself': [v2('20', '00', ''), NOBODY],
  'version 2, its own connection with addresses that do not count': [v2('20', '11', FOUR), NOBODY],
  'version 2, a client whose address the balancer cannot name': [v2('21', '00', ''), NOBODY],
  'version 2, the same with fields behind it': [v2('21', '00', '', Buffer.from('0400010005000178', 'hex')), NOBODY],
};

describe('a PROXY header', () => {
  for (const [what, [header, expected]] of Object.entries(GOOD)) {
    it(`is read: ${what}`, () => {
      const read = readProxyHeader(header);
      assert.deepEqual(read, { length: header.length, ...expected });
    });

    it(`is wanted to its last octet, and not an octet further: ${what}`, () => {
      for (let at = 0; at < header.length; at++)
        assert.equal(readProxyHeader(header.subarray(0, at)), INCOMPLETE, `${at}`);
      for (const behind of ['E', 'EHLO client.example\r\n', 'PROXY TCP4 10.0.0.1 10.0.0.1 1 1\r\n', '\r\n\r\n\0']) {
        const read = readProxyHeader(Buffer.concat([header, Buffer.from(behind, 'latin1')]));
        assert.deepEqual(read, { length: header.length, ...expected });
      }
    });
  }
});

const BAD_LINES = [
  'EHLO client.example',
  'proxy TCP4 192.0.2.1 203.0.113.5 40000 25',
  ' PROXY TCP4 192.0.2.1 203.0.113.5 40000 25',
  'PROXY',
  'PROXY  TCP4 192.0.2.1 203.0.113.5 40000 25',
  'PROXY TCP4  192.0.2.1 203.0.113.5 40000 25',
  'PROXY\tTCP4 192.0.2.1 203.0.113.5 40000 25',
  'PROXY TCP4 192.0.2.1 203.0.113.5 40000',
  'PROXY TCP4 192.0.2.1 203.0.113.5 40000 25 ',
  'PROXY TCP4 192.0.2.1 203.0.113.5 40000 25 26',
  'PROXY TCP4 192.0.2.1 203.0.113.5 40000 25\r',
  'PROXY TCP4 192.0.2.1 203.0.113.5 40000 25\0',
  'PROXY TCP4 192.0.2.1 203.0.113.5 65536 25',
  'PROXY TCP4 192.0.2.1 203.0.113.5 40000 99999',
  'PROXY TCP4 192.0.2.1 203.0.113.5 040000 25',
  'PROXY TCP4 192.0.2.1 203.0.113.5 40000 025',
  'PROXY TCP4 192.0.2.1 203.0.113.5 -1 25',
  'PROXY TCP4 192.0.2.1 203.0.113.5 +1 25',
  'PROXY TCP4 192.0.2.1 203.0.113.5 0x1 25',
  'PROXY TCP4 192.0.2.1 203.0.113.5 1e3 25',
  'PROXY TCP4 192.0.2.256 203.0.113.5 40000 25',
  'PROXY TCP4 010.0.0.1 203.0.113.5 40000 25',
  'PROXY TCP4 10.1 203.0.113.5 40000 25',
  'PROXY TCP4 3232235777 203.0.113.5 40000 25',
  'PROXY TCP4 2001:db8::1 2001:db8::19 40000 25',
  'PROXY TCP4 192.0.2.1 2001:db8::19 40000 25',
  'PROXY TCP6 192.0.2.1 203.0.113.5 40000 25',
  'PROXY TCP6 fe80::1%eth0 2001:db8::19 40000 25',
  'PROXY TCP6 [2001:db8::1] 2001:db8::19 40000 25',
  'PROXY TCP6 2001:db8::1::2 2001:db8::19 40000 25',
  'PROXY UDP4 192.0.2.1 203.0.113.5 40000 25',
  'PROXY TCP 192.0.2.1 203.0.113.5 40000 25',
  'PROXY UNKNOWNS',
  'PROXY UNKNOWN \x01',
  'PROXY unknown',
];

describe('what is not exactly a PROXY header', () => {
  for (const line of BAD_LINES) {
    it(`is bad: ${JSON.stringify(line)}`, () => assert.equal(readProxyHeader(v1(line)), BAD));
  }

  it('is bad when its line ends in a bare LF', () => {
    assert.equal(readProxyHeader(Buffer.from('PROXY TCP4 192.0.2.1 203.0.113.5 40000 25\n')), BAD);
    assert.equal(readProxyHeader(Buffer.from('PROXY UNKNOWN\n')), BAD);
  });

  it('is bad at the first octet that shows it', () => {
    assert.equal(readProxyHeader(Buffer.from('E')), BAD);
    assert.equal(readProxyHeader(Buffer.from('PROXy')), BAD);
    assert.equal(readProxyHeader(Buffer.from('\r\n\r\n\0\r\nQUIX')), BAD);
  });

  it('is bad at 107 octets without an end, and at 108 with one', () => {
    const endless = Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`);
    assert.equal(readProxyHeader(endless.subarray(0, 106)), INCOMPLETE);
    assert.equal(readProxyHeader(endless.subarray(0, 107)), BAD);
    assert.equal(readProxyHeader(v1(`${LONG_UNKNOWN}5`)), BAD);
  });

  it('is bad when its addresses are cut short', () => {
    assert.equal(readProxyHeader(v2('21', '11', FOUR.slice(0, -2))), BAD);
    assert.equal(readProxyHeader(v2('21', '21', SIX.slice(0, -2))), BAD);
    assert.equal(readProxyHeader(v2('21', '21', FOUR)), BAD);
  });

  it('is bad for another version, command, family or transport', () => {
    for (const command of ['00', '01', '11', '22', '2f', '31', 'a1']) {
      assert.equal(readProxyHeader(v2(command, '11', FOUR)), BAD, command);
    }
    for (const family of ['01', '10', '12', '20', '22', '31', '32', '41', 'f1']) {
      assert.equal(readProxyHeader(v2('21', family, SIX)), BAD, family);
    }
  });
});

// --- any header, any cut, any octet changed

const port = fc.integer({ min: 0, max: 65535 });
const group = fc.integer({ min: 0, max: 0xffff });
const ipv4 = fc.ipV4();
const ipv6 = fc
  .array(group, { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((one) => one.toString(16)).join(':'));

const version1 = fc
  .oneof(fc.tuple(fc.constant('TCP4'), ipv4, ipv4, port, port), fc.tuple(fc.constant('TCP6'), ipv6, ipv6, port, port))
  .map((fields) => v1(`PROXY ${fields.join(' ')}`));

const version2 = fc
  .oneof(
    fc.tuple(fc.constant('11'), fc.uint8Array({ minLength: 12, maxLength: 40 })),
    fc.tuple(fc.constant('21'), fc.uint8Array({ minLength: 36, maxLength: 60 })),
  )
  .map(([family, rest]) => v2('21', family, Buffer.from(rest).toString('hex')));

const header = fc.oneof(version1, version2);

/** The one spelling of an address, by a reader that is not ours; mapped IPv4 as IPv4. */
function canonical(text: string): string {
  const { hostname } = new URL(text.includes(':') ? `http://[${text}]/` : `http://${text}/`);
  const mapped = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname);
  if (mapped === null) return hostname.replace(/[[\]]/g, '');
  const [high, low] = [mapped[1], mapped[2]].map((hex) => Number.parseInt(hex as string, 16)) as [number, number];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** What stands in a header, read naively: [from, to, port, port]. */
function standsIn(octets: Buffer, length: number): (string | number)[] {
  if (octets[0] === 0x50) {
    const [, , from = '', to = '', fromPort, toPort] = octets.toString('latin1', 0, length - 2).split(' ');
    return [canonical(from), canonical(to), Number(fromPort), Number(toPort)];
  }
  const size = octets[13] === 0x11 ? 4 : 16;
  const address = (at: number): string => {
    const part = octets.subarray(at, at + size);
    return canonical(size === 4 ? part.join('.') : (part.toString('hex').match(/..../g) ?? []).join(':'));
  };
  const ports = 16 + 2 * size;
  return [address(16), address(16 + size), octets.readUInt16BE(ports), octets.readUInt16BE(ports + 2)];
}

describe('any PROXY header', () => {
  it('is incomplete at every cut, and complete at its end', () => {
    fc.assert(
      fc.property(header, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (octets, cut) => {
        assert.equal(readProxyHeader(octets.subarray(0, Math.floor(octets.length * cut))), INCOMPLETE);
        const read = readProxyHeader(octets);
        assert.ok(typeof read === 'object');
        assert.equal(read.length, octets.length);
      }),
      { numRuns: 500 },
    );
  });

  it('is bad with an octet changed, or names exactly the addresses that then stand in it', () => {
    fc.assert(
      fc.property(header, fc.nat(), fc.integer({ min: 1, max: 255 }), (octets, where, difference) => {
        const changed = Buffer.from(octets);
        const at = where % octets.length;
        changed[at] = (changed[at] as number) ^ difference;
        const read = readProxyHeader(changed);
        if (typeof read !== 'object') return;
        const { source, destination, length } = read;
        if (source === null || destination === null) {
          // Version 2 only: the bit between PROXY and LOCAL, or a family that became UNSPEC.
          assert.ok((at === 12 && changed[12] === 0x20) || (at === 13 && changed[13] === 0x00), `${at}`);
          return;
        }
        assert.deepEqual(
          [source.address, destination.address, source.port, destination.port],
          standsIn(changed, length),
        );
      }),
      { numRuns: 3000 },
    );
  });
});

describe('a header that we write', () => {
  const endpoint = (address: fc.Arbitrary<string>) =>
    fc.record({ address, port: fc.integer({ min: 1, max: 65_535 }) }, { noNullPrototype: true });
  const anyAddress = fc.oneof(
    fc.ipV4(),
    fc
      .ipV6()
      .map((text) =>
        normaliseAddress(new URL(`http://[${text.replace(/:(\d+\.){3}\d+$/, ':1:2')}]/`).hostname.slice(1, -1)),
      ),
  );

  it('is read as the two ends that it was written for, in both versions', () => {
    fc.assert(
      fc.property(
        endpoint(anyAddress),
        endpoint(anyAddress),
        fc.constantFrom(1 as const, 2 as const),
        (source, destination, version) => {
          const header = formatProxyHeader(version, { source, destination });
          assert.deepEqual(readProxyHeader(header), { length: header.length, source, destination });
        },
      ),
    );
  });

  it('names a client and a local address of different families in one', () => {
    const ends = { source: { address: '192.0.2.1', port: 40000 }, destination: { address: '2001:db8::19', port: 25 } };
    assert.equal(
      formatProxyHeader(1, ends).toString('latin1'),
      'PROXY TCP6 ::ffff:192.0.2.1 2001:db8::19 40000 25\r\n',
    );
    for (const version of [1, 2] as const) {
      const header = formatProxyHeader(version, ends);
      assert.deepEqual(readProxyHeader(header), { length: header.length, ...ends });
    }
  });

  it('names nobody where it is our own question', () => {
    for (const version of [1, 2] as const) {
      const header = formatProxyHeader(version, null);
      assert.deepEqual(readProxyHeader(header), { length: header.length, ...NOBODY });
    }
  });
});

describe('a PROXY header in pieces', () => {
  const early = Buffer.from('EHLO client.example\r\n');
  const certificate = Buffer.alloc(65535 - 12, '-----BEGIN CERTIFICATE-----');

  for (const [what, header, expected] of [
    ['the longest of version 2', v2('21', '11', FOUR, certificate), FOUR_NAMED],
    ['the longest that names nobody', v2('20', '00', '', Buffer.alloc(65535)), NOBODY],
    ['one with a client certificate', v2('21', '21', SIX, Buffer.alloc(4725)), SIX_NAMED],
    ['the longest of version 1', v1(LONG_UNKNOWN), NOBODY],
  ] as const) {
    for (const size of [1, 7, 1460, 70_000]) {
      it(`is ${what}, read ${size} octets at a time, and keeps what stands behind it`, () => {
        const all = Buffer.concat([header, early]);
        const reader = new ProxyHeaderReader();
        let at = 0;
        for (;;) {
          const found = reader.take(all.subarray(at, at + size));
          at += size;
          if (found === INCOMPLETE) continue;
          assert.deepEqual(found, { length: header.length, ...expected });
          break;
        }
        const behind = Buffer.concat([reader.bytes.subarray(header.length), all.subarray(at)]);
        assert.equal(behind.toString('latin1'), early.toString('latin1'));
      });
    }
  }

  it('is bad with the first octet that cannot be one', () => {
    const reader = new ProxyHeaderReader();
    assert.equal(reader.take(Buffer.from('PROX')), INCOMPLETE);
    assert.equal(reader.take(Buffer.from('I')), BAD);
  });
});
