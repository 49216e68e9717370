// Plays every golden dialogue whole, octet by octet, cut at many places, cut at random, with a judge that answers late,
// and with a driver whose pause takes effect late. What each ear hears must be the same every time.

import { test } from 'node:test';
import { cutAt, cutAtRandom, everyOctet, whole } from '../helpers/cuts.ts';
import { play } from '../helpers/play.ts';
import { octetsOf, readTranscripts } from '../helpers/transcripts.ts';

/** A longer dialogue is cut at so many places, evenly spread from a random one on; at every one with POSTERN_CUTS=1000000. */
const PLACES = Number(process.env.POSTERN_CUTS ?? 100);
const RANDOM_CUTS = Math.min(20, PLACES);

/** For who counts seconds. */
const LONG = PLACES === 0 ? 5000 : Number.POSITIVE_INFINITY; // octets

for (const transcript of readTranscripts(new URL('../transcripts/', import.meta.url))) {
  const pieces = octetsOf(transcript) > LONG ? cutAtRandom(1, 100) : everyOctet;
  test(`${transcript.file}: ${transcript.title}`, async (t) => {
    await t.test('whole', () => void play(transcript, whole));
    await t.test('octet by octet', () => void play(transcript, pieces));
    await t.test('cut at many places', () => {
      const octets = octetsOf(transcript);
      const step = Math.max(1, Math.ceil(octets / PLACES));
      for (let position = 1 + Math.floor(Math.random() * step); position < octets; position += step) {
        explain(`cut at ${position}`, () => play(transcript, cutAt(position)));
      }
    });
    await t.test('cut at random', () => {
      for (let count = 0; count < RANDOM_CUTS; count++) {
        const seed = Math.floor(Math.random() * 2 ** 32);
        explain(`cut at random, seed ${seed}`, () => play(transcript, cutAtRandom(seed, 2 + (count % 40))));
      }
    });
    await t.test('with a judge that answers late', () => {
      for (const cut of [whole, pieces]) play(transcript, cut, { judgement: 'late' });
    });
    await t.test('with a driver whose pause comes late', () => {
      for (const cut of [pieces, cutAtRandom(1, 30)]) play(transcript, cut, { pushy: true });
    });
  });
}

function explain(how: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    throw new Error(`${how}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
