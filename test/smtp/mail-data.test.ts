// The end of mail data, exhaustively: every text of up to six octets that matter, as twelve kinds of server read it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ENDED, LINE_TOO_LONG, MailData, type MailDataOptions, MORE, REFUSED } from '../../src/smtp/mail-data.ts';
import { type Cut, cutAtRandom, everyOctet, whole } from '../helpers/cuts.ts';
import { DIALECTS, type Dialect, LineReader } from '../helpers/dialects.ts';

const RUNS = Number(process.env.POSTERN_FUZZ_RUNS ?? 1000);
const MOST = Number(process.env.POSTERN_TEXTS ?? 6); // octets
const ANY = Number.POSITIVE_INFINITY;
const REJECT: MailDataOptions = { bareLf: 'reject', dotLines: 'pass', textLine: ANY };
const OCTETS = ['.', '\r', '\n', '\0', ' ', 'x'];

interface Outcome {
  readonly found: number;
  readonly emitted: string;
  /** Octets of the text that are not mail data any more; -1 when it did not end. */
  readonly behind: number;
}

function scan(text: string, options: MailDataOptions, cut: Cut = whole): Outcome {
  const emitted: Buffer[] = [];
  const mailData = new MailData(options, (bytes) => emitted.push(Buffer.from(bytes)));
  const heard = (): string => Buffer.concat(emitted).toString('latin1');
  let offset = 0;
  for (const chunk of cut(Buffer.from(text, 'latin1'), 0)) {
    const found = mailData.scan(chunk, 0);
    if (found === ENDED) emitted.push(mailData.terminator);
    if (found === ENDED) return { found, emitted: heard(), behind: text.length - offset - mailData.end };
    if (found === REFUSED || found === LINE_TOO_LONG) return { found, emitted: heard(), behind: -1 };
    offset += chunk.length;
  }
  return { found: MORE, emitted: heard(), behind: -1 };
}

function* textsOf(octets: readonly string[], most: number): Generator<string> {
  let texts = [''];
  for (let length = 1; length <= most; length++) {
    texts = texts.flatMap((text) => octets.map((octet) => text + octet));
    yield* texts;
  }
}

/** Octets behind what this server takes for the end of mail data; -1 when it sees none. */
function behindEnd(dialect: Dialect, octets: string): number {
  const reader = new LineReader(dialect);
  reader.append(Buffer.from(octets, 'latin1'));
  for (let line = reader.data(); line !== null; line = reader.data()) {
    if (reader.endsData(line)) return reader.take(octets.length).length;
  }
  return -1;
}

for (const options of [
  REJECT,
  { bareLf: 'normalize', dotLines: 'pass', textLine: ANY },
  { bareLf: 'reject', dotLines: 'strict', textLine: ANY },
] as const) {
  const dialects = DIALECTS.filter((dialect) => dialect !== 'dotany' || options.dotLines === 'strict');
  test(`with ${options.bareLf} and dot lines ${options.dotLines} every server sees the same end of mail data, or none`, () => {
    for (const text of textsOf(OCTETS, MOST)) {
      const { found, emitted } = scan(text, options);
      for (const dialect of dialects) {
        const behind = behindEnd(dialect, emitted);
        const agrees = found === ENDED ? behind === 0 : behind === -1;
        assert.ok(agrees, `${JSON.stringify(text)} went on as ${JSON.stringify(emitted)}; ${dialect} ended on it`);
      }
    }
  });
}

test('mail data ends at the first CRLF . CRLF, or at a first line of a dot, and what is behind it is not touched', () => {
  assert.deepEqual(scan('.\r\nNOOP', REJECT), { found: ENDED, emitted: '.\r\n', behind: 4 });
  assert.deepEqual(scan('x\r\n.\r\n.\r\n', REJECT), { found: ENDED, emitted: 'x\r\n.\r\n', behind: 3 });
  assert.deepEqual(scan('x.\r\n..\r\n', REJECT), { found: MORE, emitted: 'x.\r\n..\r\n', behind: -1 });
});

