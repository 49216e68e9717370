// What the administrator points at, as parts: files, folders, globs, standard input; gzip and zip looked into, by content.
//
// A part is one log file. Its octets come in blocks that are used again: who wants to keep some copies them. A folder is gone
// through with all that is below it, in the order in which servers number their files, the oldest first. Not here: what is in a part.

import { closeSync, globSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { type Entry, getFileNameLowLevel, openPromise } from 'yauzl';

export interface Part {
  /** As people know it: the path, or `archive.zip:name`. */
  readonly name: string;
  /** The path itself was given, so that it has to be a log: what lies about in a folder need not. */
  readonly named: boolean;
  /** In milliseconds; null where nobody knows. */
  readonly changed: number | null;
  blocks(): AsyncIterable<Buffer>;
}

const BLOCK = 1 << 16;
const GZIP = [0x1f, 0x8b];
const ZIP = [0x50, 0x4b, 0x03, 0x04];
const EMPTY_ZIP = [0x50, 0x4b, 0x05, 0x06];
/** By their first four octets. */
const OTHER_ARCHIVES = [
  { name: '7-Zip', magic: [0x37, 0x7a, 0xbc, 0xaf] },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58] },
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68] },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd] },
  { name: 'RAR', magic: [0x52, 0x61, 0x72, 0x21] },
] as const;

export const STDIN = '-';

export interface Found {
  readonly path: string;
  readonly named: boolean;
  readonly octets: number;
  readonly changed: number;
}

export interface NotFound {
  readonly path: string;
  /** What is wrong with it, without a full stop. */
  readonly problem: string;
}

/** The files that `paths` mean, or what is wrong with one. */
export function findFiles(paths: readonly string[]): (Found | NotFound)[] {
  return paths.flatMap((path): (Found | NotFound)[] => {
    if (path === STDIN) return [{ path, named: true, octets: 0, changed: 0 }];
    const status = statSync(path, { throwIfNoEntry: false });
    if (status !== undefined) return status.isDirectory() ? filesBelow(path) : [foundAt(path, true)];
    if (!/[*?[{]/.test(path)) return [{ path, problem: 'there is no such file or folder' }];
    const matches = inOrder(globSync(path));
    if (matches.length === 0) return [{ path, problem: 'no file matches' }];
    return matches.flatMap((match) => (statSync(match).isDirectory() ? filesBelow(match) : [foundAt(match, true)]));
  });
}

function foundAt(path: string, named: boolean): Found {
  const { size, mtimeMs } = statSync(path);
  return { path, named, octets: size, changed: mtimeMs };
}

function filesBelow(folder: string): (Found | NotFound)[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
    const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.'));
    if (files.length === 0) return [{ path: folder, problem: 'no file is in this folder' }];
    return inOrder(files.map((entry) => join(entry.parentPath, entry.name))).map((path) => foundAt(path, false));
  } catch (error) {
    return [{ path: folder, problem: whyNotRead(error as Error) }];
  }
}

const NATURAL = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

/** RECV…-2 before RECV…-10, and of rotated files (mail.log, mail.log.1, mail.log.2.gz) the highest number first. */
export function inOrder(names: readonly string[]): string[] {
  const keyed = names.map((name) => {
    const rotated = /^(.*?)(?:\.(\d{1,4}))?(?:\.gz)?$/i.exec(name);
    return { name, base: rotated?.[1] ?? name, age: Number(rotated?.[2] ?? 0) };
  });
  return keyed.sort((a, b) => NATURAL.compare(a.base, b.base) || b.age - a.age).map(({ name }) => name);
}

/** The parts of one file. `took` hears of its octets as they are read, compressed as they are. Throws what reading throws. */
export async function* partsOf(
  { path, named, changed }: Found,
  took: (octets: number) => void,
  stdin: AsyncIterable<Uint8Array> = process.stdin,
): AsyncGenerator<Part> {
  if (path === STDIN) {
    yield { name: 'standard input', named, changed: null, blocks: () => inflated(told(stdin, took)) };
    return;
  }
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(ZIP.length);
    readSync(file, head, 0, ZIP.length, 0); // FIFO
    if (startsWith(head, ZIP) || startsWith(head, EMPTY_ZIP)) yield* zipped(path, named, took);
    else yield { name: path, named, changed, blocks: () => inflated(told(blocksOf(file), took)) };
  } finally {
    closeSync(file);
  }
}

