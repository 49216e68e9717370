// A .zip made for tests: any names, deflated (APPNOTE.TXT of PKWARE).

import { crc32, deflateRawSync } from 'node:zlib';

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const DEFLATED = 8;
const IN_2026 = (2026 - 1980) * 512 + 33; // 1 January, in DOS's way
const ENCRYPTED = 1;

export function zip(
  entries: readonly (readonly [name: string, content: string | Buffer])[],
  isEncrypted = false,
): Buffer {
  const flags = isEncrypted ? ENCRYPTED : 0;
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [written, content] of entries) {
    const name = Buffer.from(written);
    const plain = Buffer.from(content);
    const packed = deflateRawSync(plain);
    const common = Buffer.alloc(26);
    for (const [at, value] of [VERSION, flags, DEFLATED, 0, IN_2026].entries()) common.writeUInt16LE(value, 2 * at);
    for (const [at, value] of [crc32(plain), packed.length, plain.length].entries())
      common.writeUInt32LE(value, 10 + 4 * at);
    common.writeUInt16LE(name.length, 22);
    const central = Buffer.alloc(14);
    central.writeUInt32LE(offset, 10);
    directory.push(number(CENTRAL), Buffer.from([VERSION, 0]), common, central, name);
    const local = Buffer.concat([number(LOCAL), common, name, packed]);
    parts.push(local);
    offset += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(list.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, list, number(END), end]);
}

function number(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32LE(value);
  return octets;
}
