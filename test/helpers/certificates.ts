// Certificates and keys for a test, made by openssl in a folder that is gone with the test process: none is in git.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Two files, and what is in them. */
export interface Pair {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
}

export interface Wanted {
  /** As `/C=DE/CN=mx.example.com`. */
  readonly subject: string;
  /** As openssl writes them: `DNS:mx.example.com,DNS:*.example.com`; none when left out. */
  readonly names?: string;
  /** A section of its own for what cannot be said in one line; `names` is then `@names`. */
  readonly section?: string;
  /** Who signs; itself when left out. */
  readonly by?: Pair;
  readonly days?: number;
  readonly key?: 'ec' | 'rsa';
}

let folder = '';
let count = 0;

/** Where they are. */
export function certificateFolder(): string {
  if (folder === '') {
    folder = mkdtempSync(join(tmpdir(), 'postern-certificates-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  }
  return folder;
}

export function makePair({ subject, names, section = '', by, days = 90, key = 'ec' }: Wanted): Pair {
  const base = join(certificateFolder(), `pair-${++count}`);
  const files = { certFile: `${base}.pem`, keyFile: `${base}.key`, request: `${base}.csr`, extensions: `${base}.ext` };
  const kind = key === 'ec' ? ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'] : ['rsa:2048'];
  const isAuthority = by === undefined && names === undefined;
  openssl(
    'req',
    '-new',
    '-newkey',
    ...kind,
    '-nodes',
    '-utf8',
    '-subj',
    subject,
    '-keyout',
    files.keyFile,
    '-out',
    files.request,
  );
  const lines = [
    isAuthority ? 'basicConstraints=critical,CA:TRUE' : 'basicConstraints=CA:FALSE',
    ...(names === undefined ? [] : [`subjectAltName=${names}`]),
    section,
  ];
  writeFileSync(files.extensions, `${lines.join('\n')}\n`);
  const signer =
    by === undefined ? ['-signkey', files.keyFile] : ['-CA', by.certFile, '-CAkey', by.keyFile, '-CAcreateserial'];
  const made = [
    '-req',
    '-in',
    files.request,
    '-out',
    files.certFile,
    '-days',
    String(days),
    '-extfile',
    files.extensions,
  ];
  openssl('x509', ...made, ...signer);
  const { certFile, keyFile } = files;
  return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}

/** Of mx.example.com, made once. */
export function serverPair(): Pair {
  made ??= makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com' });
  return made;
}

let made: Pair | undefined;

export function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
