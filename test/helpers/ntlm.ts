// NTLM messages as bytes, well-formed and not ([MS-NLMP] §2.2.1). No password is hashed: nobody here checks one.

const SIGNATURE = Buffer.from('NTLMSSP\0', 'latin1');
const UNICODE = 0x1;
const OEM = 0x2;
export const ANONYMOUS = 0x800;

export interface AuthenticateFields {
  readonly domain?: string;
  readonly user?: string;
  readonly charset?: 'unicode' | 'oem';
  readonly lm?: Buffer;
  readonly nt?: Buffer;
  readonly flags?: number;
  /** Instead of the true place of the user name. */
  readonly userField?: { readonly length: number; readonly offset: number };
}

export const negotiate = Buffer.concat([SIGNATURE, littleEndian(1, 0xe2088297), Buffer.alloc(16)]);

export function authenticate(fields: AuthenticateFields): Buffer {
  const {
    domain = '',
    user = '',
    charset = 'unicode',
    lm = Buffer.alloc(24, 'L'),
    nt = Buffer.alloc(24, 'N'),
  } = fields;
  const encode = (text: string) => Buffer.from(text, charset === 'unicode' ? 'utf16le' : 'latin1');
  const payload = [lm, nt, encode(domain), encode(user), encode('WORKSTATION'), Buffer.alloc(0)];
  let offset = 64;
  const places = payload.map((part, index) => {
    const place = index === 3 && fields.userField ? fields.userField : { length: part.length, offset };
    offset += part.length;
    const place8 = Buffer.alloc(8);
    place8.writeUInt16LE(place.length, 0);
    place8.writeUInt16LE(place.length, 2);
    place8.writeUInt32LE(place.offset, 4);
    return place8;
  });
  const flags = (fields.flags ?? 0) | (charset === 'unicode' ? UNICODE : OEM);
  return Buffer.concat([SIGNATURE, littleEndian(3), ...places, littleEndian(flags), ...payload]);
}

/** The upstream's CHALLENGE, which chooses the charset of the names. */
export function challenge(charset: 'unicode' | 'oem' = 'unicode'): Buffer {
  const flags = charset === 'unicode' ? UNICODE : OEM;
  return Buffer.concat([SIGNATURE, littleEndian(2, 0, 48, flags), Buffer.alloc(24)]);
}

/** A message somewhere inside another token, as SPNEGO wraps it (RFC 4178). */
export function wrapped(message: Buffer): Buffer {
  const inner = Buffer.concat([Buffer.from([0xa2, 0x82, 0x01, 0x00, 0x04, 0x82, 0x00, 0xf0]), message]);
  return Buffer.concat([Buffer.from([0xa1, 0x82, 0x01, 0x10, 0x30, 0x82, 0x01, 0x0c]), inner]);
}

function littleEndian(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [index, number] of numbers.entries()) bytes.writeUInt32LE(number >>> 0, 4 * index);
  return bytes;
}
