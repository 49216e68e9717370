// What may be pointed at: folders, patterns, compressed files, encodings, and what is wrong with them.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { inOrder } from '../../src/moving-in/inputs.ts';
import { folder, read, readFiles, write } from './read.ts';
import { zip } from './zip.ts';

/** One message of this source, in Exim's words: a line is enough. */
const message = (source: string, day = 2): string =>
  `2026-01-0${day} 08:00:00 +0000 1vb0aa-000000001aB-0cDe <= a@example.com H=(héllo) [${source}] P=esmtp S=9 for b@example.com\n`;

test('the same log as UTF-8, UTF-16 with and without mark, Windows-1252, with CRLF, in gzip and from standard input', async () => {
  const text = message('198.51.100.17').replace('\n', '\r\n');
  const utf16 = Buffer.from(text, 'utf16le');
  const forms: Record<string, Buffer> = {
    plain: Buffer.from(text),
    mark: Buffer.from(`\ufeff${text}`),
    utf16le: Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]),
    utf16be: Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(utf16).swap16()]),
    unmarked: utf16,
    windows: Buffer.from(text, 'latin1'),
    gzip: gzipSync(text),
  };
  for (const [form, octets] of Object.entries(forms)) {
    const { told } = await read(octets);
    assert.deepEqual(
      told.map(({ source, helo }) => [source, helo]),
      [['198.51.100.17', 'héllo']],
      form,
    );
  }
  const stdin = (async function* () {
    for (const octet of forms.gzip as Buffer) yield Buffer.from([octet]); // cut everywhere
  })();
  const { told, report } = await readFiles(['-'], { stdin });
  assert.equal(told[0]?.file, 'standard input');
  assert.deepEqual(report.problems, []);
});

test('a folder is gone through in the order of its days, and what is no log there is only noted', async () => {
  const own = join(folder, 'days');
  mkdirSync(join(own, 'below'), { recursive: true });
  writeFileSync(join(own, 'RECV2026-10.LOG'), message('192.0.2.10'));
  writeFileSync(join(own, 'RECV2026-9.LOG'), message('192.0.2.9'));
  writeFileSync(join(own, 'below', 'z.log.gz'), gzipSync(message('192.0.2.1')));
  writeFileSync(join(own, 'readme.txt'), 'hello\n');
  const { told, report } = await readFiles([own]);
  assert.deepEqual(
    told.map(({ source }) => source),
    ['192.0.2.1', '192.0.2.9', '192.0.2.10'],
  );
  assert.deepEqual(report.problems, []);
  assert.match(report.notes[0] ?? '', /readme\.txt: no log that is known.*left out/);
  const some = await readFiles([join(own, 'RECV*.LOG')]);
  assert.equal(some.told.length, 2);
});

test("Exim's other logs repeat its mainlog: in a folder or an archive they are left out, which is said", async () => {
  const own = join(folder, 'exim');
  mkdirSync(own);
  for (const name of ['mainlog', 'rejectlog', 'rejectlog.1', 'paniclog', 'exim_rejectlog-20260102'])
    writeFileSync(join(own, name), message('192.0.2.1'));
  writeFileSync(
    join(own, 'logs.zip'),
    zip([
      ['exim/mainlog', message('192.0.2.2')],
      ['exim/rejectlog', message('192.0.2.3')],
    ]),
  );
  const { told, report } = await readFiles([own]);
  assert.deepEqual(told.map(({ source }) => source).toSorted(), ['192.0.2.1', '192.0.2.2']);
  assert.equal(report.notes.filter((note) => /(reject|panic)log[^:]*: Exim says there again/.test(note)).length, 5);
  assert.equal((await readFiles([join(own, 'rejectlog')])).told.length, 1);
});

test('rotated files come the oldest first', () => {
  assert.deepEqual(inOrder(['mail.log', 'mail.log.1', 'mail.log.10.gz', 'mail.log.2.gz']), [
    'mail.log.10.gz',
    'mail.log.2.gz',
    'mail.log.1',
    'mail.log',
  ]);
});

