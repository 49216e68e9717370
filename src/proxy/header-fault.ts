// Why what a peer sent is no PROXY header, for the log and its metric. Pure.
//
// Asked only when the reader (proxy-protocol.ts) has said that it is none; it decides nothing.

import { readSaid } from '../smtp/said.ts';
import type { HeaderResult } from '../smtp/types.ts';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V2_HEAD = 16;
const V1_LIMIT = 107;
const SHOWN = 107;

export function headerFault(bytes: Buffer): HeaderResult {
  if (bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    const isKnown = bytes[12] === 0x20 || bytes[12] === 0x21;
    const isWhole = bytes.length >= V2_HEAD && bytes.length >= V2_HEAD + bytes.readUInt16BE(14);
    return isKnown && !isWhole ? 'too_long' : 'bad';
  }
  if (bytes.toString('latin1', 0, 6) !== 'PROXY ') return 'none';
  const lineFeed = bytes.indexOf(0x0a);
  return lineFeed === -1 || lineFeed >= V1_LIMIT ? 'too_long' : 'bad';
}

/** The first that the peer said, fit for a log as a refused command is: its first line, latin-1. */
export function firstSaid(bytes: Buffer): string {
  const isSignature = bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE);
  const text = bytes.toString('latin1', 0, isSignature ? V2_HEAD : SHOWN);
  return isSignature ? text : readSaid(text.split('\r\n', 1)[0] as string, false).text;
}
