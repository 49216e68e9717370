// The five laws of the core, with near-valid dialogues against lenient models of real servers.
//
// POSTERN_FUZZ_RUNS sets how many dialogues each law is tried with (default: a few seconds in all); a failure prints the
// seed and the smallest dialogue found. Time is never measured: work is counted in octets (bounded.test.ts).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Profile } from '../../src/smtp/types.ts';
import type { Backend } from '../helpers/backend.ts';
import { ODD, SOUND, TRANSACTIONS } from '../helpers/backends.ts';
import { type ConversationOptions, converse } from '../helpers/conversation.ts';
import { cutAtRandom, everyOctet } from '../helpers/cuts.ts';
import { DIALECTS } from '../helpers/dialects.ts';
import { DEFAULT_LIMITS } from '../helpers/harness.ts';
import { LenientServer } from '../helpers/lenient-server.ts';
import { type Atom, type Burst, DIALOGUE } from '../helpers/near-valid.ts';

const RUNS = Number(process.env.POSTERN_FUZZ_RUNS ?? 1000);

const policy = { accepted: ['local.example'], literals: ['192.0.2.25'] };

/** Servers that give up inside a message and read what is on its way as commands: nobody in front of them can help it. */
const LOST: readonly Backend[] = [
  { bdat: 'reject-nodrain' },
  { bdat: 'unsupported' },
  { data_early: '554 5.3.4 no' },
  { data_early: '250 2.0.0 ok' },
];

const sound = fc.constantFrom(...SOUND, ...TRANSACTIONS);
const anyBackend = fc.constantFrom(...SOUND, ...TRANSACTIONS, ...ODD);

/** Mostly none, or one that a message of the grammar may pass. */
const maxMessageSize = fc.constantFrom(Infinity, Infinity, Infinity, 4, 10, 40);

const parameters = { numRuns: RUNS };

/** What stands around the dialogue: refusals that are held back, a server that is told who the client is, and decisions that
 * come only when nothing else moves. */
const around = fc.record({
  tarpit: fc.constantFrom(0, 0, 5000),
  forward: fc.constantFrom([], [], ['NAME', 'ADDR', 'HELO']),
  judgement: fc.constantFrom('now', 'now', 'late', 'asked'),
  refusedLogins: fc.constantFrom([], ['alice']),
});
type Around = typeof around extends fc.Arbitrary<infer T> ? T : never;

/** The options of a conversation with it. */
function within({ tarpit, forward, judgement, refusedLogins }: Around, profile: Partial<Profile>): ConversationOptions {
  return { policy: { ...policy, refusedLogins }, profile: { ...profile, tarpit }, forward, judgement };
}

const starttls = fc.constantFrom('hide', 'terminate', 'terminate');
/** Of the third kind only the chunking law can be asked: nothing is read in it. */
const anyStartTls = fc.constantFrom(...[{ starttls: 'hide' } as const, { starttls: 'terminate' } as const], {
  starttls: 'passthrough',
  relaysAnywhere: true,
} as const);

test('chunking: however the stream is cut and however late the judge answers, both ears hear the same', () => {
  fc.assert(
    fc.property(DIALOGUE, sound, maxMessageSize, anyStartTls, around, fc.nat(), fc.nat(50), (...given) => {
      const [bursts, backend, size, tls, surroundings, seed, most] = given;
      const context = within(surroundings, { maxMessageSize: size, ...tls });
      const outcome = (options: ConversationOptions) => {
        const server = new LenientServer({ dialect: 'lf', backend });
        const { clientHeard, upstreamHeard, harness } = converse(bursts, server, { ...context, ...options });
        return { clientHeard, upstreamHeard, closed: harness.closed?.what ?? null };
      };
      const plain = outcome({});
      const random = cutAtRandom(seed, most + 1);
      assert.deepEqual(outcome({ clientCut: everyOctet }), plain, 'client octet by octet');
      assert.deepEqual(outcome({ clientCut: random, upstreamCut: random }), plain, 'both cut at random');
      // One that answers last of all lets the upstream's own refusals come first: that is another dialogue.
      const judgement = surroundings.judgement === 'now' ? 'late' : surroundings.judgement;
      assert.deepEqual(outcome({ upstreamCut: everyOctet, judgement }), plain, 'a judge that answers late');
      assert.deepEqual(outcome({ clientCut: random, pushy: true }), plain, 'a pause that comes late');
    }),
    parameters,
  );
});