test('text without a dot passes untouched, whatever stands in it', () => {
  for (const text of textsOf(OCTETS.slice(1), MOST)) {
    assert.deepEqual(scan(text, REJECT), { found: MORE, emitted: text, behind: -1 });
  }
});

test('a line that begins with a dot and goes on with text passes untouched', () => {
  for (const end of ['\r\n', '\n', '\r']) {
    for (const start of ['.x', '..', '. x', '.\tx', '..\r\n.x']) {
      const text = `a${end}${start}${end}b`;
      assert.deepEqual(scan(text, REJECT), { found: MORE, emitted: text, behind: -1 });
    }
  }
});

test('a dot and whatever a server may trim from a line is no end that one server sees alone', () => {
  const trims = [
    (line: string) => line.trim(), // JavaScript
    (line: string) => line.replace(/[\s\x1c-\x1f\x85]+$/u, ''), // Python
    (line: string) => Buffer.from(line, 'latin1').toString('utf8').trim(),
    (line: string) =>
      Buffer.from(line, 'latin1')
        .toString('utf8')
        .replace(/[\s\x1c-\x1f\x85]+$/u, ''),
  ];
  const octets = Array.from({ length: 256 }, (_, octet) => String.fromCharCode(octet));
  const characters = Array.from({ length: 0xff00 }, (_, point) => String.fromCharCode(point + 0x100));
  const encoded = characters.filter((one) => /\s/u.test(one)).map((one) => Buffer.from(one).toString('latin1'));
  let seen = 0;
  for (const blank of [...octets, '\xc2\x85', '\xc2\xa0', ...encoded, '\xef\xbb\xbf', '\v\f \xa0', ' \xe3\x80\x80\t']) {
    if (blank === '\r' || blank === '\n' || !trims.some((trim) => trim(`.${blank}`) === '.')) continue;
    seen++;
    assert.equal(scan(`a\r\n.${blank}\r\nb`, REJECT).found, REFUSED, JSON.stringify(blank));
    assert.equal(scan(`a\r\n.${blank}x\r\nb`, REJECT).emitted, `a\r\n.${blank}x\r\nb`);
  }
  assert.ok(seen > 25);
  for (const text of ['.\xc3\xa9', '.\xe2\x82\xac', '.\xe6\x97\xa5', '.\xe9'])
    assert.equal(scan(`a\r\n${text}\r\nb`, REJECT).found, MORE, 'letters that nobody trims');
});

test('64 octets are held and let go, the 65th refuses the message', () => {
  for (const [text, found] of [
    [`.${' '.repeat(63)}x`, MORE],
    [`.${' '.repeat(64)}x`, REFUSED],
  ] as const) {
    assert.equal(scan(text, REJECT).found, found);
    assert.equal(scan(text, REJECT, everyOctet).found, found);
  }
  assert.equal(scan(`.${' '.repeat(63)}`, REJECT).emitted, '');
});

test('normalize stuffs the lone dot and changes nothing else', () => {
  const options: MailDataOptions = { bareLf: 'normalize', dotLines: 'pass', textLine: ANY };
  assert.equal(scan('a\n.\nb', options).emitted, 'a\n..\nb');
  assert.equal(scan('a\n.\r\nb', options).emitted, 'a\n..\r\nb');
  assert.equal(scan('a\r\n.\r\r\nb', options).emitted, 'a\r\n..\r\r\nb');
  assert.equal(scan('a\r\n. \r\n.\r\n', options).emitted, 'a\r\n.. \r\n.\r\n');
});