function startsWith(octets: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((octet, at) => octets[at] === octet);
}

/** Read at once: to wait for a thread to do it takes as long again. */
async function* blocksOf(file: number): AsyncGenerator<Buffer> {
  const block = Buffer.allocUnsafeSlow(BLOCK);
  for (let octets = readSync(file, block); octets > 0; octets = readSync(file, block)) yield block.subarray(0, octets);
}

async function* told(blocks: AsyncIterable<Uint8Array>, took: (octets: number) => void): AsyncGenerator<Buffer> {
  for await (const block of blocks) {
    took(block.length);
    yield Buffer.isBuffer(block) ? block : Buffer.from(block);
  }
}

/** What is compressed with gzip is no longer. */
async function* inflated(blocks: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < ZIP.length) {
    const next = await blocks.next();
    if (next.done === true) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]); // standard input may come in any pieces
    if (head.length < ZIP.length) head = Buffer.from(head);
  }
  if (startsWith(head, ZIP))
    throw new Error('a .zip is looked into where it is a file by itself, not in another archive or on standard input');
  const other = OTHER_ARCHIVES.find(({ magic }) => startsWith(head, magic));
  if (other !== undefined)
    throw new Error(`it is compressed with ${other.name}: unpack it (.gz and .zip are looked into)`);
  if (!startsWith(head, GZIP)) {
    if (head.length > 0) yield head;
    yield* blocks;
    return;
  }
  const copies = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from(head);
    for await (const block of blocks) yield Buffer.from(block);
  };
  const source = Readable.from(copies(), { objectMode: false });
  const gunzip = createGunzip({ chunkSize: BLOCK });
  source.on('error', (error) => gunzip.destroy(error));
  yield* source.pipe(gunzip) as AsyncIterable<Buffer>;
}

/** Nothing is unpacked anywhere, so that any name will do: drive letters and `..` of other machines among them. */
async function* zipped(path: string, named: boolean, took: (octets: number) => void): AsyncGenerator<Part> {
  const archive = await openPromise(path, { lazyEntries: true, autoClose: false, decodeStrings: false });
  try {
    const entries = new Map<string, Entry[]>();
    for await (const entry of archive.eachEntry()) {
      const name = getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, false);
      if (!/\/$|(^|\/)\.[^./]|^__MACOSX/.test(name)) entries.set(name, [...(entries.get(name) ?? []), entry]);
    }
    if (entries.size === 0) throw new Error('no file is in this archive');
    for (const name of inOrder([...entries.keys()]))
      for (const entry of entries.get(name) ?? []) {
        const share = entry.compressedSize / Math.max(1, entry.uncompressedSize);
        const blocks = async function* (): AsyncGenerator<Buffer> {
          const stream = await archive.openReadStreamPromise(entry);
          yield* inflated(told(stream, (octets) => took(octets * share)));
        };
        const changed = entry.getLastModDate().getTime();
        yield { name: `${path}:${name}`, named: named && entries.size === 1, changed, blocks };
      }
  } finally {
    archive.close();
  }
}

/** What the system says, in words. */
export function whyNotRead(error: Error): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EACCES':
    case 'EPERM':
      return 'it may not be read by this user';
    case 'Z_BUF_ERROR':
      return 'its compressed octets end in the middle';
    case 'Z_DATA_ERROR':
      return 'its compressed octets are damaged';
    default:
      if (/central directory/i.test(error.message))
        return 'its list of files is missing or damaged: is this .zip cut off?';
      return /encrypted/.test(error.message) ? 'it is encrypted' : error.message;
  }
}
