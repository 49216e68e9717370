import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createLogger, harmless } from '../../src/observe/log.ts';
import { BatchingSink, DescriptorSink } from '../../src/observe/log-sink.ts';

const noNamespace = spawnSync('unshare', ['-rm', 'true']).status === 0 ? false : 'no namespaces for this user here';

describe('a string that a peer chose', () => {
  it('stays as it is when it is printable ASCII, the backslash of a login too', () => {
    assert.equal(harmless('CORP\\alice <"x">'), 'CORP\\alice <"x">');
  });

  it('shows escape sequences, NUL, DEL and C1 controls instead of performing them', () => {
    assert.equal(harmless('a\x1b[2J\x07'), 'a\\x1b[2J\\x07');
    assert.equal(harmless('x\x9b31m\x00\x7f'), 'x\\x9b31m\\x00\\x7f');
  });

  it('shows line breaks of every kind', () => {
    assert.equal(harmless('a\r\nb\u2028c\u2029d\x85'), 'a\\x0d\\x0ab\\u{2028}c\\u{2029}d\\x85');
  });

  it('shows bidi controls, as text and as the octets of their UTF-8', () => {
    assert.equal(harmless('a\u202eb\u2066'), 'a\\u{202e}b\\u{2066}');
    assert.equal(harmless('\xe2\x80\xaeb'), '\\u{202e}b');
  });

  it('reads octets as UTF-8 where they are, else as latin-1', () => {
    assert.equal(harmless('j\xc3\xb6rg'), 'jörg');
    assert.equal(harmless('j\xf6rg'), 'jörg');
  });

  it('passes 256 characters whole and cuts 257', () => {
    assert.equal(harmless('a'.repeat(256)), 'a'.repeat(256));
    assert.equal(harmless('a'.repeat(257)), `${'a'.repeat(255)}…`);
    assert.equal(harmless('\x00'.repeat(256)).length, 256);
  });

  it('never breaks a line, moves a cursor or exceeds its field, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (peer) => {
        const shown = harmless(peer);
        assert.ok(shown.length <= 256);
        assert.doesNotMatch(shown, /(?! )[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      }),
    );
  });
});

describe('the log', () => {
  it('writes readable lines for a terminal', () => {
    const lines: string[] = [];
    const sink = { write: (line: string) => void lines.push(line), flush: async () => {}, lost: 0 };
    createLogger('info', true, sink).info({ client_address: '10.9.1.1', reply: '554 no' }, 'recipient refused');
    assert.match(
      lines.join(''),
      /^\d\d:\d\d:\d\d\.\d{3} info {2}recipient refused client_address=10\.9\.1\.1 reply="554 no"\n$/,
    );
  });

  it('keeps the order of ten thousand lines and loses none', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'postern-log-'));
    const file = join(folder, 'log');
    const descriptor = openSync(file, 'w');
    const sink = new DescriptorSink(descriptor);
    const logger = createLogger('info', false, sink);
    for (let number = 0; number < 10_000; number++) logger.info({ number }, 'line');
    await sink.flush();
    closeSync(descriptor);
    const numbers = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).number);
    rmSync(folder, { recursive: true });
    assert.deepEqual(
      numbers,
      Array.from({ length: 10_000 }, (_, number) => number),
    );
    assert.equal(sink.lost, 0);
  });

  it('counts the lines that a log without a reader loses, and does not stop for them', async () => {
    const descriptor = openSync('/dev/null', 'r');
    const sink = new DescriptorSink(descriptor);
    sink.write('one\n');
    sink.write('two\n');
    await sink.flush();
    assert.equal(sink.lost, 2);
    closeSync(descriptor);
  });

  it('gives up the lines of whoever floods and no others when it is slow, counts them, and tells when it works again', () => {
    const out: string[] = [];
    let done = (_lost: number): void => {};
    const sink = new BatchingSink((text, _lines, then) => {
      out.push(text);
      done = then;
    }, 10_000);
    const logger = createLogger('info', false, sink);
    sink.onLost = (lines) => logger.warn({ lines }, 'lost');
    logger.info('ours');
    void sink.flush(); // the first write is under way, and its reader takes its time
    for (let i = 0; i < 1000; i++) {
      logger.info({ client_address: i % 2 ? '192.0.2.1' : `2001:db8::${i.toString(16)}` }, 'recipient refused');
      if (i % 200 === 0) logger.info({ client_address: `198.51.100.${i / 200}` }, 'session ended');
    }
    logger.warn('worker ended');
    done(0);
    void sink.flush();
    done(0);
    void sink.flush();
    const lines = out
      .join('')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string; client_address?: string; lines?: number });
    const quiet = lines.filter(({ client_address }) => client_address?.startsWith('198.51.100.'));
    assert.equal(quiet.length, 5, 'all of those who had one line');
    assert.ok(lines.some(({ msg }) => msg === 'worker ended'));
    const floods = lines.filter(({ msg }) => msg === 'recipient refused').length;
    assert.ok(floods > 0 && floods < 1000);
    assert.equal(sink.lost, 1000 - floods);
    assert.deepEqual(
      lines.filter(({ msg }) => msg === 'lost').map((line) => line.lines),
      [sink.lost],
    );
  });

  it('tears no line on a disk that is full for a while, and loses none that it can keep', { skip: noNamespace }, () => {
    const program = `
      import { openSync, readFileSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs';
      import { createLogger } from './src/observe/log.ts';
      import { DescriptorSink } from './src/observe/log-sink.ts';
      const folder = process.argv[1];
      writeFileSync(folder + '/filler', Buffer.alloc(192 * 1024));
      const sink = new DescriptorSink(openSync(folder + '/log', 'a'));
      const logger = createLogger('info', false, sink);
      for (let number = 0; number < 1500; number++) logger.info({ number, text: 'x'.repeat(number % 50) }, 'line');
      while (statfsSync(folder).bfree > 0) await new Promise((resolve) => setImmediate(resolve));
      await sink.flush(); // gives up waiting, and keeps what it has
      unlinkSync(folder + '/filler');
      await sink.flush();
      process.stdout.write(sink.lost + ' lost, ' + readFileSync(folder + '/log', 'utf8'), () => process.exit(0));`;
    const folder = mkdtempSync(join(tmpdir(), 'postern-full-'));
    const script = 'mount -t tmpfs -o size=256k none "$0" && exec "$1" --input-type=module -e "$2" "$0"';
    const run = spawnSync('unshare', ['-rm', 'sh', '-c', script, folder, process.execPath, program], {
      cwd: join(import.meta.dirname, '../..'),
      encoding: 'utf8',
      maxBuffer: 2 ** 24,
    });
    rmSync(folder, { recursive: true });
    assert.equal(run.status, 0, run.stderr);
    const [lost = '', log = ''] = run.stdout.split(/ lost, (.*)/s);
    assert.equal(lost, '0');
    const numbers = log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).number);
    assert.deepEqual(
      numbers,
      Array.from({ length: 1500 }, (_, number) => number),
    );
  });

  it('still writes its last lines when the process ends at once', () => {
    const program = `
      import { createLogger } from './src/observe/log.ts';
      import { DescriptorSink } from './src/observe/log-sink.ts';
      createLogger('info', false, new DescriptorSink(1)).info('last words');
      process.exit(3);`;
    const root = join(import.meta.dirname, '../..');
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { cwd: root, encoding: 'utf8' });
    assert.equal(run.status, 3, run.stderr);
    assert.equal(JSON.parse(run.stdout).msg, 'last words');
  });
});