test('conservation: the upstream hears the client but for whole lines, and each of these has one reply of ours', () => {
  fc.assert(
    fc.property(DIALOGUE, sound, starttls, around, (bursts, backend, tls, surroundings) => {
      const server = new LenientServer({ dialect: 'lf', backend });
      const context = within(surroundings, { starttls: tls });
      fc.pre(!bursts.some(hasLostLineEnd));
      const { clientHeard, upstreamHeard, harness, replies } = converse(bursts, server, context);
      const left = leftOut(bursts, upstreamHeard.replace(OURS, ''), harness.closed !== null);
      assert.notEqual(left, null, 'what the upstream heard is not the client with whole lines left out');
      if (harness.closed !== null) return;
      const toOurs = upstreamHeard.match(OURS)?.length ?? 0;
      const own = repliesIn(clientHeard).length - (replies - toOurs) - 1; // the greeting; less those to a RSET of ours
      assert.ok(left?.has(own), `${own} replies of ours for ${[...(left ?? [])].join(' or ')} lines left out`);
    }),
    parameters,
  );
});

test('no smuggling: no server executes a recipient that the policy refused, whatever it takes for a line', () => {
  fc.assert(
    fc.property(
      DIALOGUE,
      anyBackend,
      fc.constantFrom(...DIALECTS),
      fc.constantFrom('reject', 'normalize'),
      maxMessageSize,
      starttls,
      around,
      (...given) => {
        const [bursts, backend, dialect, bareLf, size, tls, surroundings] = given;
        // What a server cannot bear is configured: it offers no SMTPUTF8, ends on any dot, takes short lines only.
        const { caps_remove = [] } = backend;
        const suited = dialect === '7bit' ? { ...backend, caps_remove: [...caps_remove, 'SMTPUTF8'] } : backend;
        const dotLines = dialect === 'dotany' ? 'strict' : 'pass';
        const limits = { ...DEFAULT_LIMITS, commandLine: dialect === 'cut512' ? 512 : 2048 };
        const profile = { bareLf, dotLines, limits, maxMessageSize: size, starttls: tls } as const;
        const server = new LenientServer({ dialect, backend: suited });
        const { upstreamHeard, clientHeard } = converse(bursts, server, within(surroundings, profile));
        for (const recipient of server.recipients) assert.ok(!isForeign(recipient), `${dialect} executed ${recipient}`);
        assert.deepEqual(server.commands.filter(isForeignRcpt), [], `${dialect} read a foreign RCPT`);
        const confirmed = clientHeard.match(/^250 2\.6\.0 queued/gm)?.length ?? 0;
        assert.equal(server.messages.length, confirmed, `${dialect} took a message that the client does not know of`);
        // What it read as commands is what a strict server reads.
        const strictly = asReadStrictly(upstreamHeard, suited);
        assert.deepEqual(server.commands, dialect === '7bit' ? strictly.map(clearHighBits) : strictly);
      },
    ),
    parameters,
  );
});

test('no smuggling: a message goes only from the sender, and to the recipients, that were judged together', () => {
  fc.assert(
    fc.property(DIALOGUE, anyBackend, starttls, around, (bursts, backend, tls, surroundings) => {
      const server = new LenientServer({ dialect: 'strict', backend });
      const { harness } = converse(bursts, server, within(surroundings, { starttls: tls }));
      // Every unit has a number of its own, so a sender stands in one MAIL.
      const judged = new Set(harness.questions.map(({ sender, recipient }) => JSON.stringify([sender, recipient])));
      for (const { reversePath, recipients } of server.messages) {
        for (const recipient of recipients)
          assert.ok(judged.has(JSON.stringify([reversePath, recipient])), `${reversePath} to ${recipient}`);
      }
    }),
    parameters,
  );
});

test('reply order: replies come in the order of the commands, whoever gives them', () => {
  fc.assert(
    fc.property(DIALOGUE, sound, starttls, around, fc.nat(), (bursts, backend, tls, surroundings, seed) => {
      const server = new LenientServer({ dialect: 'lf', backend });
      const context = within(surroundings, { starttls: tls });
      const { clientHeard } = converse(bursts, server, { ...context, clientCut: cutAtRandom(seed, 30) });
      const units = repliesIn(clientHeard)
        .map(unitOf)
        .filter((unit) => unit !== null);
      assert.deepEqual(
        units,
        units.toSorted((one, other) => one - other),
      );
    }),
    parameters,
  );
});

test('reply order: an upstream without PIPELINING never hears a second command before it answered the first', () => {
  fc.assert(
    fc.property(DIALOGUE, starttls, around, (bursts, tls, surroundings) => {
      const server = new LenientServer({ dialect: 'lf', backend: { caps_remove: ['PIPELINING'] } });
      assert.ok(converse(bursts, server, within(surroundings, { starttls: tls })).mostAtOnce <= 1);
    }),
    parameters,
  );
});

