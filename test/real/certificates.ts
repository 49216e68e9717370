// A certificate authority for the length of a test, and where the real servers find what it issues: they read keys as
// users of their own, so everything lies in a bed's folder, readable by all, and goes with the process.
import { X509Certificate } from 'node:crypto';
import { chmodSync, copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { makePair, type Pair } from '../helpers/certificates.ts';
import { makeFolder } from './beds/bed.ts';

export interface Certificate {
  /** Files. */
  readonly cert: string;
  readonly key: string;
  /** SHA-256, as `openssl x509 -fingerprint -sha256` prints it. */
  readonly fingerprint: string;
}

export class Authority {
  readonly folder = makeFolder();
  /** The file to trust. */
  readonly cert: string;
  readonly #pair: Pair;

  constructor(name = 'Postern test authority') {
    this.#pair = makePair({ subject: `/CN=${name}` });
    this.cert = join(this.folder, 'ca.pem');
    copyFileSync(this.#pair.certFile, this.cert);
  }

  /** For DNS names and, as `IP:127.0.0.1`, addresses; the first is the CN as well, and names the files: again for the same
   * one overwrites them. */
  issue(names: readonly [string, ...string[]], key: 'ec' | 'rsa' = 'ec'): Certificate {
    const all = names.map((name) => (name.startsWith('IP:') ? name : `DNS:${name}`)).join(',');
    const pair = makePair({ subject: `/CN=${names[0]}`, names: all, by: this.#pair, key });
    const folder = join(this.folder, names[0]);
    mkdirSync(folder, { recursive: true });
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
    copyFileSync(pair.certFile, files.cert);
    copyFileSync(pair.keyFile, files.key);
    chmodSync(files.key, 0o644);
    return { ...files, fingerprint: new X509Certificate(pair.cert).fingerprint256 };
  }
}
