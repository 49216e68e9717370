// The golden dialogues once more, over real sockets with the product between them, whole and one octet per write.

import { test } from 'node:test';
import { everyOctet, whole } from '../helpers/cuts.ts';
import { playOverSockets, playsOverSockets } from '../helpers/dialogue-sockets.ts';
import { octetsOf, readTranscripts } from '../helpers/transcripts.ts';

/** A longer dialogue is not written octet by octet: a system call each. */
const MOST_WRITES = 5000;

for (const transcript of readTranscripts(new URL('../transcripts/', import.meta.url)).filter(playsOverSockets)) {
  test(`over sockets: ${transcript.file}: ${transcript.title}`, async () => {
    await playOverSockets(transcript, whole);
    if (octetsOf(transcript) <= MOST_WRITES) await playOverSockets(transcript, everyOctet);
  });
}
