// Watching a login go by (RFC 4954): who is it that the upstream says 235 to?
//
// The exchange itself is between client and upstream; we read the client's half only to learn the authentication
// identity, and refuse what two parties could read in two ways: base64 that is not canonical (Node's decoder ignores
// junk), an authorization identity beside the authentication identity, fields out of range. Passwords are looked at as
// little as possible and kept nowhere. GSSAPI shows no name and may hide everything behind it: `opaque`.

import { foldAscii } from './bytes.ts';

/** One AUTH or X-EXPS exchange. */
export class SaslExchange {
  readonly mechanism: string;
  /** The authentication identity so far; text, not octets. */
  name: string | null = null;
  /** A null session or anonymous login: a 235 to it names nobody and authenticates nobody (MS01-037). */
  anonymous = false;
  #step = 0;
  #challenged = false; // the last 334 held an NTLM challenge
  #unicode = false; // and chose how names are written
  #realms: readonly string[] = []; // of a DIGEST-MD5 challenge

  constructor(mechanism: string) {
    this.mechanism = mechanism;
  }

  /** A security layer may follow the 235: what comes then may be no SMTP at all. */
  get opaque(): boolean {
    return this.mechanism === 'GSSAPI' || this.mechanism === 'GSS-SPNEGO';
  }

  /** The client has named itself and said what proves it. A 334 tells it what that was worth: so XOAUTH2, OAUTHBEARER and
   * some SCRAM servers refuse. */
  get isProven(): boolean {
    const proof = this.mechanism === 'LOGIN' || this.mechanism.startsWith('SCRAM-') ? 2 : 1;
    return this.name !== null && this.#step >= proof;
  }

  /** Takes one client response, as on the wire; false when it must not be forwarded. */
  respond(line: string): boolean {
    const octets = Buffer.from(line, 'base64');
    if (octets.toString('base64') !== line) return false;
    return this.#take(octets, this.#step++);
  }

  /** Takes the text of a 334: an NTLM name counts only as the answer to an NTLM challenge of the upstream, or a name could
   * be planted in a Kerberos token that never was an NTLM login. A DIGEST-MD5 challenge says which realm is the server's. */
  challenge(text: string): void {
    const octets = Buffer.from(text, 'base64');
    if (this.mechanism === 'DIGEST-MD5') {
      const fields = digestFields(octets.toString('latin1')) ?? [];
      this.#realms = fields.filter(([name]) => name === 'realm').map(([, value]) => value);
      return;
    }
    const at = octets.indexOf(NTLM_SIGNATURE);
    this.#challenged = at !== -1 && octets.length >= at + 24 && octets.readUInt32LE(at + 8) === 2;
    if (this.#challenged) this.#unicode = (octets.readUInt32LE(at + 20) & UNICODE) !== 0;
  }

  /** The response on the AUTH line itself; `=` is an empty one (RFC 4954 §4). */
  respondInitially(text: string): boolean {
    return this.respond(text === '=' ? '' : text);
  }

  /** What stands beside a name (a password, a nonce) is the client's to choose, and must not change how the name is read: so all is
   * cut as octets, and the name alone becomes text. */
  #take(octets: Buffer, step: number): boolean {
    const said = octets.toString('latin1');
    switch (this.mechanism) {
      case 'PLAIN':
        return step === 0 && this.#plain(said);
      case 'LOGIN':
        return step > 0 ? step === 1 : this.#named(textOf(said));
      case 'CRAM-MD5':
        return step === 0 && this.#named(textOf(/^(.*) [0-9a-f]{32}$/is.exec(said)?.[1] ?? ''));
      case 'DIGEST-MD5':
        return step > 0 ? said === '' : this.#digest(said);
      case 'SCRAM-SHA-1':
      case 'SCRAM-SHA-256':
        return step > 0 || this.#scram(said);
      case 'XOAUTH2':
        return step > 0 ? said.length <= 1 : this.#oauth(/^user=([^\x01]*)\x01auth=[^\x01]*\x01\x01$/, said);
      case 'OAUTHBEARER':
        return step > 0
          ? said.length <= 1
          : this.#oauth(/^n,(?:a=([^,\x01]*))?,\x01(?:[a-z]+=[^\x01]*\x01)+\x01$/, said);
      default:
        return this.#ntlm(octets); // NTLM, and GSSAPI or SPNEGO with NTLM inside
    }
  }