test('bounded: nothing that either side says throws, and no 2yz is ever ours but the 220 to a STARTTLS', () => {
  fc.assert(
    fc.property(DIALOGUE, fc.constantFrom(...SOUND, ...ODD, ...LOST), anyStartTls, around, fc.nat(), (...given) => {
      const [bursts, backend, profile, surroundings, seed] = given;
      const server = new LenientServer({ dialect: 'lf', backend });
      const cut = cutAtRandom(seed, 40);
      const options = { ...within(surroundings, profile), clientCut: cut, upstreamCut: cut };
      const { clientHeard, replies } = converse(bursts, server, options);
      const isOurs = (reply: string): boolean => reply.startsWith('220') && reply.endsWith('Ready to start TLS\r\n');
      const good = repliesIn(clientHeard).filter((reply) => reply.startsWith('2') && !isOurs(reply)).length;
      // In a tunnel nobody counts what a server says without being asked.
      if (profile.starttls !== 'passthrough') assert.ok(good <= replies + 1);
    }),
    parameters,
  );
});

// --- reading what was heard

/** What we say in front of a MAIL. */
const OURS = /XFORWARD NAME=pc\.example [^\r\n]*\r\n/g;

/** A RSET of ours: behind an EHLO or HELO in a transaction, or in front of a MAIL; and the MAIL in doubt that stood before
 * it and is said once more. */
const OUR_RSET =
  /(?<=(?:EHLO|HELO)[^\r\n]*\r\n)RSET\r\n|RSET\r\n(?=MAIL )|(MAIL [^\r\n]*\r\n)RSET\r\n(?=\1)|RSET\r\n$/iy;

/** How many lines were left out, less those that are ours, every number that fits; null when what was heard is anything
 * else. `cut`: the end may be missing, since the session closed. */
function leftOut(bursts: readonly Burst[], heard: string, cut: boolean): Set<number> | null {
  let places = new Map<number, Set<number>>([[0, new Set([0])]]); // how far heard, with how many lines left out
  let partial = false;
  for (const { octets, payload } of bursts.flat().flatMap(pieces)) {
    for (const [place, counts] of places) noteOurs(places, heard, place, counts);
    // Payload that was left out belonged to a swallowed chunk, or was lines because its BDAT was none.
    const costs = !octets.endsWith('\n') ? [0] : payload ? [0, 1] : [1];
    const next = new Map<number, Set<number>>();
    for (const [place, counts] of places) {
      if (heard.startsWith(octets, place)) note(next, place + octets.length, counts, 0);
      else if (octets.startsWith(heard.slice(place))) partial = true;
      for (const cost of costs) note(next, place, counts, cost);
    }
    places = next;
  }
  for (const [place, counts] of places) noteOurs(places, heard, place, counts);
  return places.get(heard.length) ?? (cut && partial ? new Set() : null);
}

/** A BDAT that was spoilt so that its payload begins with the line's end: it counts a piece of what comes behind. */
function hasLostLineEnd(burst: Burst): boolean {
  return burst.some(({ octets, payload }, i) => !payload && !octets.endsWith('\n') && burst[i + 1]?.payload === true);
}

/** Where one may stand behind a RSET of ours: a Map goes on with what is set while it is walked. */
function noteOurs(places: Map<number, Set<number>>, heard: string, place: number, counts: Iterable<number>): void {
  OUR_RSET.lastIndex = place;
  const [ours] = OUR_RSET.exec(heard) ?? [];
  if (ours !== undefined) note(places, place + ours.length, [...counts], ours.startsWith('RSET') ? -1 : -2);
}

function note(places: Map<number, Set<number>>, place: number, counts: Iterable<number>, more: number): void {
  const known = places.get(place) ?? new Set();
  for (const count of counts) known.add(count + more);
  places.set(place, known);
}

/** A payload may be cut anywhere, since a spoilt BDAT announces another number of octets. */
function pieces({ octets, payload }: Atom): Atom[] {
  return payload ? Array.from(octets, (octet) => ({ octets: octet, payload })) : [{ octets, payload }];
}

function repliesIn(heard: string): string[] {
  return heard.match(/(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r?\n/g) ?? [];
}

/** The number of the unit that a reply answers, where it can be told. */
function unitOf(reply: string): number | null {
  const found = /unit=(\d+)/.exec(reply) ?? /<[^>]*?[us](\d+)n/.exec(reply);
  return found === null ? null : Number(found[1]);
}

/** Whether some server reads a foreign domain out of this path: behind an @ or a %, or before a !, packed or not. */
function isForeign(path: string): boolean {
  let decoded = path;
  for (let round = 0; round < 4 && /(^|[@%!"<:])imcea(smtp|rfc822)-/i.test(path); round++) {
    decoded = decoded.replace(/\+([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  }
  return /[@%][^@%!]*foreign|foreign[^@%!]*!/i.test(decoded);
}

function isForeignRcpt(command: string): boolean {
  return /^rcpt/i.test(command) && isForeign(command.replace(/ ORCPT=\S*/i, ''));
}

function clearHighBits(text: string): string {
  return Buffer.from(text, 'latin1').toString('ascii');
}

function asReadStrictly(octets: string, backend: Backend): string[] {
  const strict = new LenientServer({ dialect: 'strict', backend });
  strict.receive(Buffer.from(octets, 'latin1'));
  return [...strict.commands];
}
