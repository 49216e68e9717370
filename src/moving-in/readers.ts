// The readers of settings, and which of them a file is for: by its content, never by its name.
//
// A kind is a form of file (a registry export, a CLIXML); a system reads all files of its kinds together, since one setting
// may stand in two of them. A new one is an entry in SYSTEMS and nothing else.

import { nearest } from '../config/suggest.ts';
import { EXCHANGE } from './exchange.ts';
import { exchange55 } from './exchange-5.5.ts';
import type { Fault } from './imported.ts';
import type { InputFile } from './input-file.ts';
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
  const known: { systems: readonly System[]; file: KnownFile }[] = [];
  for (const file of files) {
    const fault = (message: string): void => {
      faults.push({ ...file.place(), message });
    };
    if (file.text.trim() === '') {
      fault('the file is empty');
      continue;
    }
    const kind = kindsOf(systems).find((one) => (as === null ? one.recognises(file) : one.name === as));
    if (kind === undefined) fault(unknown(file, systems));
    else {
      const instead = kind.instead?.(file) ?? null;
      if (instead !== null) fault(instead);
      else known.push({ systems: systems.filter(({ kinds }) => kinds.includes(kind)), file: { kind, file } });
    }
  }
  if (faults.length > 0) return faults;
  const system = systems.find(
    (one) =>
      known.every((each) => each.systems.includes(one)) &&
      (one.needs === undefined || known.some(({ file }) => file.kind === one.needs)),
  );
  if (system !== undefined) return { system, files: known.map(({ file }) => file) };
  const lacks = ({ needs }: System): boolean => needs !== undefined && !known.some(({ file }) => file.kind === needs);
  const alone = known.filter((each) => each.systems.every(lacks));
  if (alone.length > 0)
    return alone.map(({ systems: [one], file: { kind, file } }) => ({
      ...file.place(),
      message:
        as === null
          ? unknown(file, systems)
          : `${kind.what} says nothing by itself: ${one?.needs?.what ?? ''} is needed beside it`,
    }));
  return known.map(({ systems: [one], file: { kind, file } }) => ({
    ...file.place(),
    message: `this is ${kind.what} (${one?.name}): the files are of several systems, import one at a time`,
  }));
}

function kindsOf(systems: readonly System[]): Kind[] {
  return [...new Set(systems.flatMap(({ kinds }) => kinds))];
}

function unknown(file: InputFile, systems: readonly System[]): string {
  const known = kindsOf(systems).map(({ what }) => what);
  const beginning = file.text.trimStart().split(/\r\n|\n|\r/, 1)[0] ?? '';
  return `nobody knows what this is: it begins with ${JSON.stringify(beginning.slice(0, 40))}; known are ${known.join(', ')}`;
}

/** What is wrong with a name of --as; null: nothing. */
export function whyNoKind(name: string, systems: readonly System[] = SYSTEMS): string | null {
  const names = kindsOf(systems).map((kind) => kind.name);
  if (names.includes(name)) return null;
  const meant = nearest(name, names);
  return meant === null ? `${names.join(', ')} are known` : `did you mean ${meant}?`;
}
