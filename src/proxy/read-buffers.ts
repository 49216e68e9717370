// Memory that is read into again and again, so that a read costs none.
//
// There is a little that all streams read commands into, whose octets are good for the call in which they are heard; and so many
// buffers for mail data, each of which belongs to one stream, or to whom that stream lent it, until it is put back. Who gets none
// copies.

const COMMANDS = 8192; // octets of a read: many commands, and few where one only floods
const PIECE = 16_384; // RFC 8446 §5.1: of a TLS record
const LARGE = 262_144; // octets of mail data, while a few streams bring some: a third fewer calls of the system
const USUAL = 65_536; //                  where others would wait for it
const FEW = 16;
const BUFFERS = 256;

export const pieces = Buffer.allocUnsafeSlow(PIECE);
export const common = pieces.subarray(0, COMMANDS);
const spare: Buffer[] = [];
const spareLarge: Buffer[] = [];
let inUse = 0;

export function takeBuffer(): Buffer | null {
  if (inUse >= BUFFERS) return null;
  inUse++;
  if (inUse <= FEW) return spareLarge.pop() ?? Buffer.allocUnsafeSlow(LARGE);
  return spare.pop() ?? Buffer.allocUnsafeSlow(USUAL);
}

export function putBack(buffer: Buffer): void {
  inUse--;
  if (buffer.length === USUAL) spare.push(buffer);
  else if (spareLarge.length < FEW) spareLarge.push(buffer);
}

/** Whoever has a buffer has it for good. */
export function letGo(): void {
  inUse--;
}

/** These octets for longer than the call in which a client's commands were heard: a copy, where they stand in memory that all read into. */
export function kept(octets: Buffer): Buffer {
  return octets.buffer === pieces.buffer ? Buffer.from(octets) : octets;
}
