// The readers of settings, and which of them a file is for: by its content, never by its name.
//
// A kind is a form of file (a registry export, a CLIXML); a system reads all files of its kinds together, since one setting
// may stand in two of them. A new one is an entry in SYSTEMS and nothing else.

import { nearest } from '../config/suggest.ts';
import { EXCHANGE } from './exchange.ts';
import { exchange55 } from './exchange-5.5.ts';
import type { Fault } from './imported.ts';
import type { InputFile } from './input-file.ts';
import { kindOfLine } from './log-kinds.ts';
import { POSTFIX } from './postfix.ts';
import { smtpService } from './smtp-service.ts';
import type { Kind, KnownFile, System } from './system.ts';

/** In the order in which kinds are tried: the most particular first. */
export const SYSTEMS: readonly System[] = [exchange55, smtpService, EXCHANGE, POSTFIX];

/** Files of one system, or what is wrong with them. `as`: the kind of all of them, whatever they look like. */
export function recognise(
  files: readonly InputFile[],
  as: string | null,
  systems: readonly System[] = SYSTEMS,
): { readonly system: System; readonly files: readonly KnownFile[] } | readonly Fault[] {
  const faults: Fault[] = [];
  const known: Seen[] = [];
  for (const file of files) {
    const fault = (message: string): void => {
      faults.push({ ...file.place(), message });
    };
    if (file.text.trim() === '') {
      fault('the file is empty');
      continue;
    }
    const kinds = kindsOf(systems).filter((one) => (as === null ? one.recognises(file) : one.name === as));
    const [kind] = kinds;
    if (kind === undefined) fault(unknown(file));
    else {
      const instead = kind.instead?.(file) ?? null;
      if (instead !== null) fault(instead);
      else known.push({ file, kind, kinds });
    }
  }
  if (faults.length > 0) return faults;
  for (const system of systems) {
    const own = known.map((seen) => ofSystem(seen, system)).filter((one) => one !== null);
    const has = system.needs === undefined || own.some(({ kind }) => kind === system.needs);
    if (own.length === known.length && has) return { system, files: own };
  }
  const alone = known.filter(({ kinds }) => systems.every((one) => !kinds.some((kind) => isWhole(kind, one, known))));
  if (alone.length > 0)
    return alone.map(({ kind, file }) => ({
      ...file.place(),
      message:
        as === null
          ? unknown(file)
          : `${kind.what} says nothing by itself: ${systemOf(kind, systems)?.needs?.what ?? ''} is needed beside it`,
    }));
  return known.map(({ kind, file }) => ({
    ...file.place(),
    message: `this is ${kind.what} (${systemOf(kind, systems)?.name}): the files are of several systems, import one at a time`,
  }));
}

/** A file, what it looks like first of all, and all that it may be: a list of networks is one for several systems. */
interface Seen {
  readonly file: InputFile;
  readonly kind: Kind;
  readonly kinds: readonly Kind[];
}

function ofSystem({ file, kinds }: Seen, { kinds: own }: System): KnownFile | null {
  const kind = kinds.find((one) => own.includes(one));
  return kind === undefined ? null : { kind, file };
}

/** The kind is the system's, and what the system needs is there. */
function isWhole(kind: Kind, { kinds, needs }: System, known: readonly Seen[]): boolean {
  return kinds.includes(kind) && (needs === undefined || known.some((seen) => seen.kind === needs));
}

function systemOf(kind: Kind, systems: readonly System[]): System | undefined {
  return systems.find(({ kinds }) => kinds.includes(kind));
}

function kindsOf(systems: readonly System[]): Kind[] {
  return [...new Set(systems.flatMap(({ kinds }) => kinds))];
}

function unknown(file: InputFile): string {
  const lines = file.text.split(/\r\n|\n|\r/, 50);
  if (lines.some((line) => kindOfLine(line) !== null))
    return 'this is a log: those are for postern inventory, replay and suggest; here the settings of the server are wanted';
  const beginning = file.text.trimStart().split(/\r\n|\n|\r/, 1)[0] ?? '';
  return `nobody knows what this is: it begins with ${JSON.stringify(beginning.slice(0, 40))}; postern import --help lists what is known (tables of Postfix: beside what postconf -n prints), --as KIND says what it is`;
}

/** What is wrong with a name of --as; null: nothing. */
export function whyNoKind(name: string, systems: readonly System[] = SYSTEMS): string | null {
  const names = kindsOf(systems).map((kind) => kind.name);
  if (names.includes(name)) return null;
  const meant = nearest(name, names);
  return meant === null ? `${names.join(', ')} are known` : `did you mean ${meant}?`;
}
