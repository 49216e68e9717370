// Ten thousand messages, a session each, from Postfix's load generator: none lost, none doubled, none changed, and the
// memory of Postern does not grow with their number.
//
// V8 takes its time to settle, and gives little back, so some thousand more come before them.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from './children.ts';
import { startPostern } from './postern.ts';
import { Sink } from './sink.ts';
import { missing, needUnpacked, postfixEnvironment } from './tools.ts';

const MESSAGES = 10_000;
const WARM_UP = 3000;
/** What 6 KiB kept of every session would be, less than a session itself takes. V8 alone grows by up to 40 MB. */
const GROWTH_LIMIT_KIB = 6 * MESSAGES;

/** smtp-source puts an empty line behind the file, so this ends with one. */
const LINES = ['Subject: one of many', '', '.a stuffed dot', `${'x'.repeat(76)}\n`.repeat(50), 'the last line', ''];

test(`${MESSAGES} messages of smtp-source pass, each once and unchanged, in flat memory`, {
  skip: missing([], ['postfix']),
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-volume-'));
  const file = join(folder, 'message.eml');
  writeFileSync(file, LINES.join('\n'));
  const content = `${LINES.join('\n')}\n`.replaceAll('\n', '\r\n');
  const sink = await Sink.start();
  const postern = await startPostern(sink.port);

  /** Every recipient gets a number before its name: 1bob@local.example, 2bob@local.example … */
  const pass = async (name: string, messages: number) => {
    sink.messages.length = 0;
    const load = ['-m', `${messages}`, '-s', '20', '-N', '-F', file];
    const { code, output } = await run(
      needUnpacked('postfix', 'usr/sbin/smtp-source'),
      [...load, '-f', 'alice@partner.example', '-t', `${name}@local.example`, `127.0.0.1:${postern.port}`],
      postfixEnvironment(),
    );
    assert.equal(code, 0, output);
    assert.equal(sink.messages.length, messages);
    assert.equal(new Set(sink.messages.flatMap((message) => message.recipients)).size, messages);
    assert.equal(
      sink.messages.find((message) => message.content !== content),
      undefined,
    );
    return residentKib(postern.pid);
  };

  try {
    const before = await pass('bob', WARM_UP);
    const growth = (await pass('carol', MESSAGES)) - before;
    t.diagnostic(`resident memory: ${before} KiB after ${WARM_UP} messages, ${growth} KiB more after ${MESSAGES} more`);
    assert.ok(growth < GROWTH_LIMIT_KIB, `grew by ${growth} KiB from ${before} KiB`);
  } finally {
    await postern.stop();
    await sink.stop();
    rmSync(folder, { recursive: true });
  }
});

function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
}