test('however mail data is cut, the outcome is the same', () => {
  const text = fc.array(fc.constantFrom(...OCTETS, '\t', '\r\n', '\r\n.', 'text', ' '.repeat(30)), { maxLength: 14 });
  const options = fc.record({
    bareLf: fc.constantFrom('reject', 'normalize', 'pass'),
    dotLines: fc.constantFrom('pass', 'strict'),
    textLine: fc.constantFrom(ANY, 3, 8, 40),
  });
  fc.assert(
    fc.property(text, options, fc.nat(), (octets, given, seed) => {
      const joined = octets.join('');
      const plain = scan(joined, given);
      assert.deepEqual(scan(joined, given, everyOctet), plain);
      assert.deepEqual(scan(joined, given, cutAtRandom(seed, 5)), plain);
    }),
    { numRuns: RUNS },
  );
});

test('every short text comes out the same wherever it is cut', () => {
  for (const text of textsOf(OCTETS, MOST - 1)) {
    const plain = scan(text, REJECT);
    assert.deepEqual(scan(text, REJECT, everyOctet), plain, JSON.stringify(text));
    for (let place = 1; place < text.length; place++) {
      const cut: Cut = (octets) => [octets.subarray(0, place), octets.subarray(place)];
      assert.deepEqual(scan(text, REJECT, cut), plain, `${JSON.stringify(text)} cut at ${place}`);
    }
  }
});

test('of a line longer than it may be nothing goes on behind the last octet that may, wherever the stream is cut', () => {
  const options: MailDataOptions = { ...REJECT, textLine: 8 };
  for (const line of ['123456\r\n', '12\n345\r\n', '12\r345\r\n', '..2345\r\n']) {
    const long = `0${line}`;
    for (const before of ['', 'x\r\n', '..\r\n']) {
      for (const cut of [whole, everyOctet, cutAtRandom(7, 5), cutAtRandom(8, 5)]) {
        const passed = `${before}${line}.\r\n`;
        assert.deepEqual(scan(passed, options, cut), { found: ENDED, emitted: passed, behind: 0 });
        const { found, emitted } = scan(`${before}${long}MAIL FROM:<a@b.example>\r\n`, options, cut);
        assert.deepEqual([found, emitted], [LINE_TOO_LONG, `${before}${long.slice(0, 8)}`]);
      }
    }
  }
  const stuffed: MailDataOptions = { ...options, bareLf: 'normalize' };
  for (const cut of [whole, everyOctet, cutAtRandom(7, 5)]) {
    assert.deepEqual(scan('1\n.\n5\r\n.\r\n', stuffed, cut), { found: ENDED, emitted: '1\n..\n5\r\n.\r\n', behind: 0 });
    const { found, emitted } = scan('1\n.\n56\r\n.\r\n', stuffed, cut); // eight octets, and the dot of our own
    assert.deepEqual([found, emitted], [LINE_TOO_LONG, '1\n..\n56\r']);
  }
  const behind = `.\r\nNOOP ${'x'.repeat(20)}\r\n`;
  assert.deepEqual(scan(behind, options), { found: ENDED, emitted: '.\r\n', behind: behind.length - 3 });
});

test('what was read in two ways is kept for the log, with the line end before the dot, and where the dot stands', () => {
  for (const [text, octets, offset] of [
    ['.\n', '\r\n.\n', 0],
    ['text\n.\r\n', '\n.\r\n', 5],
    ['text\r\n.\n', '\r\n.\n', 6],
    ['a\r.\r\n', '\r.\r\n', 2],
    ['\0.\n', '\0.\n', 1],
    ['x\r\n.\r\r\n', '\r\n.\r\r\n', 3],
    ['x\r\n.\rx\n', '\r\n.\rx', 3],
    ['x\n.\rx', '\n.\r', 2],
    ['x\r\n.\0', '\r\n.\0', 3],
    ['.a\r\n. \t\n', '\r\n. \t\n', 4],
    [`x\r\n.${' '.repeat(70)}`, `\r\n.${' '.repeat(64)}`, 3],
  ] as const) {
    const before = 'DATA\r\n'; // the chunk begins with it
    const whole = new MailData(REJECT, () => {});
    assert.equal(whole.scan(Buffer.from(before + text, 'latin1'), before.length), REFUSED);
    assert.deepEqual([whole.ambiguous, whole.ambiguousAt], [octets, offset]);
    const cut = new MailData(REJECT, () => {});
    const octetsBehind = [...text].map((octet) => Buffer.from(`${before}${octet}`, 'latin1'));
    assert.ok(octetsBehind.some((chunk) => cut.scan(chunk, before.length) === REFUSED));
    assert.equal(cut.ambiguousAt, offset);
  }
});