test('a .zip is looked into, whatever the names in it are', async () => {
  const own = join(folder, 'zip');
  mkdirSync(own);
  const put = (name: string, octets: Buffer): string => {
    writeFileSync(join(own, name), octets);
    return join(own, name);
  };
  const two = put(
    'a.zip',
    zip([
      ['a-2.log', message('192.0.2.2')],
      ['a-1.log', message('192.0.2.1')],
    ]),
  );
  const seen = async (path: string): Promise<string[]> =>
    (await readFiles([path])).told.map(({ source, file }) => `${source} ${file.slice(own.length + 1)}`);
  assert.deepEqual(await seen(two), ['192.0.2.1 a.zip:a-1.log', '192.0.2.2 a.zip:a-2.log']);
  const windows = [
    ['C:\\Logs\\RECV1.LOG', message('192.0.2.3')],
    ['..\\RECV2.LOG', gzipSync(message('192.0.2.4'))],
    ['Logs\\RECV3.LOG', Buffer.from(`\ufeff${message('192.0.2.5')}`, 'utf16le')],
    ['__MACOSX/RECV4.LOG', message('192.0.2.6')],
  ] as const;
  assert.deepEqual(await seen(put('b.zip', zip(windows))), [
    '192.0.2.4 b.zip:../RECV2.LOG',
    '192.0.2.3 b.zip:C:/Logs/RECV1.LOG',
    '192.0.2.5 b.zip:Logs/RECV3.LOG',
  ]);
  const why = async (octets: Buffer): Promise<string> =>
    (await readFiles([put('c.zip', octets)])).report.problems[0] ?? '';
  assert.match(await why(zip([])), /c\.zip: no file is in this archive/);
  assert.match(await why(zip(windows).subarray(0, -30)), /c\.zip: .*is this \.zip cut off\?/);
  assert.match(await why(zip([['a.log', message('192.0.2.7')]], true)), /c\.zip:a\.log: it is encrypted/);
});

test('who waits for standard input is interrupted all the same', async () => {
  const interrupted = new AbortController();
  const said: string[] = [];
  const stdin = (async function* () {
    yield Buffer.from(message('192.0.2.1'));
    said.push('the first is read');
    setImmediate(() => interrupted.abort());
    await new Promise(() => {}); // and nothing more, for ever
  })();
  await assert.rejects(readFiles(['-'], { stdin, signal: interrupted.signal }), { name: 'AbortError' });
  assert.deepEqual(said, ['the first is read']);
});

test('what cannot be read says so: missing, empty, binary, cut off, settings, a mixture', async () => {
  const problem = async (path: string): Promise<string> => {
    const { report } = await readFiles([path]);
    return report.problems[0] ?? report.notes[0] ?? '';
  };
  assert.match(await problem(join(folder, 'nowhere')), /nowhere: there is no such file or folder/);
  assert.match(await problem(join(folder, 'no*where')), /no file matches/);
  assert.match(await problem(write('')), /it is empty/);
  assert.match(await problem(write(Buffer.from([1, 2, 3, 0, 10, 255]))), /it is no text/);
  assert.match(
    await problem(write('#Software: Microsoft Exchange Server\r#Version: 14.0.0.0\r')),
    /its lines end with CR alone/,
  );
  const turned = await read(
    Buffer.concat([
      Buffer.from(`\ufeff${message('192.0.2.1')}`, 'utf16le'),
      Buffer.from(`${message('192.0.2.2')}\r\n`),
    ]),
  );
  assert.match(turned.report.unknownLines[0]?.why ?? '', /another encoding begins/);
  const saved = await read(
    '#Log-type: SMTP Receive Protocol Log\r\n2026-01-01T08:00:00.000Z;EX1;08D0000000000001;0\r\n',
  );
  assert.match(saved.report.unknownLines[0]?.why ?? '', /semicolons where commas are wanted/);
  assert.match(await problem(write('REGEDIT4\r\n\r\n[HKEY]\r\n')), /postern import/);
  const lines = Array.from({ length: 20_000 }, (_, at) => message(`10.0.${at >> 8}.${at & 255}`)).join('');
  const cut = await read(gzipSync(lines).subarray(0, 20_000));
  assert.match(
    cut.report.problems[0] ?? '',
    /log-\d+:\d+: its compressed octets end in the middle; what stands before that was read/,
  );
  assert.ok(cut.told.length > 0);
  const mixed = await read(
    `${message('192.0.2.1')}{"level":"info","time":"2026-01-02T08:00:00Z","client_address":"192.0.2.2","session":1,"sender":"","recipients":[],"answer":"accepted","msg":"message"}\nnonsense\n`,
  );
  assert.deepEqual(mixed.told.map(({ source }) => source).toSorted(), ['192.0.2.1', '192.0.2.2']);
  assert.deepEqual(
    mixed.report.unknownLines.map(({ line, text }) => [line, text]),
    [[3, 'nonsense']],
  );
});

test('--since and --until leave out what is outside', async () => {
  const text = [1, 2, 3].map((day) => message('192.0.2.1', day).replace('1vb0aa', `1vb0a${day}`)).join('');
  const { told, report } = await read(text, { since: Date.UTC(2026, 0, 2), until: Date.UTC(2026, 0, 3) });
  assert.deepEqual(
    told.map(({ at }) => new Date(at ?? 0).getUTCDate()),
    [2],
  );
  assert.equal(report.outside, 2);
});
