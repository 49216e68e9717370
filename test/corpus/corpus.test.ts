// The corpus, every row as it is written: over real sockets, whole against every upstream dialect of the row, one octet per
// write and inside TLS against some of them, in turn (a megabyte of commands whole only); with POSTERN_CORPUS=all
// (`npm run corpus`) against all. README.md in this folder says what the rows mean.
//
// The firewalls run in this process, made by the very call that `postern run` makes, so that many rows can be said side
// by side; the legitimate rows are also said to a `postern run` of its own. A failure names row, dialect and mode and
// prints the dialogue. Before that the yardstick is measured: said to the stand-in directly, every attack must succeed.

import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Dialect } from '../helpers/dialects.ts';
import { LenientServer } from '../helpers/lenient-server.ts';
import { openFirewall, startPostern } from '../helpers/postern.ts';
import type { Mode } from '../helpers/smtp-client.ts';
import { type Conversation, converse } from './conversation.ts';
import { flood } from './flood.ts';
import { UpstreamSlots } from './places.ts';
import { configOf, type Way } from './row-config.ts';
import { dialectsOf, loadRows, octetsOf, type Row } from './rows.ts';
import { faultsOf } from './verdict.ts';

/** Where a row asks for something else than protocol.md, protocol.md is right: the row as it is meant here. RX-08 is not
 * among them: refused recipients are no errors (design.md 6), but far above the limit of recipients they are. */
const DISAGREEMENTS: Readonly<Record<string, (row: Row) => Row>> = {
  // protocol.md 4 lets GSSAPI pass (authenticated, name unknown, no security layer); the row wants it hidden.
  'UP-23': (row) => ({ ...row, expect_not_in_replies: ['starttls', 'x-exps'] }),
};

/** Attacks that nobody falls for, not even the stand-in when it hears them directly. */
const TOOTHLESS = new Set([
  'ST-17', // -1 read as %u is 4294967295: the RCPT behind it is payload
  'ST-54', // only a proxy that itself speaks XCLIENT could be made to say it
]);

/** These ask that STARTTLS is not offered, which it is where it is ended here. */
const WITHOUT_STARTTLS = new Set(['ST-48', 'ST-63', 'UP-22', 'UP-23']);

const ALL = process.env.POSTERN_CORPUS === 'all';
/** Dialects of a row that hear it octet by octet, or inside TLS: the firewall hears the same octets whatever the server makes of them. */
const SOME = ALL ? Number.POSITIVE_INFINITY : 3;

const FLOOD = 1_000_000; // octets

const rows = loadRows().map((row) => DISAGREEMENTS[row.id]?.(row) ?? row);

describe('the stand-in, with no firewall before it', () => {
  for (const row of rows.filter((row) => row.must_not_reach_backend.length > 0 && !TOOTHLESS.has(row.id))) {
    test(`falls for ${row.id} in some dialect: ${row.name}`, () => {
      assert.ok(dialectsOf(row).some((dialect) => fallsFor(row, dialect)));
    });
  }
});

describe('the corpus', { concurrency: 2 }, () => {
  describe('through the firewall', { concurrency: rows.length }, () => {
    const places = new UpstreamSlots((row, upstreamPort) => openFirewall(configOf(row, upstreamPort)), 48);
    after(() => places.close());
    for (const [at, row] of rows.entries()) {
      test(`${row.id} must ${row.must}: ${row.name}`, async () => {
        const whole = dialectsOf(row).map((dialect) => run(places, row, dialect, 'whole'));
        const octets = isFlood(row)
          ? []
          : someDialectsOf(row, at).map((dialect) => run(places, row, dialect, 'octets'));
        report(await Promise.all([...whole, ...octets]));
      });
    }
  });

  for (const [way, where] of [
    ['implicit', 'inside TLS'],
    ['terminate', 'where STARTTLS is ended'],
  ] as const) {
    describe(where, { concurrency: rows.length }, () => {
      const places = new UpstreamSlots(async (row, upstreamPort) => {
        const gate = await openFirewall(configOf(row, upstreamPort, way));
        return { ...gate, implicitTls: way === 'implicit' };
      }, 16);
      after(() => places.close());
      for (const [at, row] of rows.filter((row) => isOfModes(row, way)).entries()) {
        test(`${row.id} must ${row.must}: ${row.name}`, async () => {
          report(await Promise.all(someDialectsOf(row, at).map((dialect) => run(places, row, dialect, 'whole'))));
        });
      }
    });
  }

  describe('through a running postern', { concurrency: rows.length }, () => {
    const places = new UpstreamSlots((row, upstreamPort) => startPostern(configOf(row, upstreamPort)), 2);
    after(() => places.close());
    for (const row of rows.filter((row) => row.legit && Object.keys(row.config).length === 1)) {
      test(`${row.id} must ${row.must}: ${row.name}`, async () => {
        report([await run(places, row, 'lf', 'whole')]);
      });
    }
  });
});

/** `at`: the row's number, so that all dialects have their turn. */
function someDialectsOf(row: Row, at: number): Dialect[] {
  const dialects = dialectsOf(row);
  return dialects.filter((_, number) => (at + number) % dialects.length < SOME);
}

/** A megabyte of commands: octet by octet it costs as much as dozens of rows, and whole the network cuts it as well. */
function isFlood(row: Row): boolean {
  return !row.legit && row.send.flatMap(octetsOf).reduce((sum, { length }) => sum + length, 0) > FLOOD;
}

/** The rows about modes, the upstream and PROXY headers, which TLS changes nothing of. A row's own header is in clear text. */
function isOfModes(row: Row, way: Way): boolean {
  if (way === 'implicit') return ['ST', 'UP'].includes(row.group);
  return ['ST', 'UP', 'PP'].includes(row.group) && !WITHOUT_STARTTLS.has(row.id);
}

/** Whether some command that must not reach the upstream is read there when the row's octets come as they are. */
function fallsFor(row: Row, dialect: Dialect): boolean {
  const server = new LenientServer({ dialect, ...(row.backend && { backend: row.backend }) });
  for (const octets of row.send.flatMap(octetsOf)) server.receive(octets);
  return row.must_not_reach_backend.some((pattern) =>
    server.commands.some((line) => new RegExp(pattern, 'i').test(line)),
  );
}

/** What went wrong, as text; '' when nothing did. */
function run(places: UpstreamSlots, row: Row, dialect: Dialect, mode: Mode): Promise<string> {
  return places.use(row, async (place) => {
    if (row.connections !== undefined) return (await flood(row, place)).join('\n');
    const talk = await converse(row, dialect, mode, place);
    const faults = faultsOf(talk);
    return faults.length === 0 ? '' : describeTalk(talk, faults);
  });
}

function describeTalk({ row, dialect, mode, transcript }: Conversation, faults: readonly string[]): string {
  return [
    `${row.id} in dialect ${dialect}, ${mode}:`,
    ...faults.map((fault) => `  * ${fault}`),
    ...transcript.map((line) => `    ${line}`),
  ].join('\n');
}

function report(runs: readonly string[]): void {
  const failed = runs.filter((text) => text !== '');
  if (failed.length > 0)
    assert.fail(`${failed.length} of ${runs.length} runs failed\n${failed.slice(0, 3).join('\n')}`);
}