test('octet by octet what is kept for the log is as long as it was when it was refused', () => {
  const mailData = new MailData(REJECT, () => {});
  const found = [...'text\r\n. \t\n'].map((octet) => mailData.scan(Buffer.from(octet), 0));
  assert.deepEqual(found.slice(-2), [MORE, REFUSED]);
  assert.deepEqual([mailData.ambiguous, mailData.ambiguousAt], ['\r\n. \t\n', 6]);
});

test('a dot that an earlier chunk ended with is let go, or is the end, with what the next one brings', () => {
  for (const [first, second, emitted] of [
    ['a\r\n.', 'x\r\n.\r\nNOOP', 'a\r\n.x\r\n.\r\n'],
    ['a\r\n.\r', '\nNOOP', 'a\r\n.\r\n'],
    ['a\r\n.', '.\r\n.x\r\n.\r\nNOOP', 'a\r\n..\r\n.x\r\n.\r\n'],
  ] as const) {
    const cut: Cut = (octets) => [octets.subarray(0, first.length), octets.subarray(first.length)];
    assert.deepEqual(scan(first + second, REJECT, cut), { found: ENDED, emitted, behind: 4 });
  }
});

test('with bare_lf pass what two servers read in two ways goes on as it came', () => {
  const options: MailDataOptions = { ...REJECT, bareLf: 'pass' };
  for (const text of ['a\n.\nb', 'a\n.\r\nb', 'a\r\n. \r\nb', 'a\n.\n.\n.\r.\rb']) {
    for (const cut of [whole, everyOctet]) {
      assert.deepEqual(scan(text, options, cut), { found: MORE, emitted: text, behind: -1 });
    }
  }
});

test('with dot_lines strict a line that starts with one dot is refused, and one with two, or the end, is not', () => {
  const options: MailDataOptions = { ...REJECT, dotLines: 'strict' };
  for (const cut of [whole, everyOctet]) {
    for (const text of ['.x', '. x', '.\t', '. .', 'a\r\n.x', 'a\n.x']) {
      assert.equal(scan(`${text} and so on`, options, cut).found, REFUSED, JSON.stringify(text));
    }
    const passed = '..\r\n..x\r\nx.y\r\n.\r\n';
    assert.deepEqual(scan(passed, options, cut), { found: ENDED, emitted: passed, behind: 0 });
  }
});

test('a line that begins with a bare LF at the start of mail data is one line', () => {
  const options: MailDataOptions = { ...REJECT, textLine: 4 };
  for (const cut of [whole, everyOctet]) {
    assert.deepEqual(scan('\n1\r\n\n1\r\n', options, cut), { found: MORE, emitted: '\n1\r\n\n1\r\n', behind: -1 });
    assert.equal(scan('\n12\r\n', options, cut).found, LINE_TOO_LONG);
  }
});

test('the same memory may hold the next chunk: what stood in it before says nothing', () => {
  const emitted: string[] = [];
  const mailData = new MailData(REJECT, (bytes) => emitted.push(bytes.toString('latin1')));
  const memory = Buffer.alloc(64, 'x');
  memory[20] = 0x2e;
  assert.equal(mailData.scan(memory, 0), MORE);
  const first = memory.toString('latin1');
  memory.write('\r\n.\r\n', 48);
  assert.equal(mailData.scan(memory, 10), ENDED);
  assert.equal(mailData.end, 53);
  assert.equal(emitted.join(''), `${first}${first.slice(10, 48)}\r\n`);
});
