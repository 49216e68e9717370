// A certificate authority for the length of a test, made by openssl. Nothing of it is ever kept: the folder goes with
// the process.
//
// Keys are readable by everybody: the servers read them as users of their own.
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from './beds/bed.ts';

export interface Certificate {
  /** Files. */
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it. */
  readonly fingerprint: string;
}

const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-sha256'];
/** As old servers have them: they know no curves. */
const RSA = ['-newkey', 'rsa:2048', '-nodes', '-sha256'];

export class Authority {
  readonly folder = makeFolder();
  /** The file to trust. */
  readonly cert = join(this.folder, 'ca.pem');
  readonly #key = join(this.folder, 'ca.key');

  constructor(name = 'Postern test authority') {
    const use = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
    openssl(
      'req',
      '-x509',
      ...CURVE,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      ...use,
      '-keyout',
      this.#key,
      '-out',
      this.cert,
    );
  }

  /** For DNS names and, as `IP:127.0.0.1`, addresses. The first is the CN as well. `name` again overwrites the files. */
  issue(names: readonly [string, ...string[]], name: string = names[0], kind: 'curve' | 'rsa' = 'curve'): Certificate {
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true });
    const [cert, key, request, extensions] = ['cert.pem', 'key.pem', 'request.pem', 'extensions'].map((file) =>
      join(folder, file),
    ) as [string, string, string, string];
    const alternatives = names.map((each) => (each.startsWith('IP:') ? each : `DNS:${each}`));
    writeFileSync(extensions, `subjectAltName=${alternatives}\nkeyUsage=digitalSignature,keyEncipherment\n`);
    openssl(
      'req',
      ...(kind === 'rsa' ? RSA : CURVE),
      '-subj',
      `/CN=${names[0].replace(/^IP:/, '')}`,
      '-keyout',
      key,
      '-out',
      request,
    );
    const by = ['-CA', this.cert, '-CAkey', this.#key, '-CAcreateserial', '-extfile', extensions];
    openssl('x509', '-req', '-in', request, '-days', '2', '-sha256', ...by, '-out', cert);
    chmodSync(key, 0o644);
    const printed = openssl('x509', '-in', cert, '-noout', '-fingerprint', '-sha256');
    return { cert, key, fingerprint: printed.trim().replace(/^.*=/, '') };
  }
}

function openssl(...args: readonly string[]): string {
  return execFileSync('openssl', args, { encoding: 'latin1', stdio: ['ignore', 'pipe', 'pipe'] });
}