  /** A null name is one that we could not see; one with control characters is refused. */
  #named(name: string | null): boolean {
    if (name !== null && /[\x00-\x1f\x7f]/.test(name)) return false;
    this.name = name === '' ? null : name;
    return true;
  }

  /** RFC 4616: authzid NUL authcid NUL passwd. */
  #plain(said: string): boolean {
    const parts = said.split('\0');
    if (parts.length !== 3) return false;
    const [authzid, authcid] = parts as [string, string];
    return authcid !== '' && (authzid === '' || authzid === authcid) && this.#named(textOf(authcid));
  }

  /** RFC 2831 §2.1.2: only qop=auth leaves the session readable. The realm is a part of the name (§2.1.2.1: a user of
   * another realm is another user; Dovecot lets a client choose it), unless it is the one realm that the server has. */
  #digest(text: string): boolean {
    const listed = digestFields(text);
    if (listed === null) return false;
    const fields = new Map(listed);
    if (fields.size < listed.length) return false; // one stands twice
    const username = fields.get('username');
    const authzid = fields.get('authzid') ?? '';
    const realm = fields.get('realm') ?? '';
    if (username === undefined || foldAscii(fields.get('qop') ?? 'auth') !== 'auth') return false;
    if (authzid !== '' && authzid !== username) return false;
    const own = realm === '' || (this.#realms.length === 1 && this.#realms[0] === realm);
    return this.#named(own || username === '' ? textOf(username) : `${textOf(username)}@${textOf(realm)}`);
  }

  /** XOAUTH2, and RFC 7628 §3.1: the whole response, so that no second name stands in it. What is none names nobody, nor does one
   * whose name is in its token. */
  #oauth(form: RegExp, said: string): boolean {
    const found = form.exec(said);
    if (found === null) return !/user=|a=/.test(said);
    return this.#named(textOf((found[1] ?? '').replace(/=2C/g, ',').replace(/=3D/g, '=')));
  }

  /** RFC 5802 §7 client-first-message. */
  #scram(text: string): boolean {
    const match = /^[ny],(?:a=([^,]*))?,n=([^,]*),r=/.exec(text);
    if (match === null) return false;
    const [authzid, username] = [match[1] ?? '', match[2] as string].map((name) =>
      name.replace(/=2C/g, ',').replace(/=3D/g, '='),
    ) as [string, string];
    return (authzid === '' || authzid === username) && this.#named(textOf(username));
  }

  /** [MS-NLMP] §2.2.1.3: the AUTHENTICATE message, alone or somewhere inside a SPNEGO token. */
  #ntlm(octets: Buffer): boolean {
    const found: Buffer[] = [];
    for (let at = octets.indexOf(NTLM_SIGNATURE); at !== -1; at = octets.indexOf(NTLM_SIGNATURE, at + 1)) {
      if (octets.length < at + 12) return false;
      if (octets.readUInt32LE(at + 8) === 3) found.push(octets.subarray(at));
    }
    if (found.length === 0) return true;
    const message = found[0] as Buffer;
    if (found.length > 1 || message.length < 52) return false;
    const lmResponse = ntlmField(message, 12);
    const ntResponse = ntlmField(message, 20);
    const domain = ntlmField(message, 28);
    const user = ntlmField(message, 36);
    if (lmResponse === null || ntResponse === null || domain === null || user === null) return false;
    // [MS-NLMP] §3.2.5.1.2: no name, or no proof but the one zero octet that clients send for it.
    if (user.length === 0 || (ntResponse.length === 0 && lmResponse.length <= 1)) {
      this.anonymous = true;
      return this.#named(null);
    }
    this.anonymous = false;
    if (!this.#challenged) return this.opaque && this.#named(null);
    const unicode = this.#unicode;
    if (hasFlags(message) && ((message.readUInt32LE(60) & UNICODE) !== 0) !== unicode) return false;
    if (unicode && (user.length % 2 !== 0 || domain.length % 2 !== 0)) return false;
    const decode = (field: Buffer): string => field.toString(unicode ? 'utf16le' : 'latin1');
    return this.#named(domain.length === 0 ? decode(user) : `${decode(domain)}\\${decode(user)}`);
  }
}

// RFC 2831 §7.1: name = value, then a comma or the end; read one behind the other, so that nothing is skipped.
const DIGEST_FIELD = /\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",\\]+))\s*(?:,|$)/sy;

/** Names and values, in their order; null when something else stands there. */
function digestFields(text: string): [name: string, value: string][] | null {
  const fields: [string, string][] = [];
  const field = new RegExp(DIGEST_FIELD);
  for (let at = 0; at < text.length; at = field.lastIndex) {
    const match = field.exec(text);
    if (match === null) return null;
    fields.push([foldAscii(match[1] as string), match[3] ?? (match[2] as string).replace(/\\(.)/gs, '$1')]);
  }
  return fields;
}

const UNICODE = 1; // NTLMSSP_NEGOTIATE_UNICODE

/** Clients before Windows 2000 send no flags: their fields begin where the flags would stand. */
function hasFlags(message: Buffer): boolean {
  return [16, 24, 32, 40, 48].every((at) => message.readUInt32LE(at) >= 64) && message.length >= 64;
}

const NTLM_SIGNATURE = Buffer.from('NTLMSSP\0', 'latin1');

/** A length, a maximum and an offset: the octets they point at, null when they point outside. */
function ntlmField(message: Buffer, at: number): Buffer | null {
  const length = message.readUInt16LE(at);
  const offset = message.readUInt32LE(at + 4);
  return length === 0
    ? Buffer.alloc(0)
    : offset + length > message.length
      ? null
      : message.subarray(offset, offset + length);
}

/** User names are UTF-8 (RFC 4616, RFC 5802); octets that are not are taken one by one. */
function textOf(latin1: string): string {
  const text = Buffer.from(latin1, 'latin1').toString('utf8');
  return text.includes('\ufffd') ? latin1 : text;
}
