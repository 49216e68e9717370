// Reads XML into elements that know where they stand: CLIXML of PowerShell, MetaBase.xml of IIS.
//
// Nothing is fetched and nothing is expanded: a document type is refused, and with it every entity but the five of XML
// itself. Depth and number are bounded. A fault is a sentence with its place, never half a document.

import { SaxesParser } from 'saxes';
import type { Fault } from './imported.ts';
import type { InputFile } from './input-file.ts';

export interface Element {
  /** Without the prefix. */
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Element[];
  /** The text that stands in it, apart from that of its children. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

interface Open extends Element {
  readonly children: Element[];
  text: string;
}

const MOST_DEPTH = 100;
const MOST_ELEMENTS = 2_000_000;

/** The root element, or what is wrong. */
export function parseXml({ name: file, text }: InputFile): Element | Fault {
  const parser = new SaxesParser({ xmlns: false });
  const open: Open[] = [];
  let root: Open | null = null;
  let fault: Fault | null = null;
  let elements = 0;
  let start = { line: 1, column: 1 };

  const wrong = (message: string): void => {
    fault ??= { file, line: parser.line, column: parser.column + 1, message };
  };
  parser.on('error', ({ message }) => wrong(sentenceOf(message, open)));
  parser.on('doctype', () => wrong('it has a document type, which no export has: it is not read'));
  parser.on('opentagstart', () => {
    start = { line: parser.line, column: Math.max(1, parser.column - 1) };
  });
  parser.on('opentag', ({ name, attributes }) => {
    elements++;
    if (elements > MOST_ELEMENTS) return wrong(`more than ${MOST_ELEMENTS} elements`);
    if (open.length >= MOST_DEPTH) return wrong(`elements stand deeper than ${MOST_DEPTH} in each other`);
    const element: Open = { name: name.replace(/^.*:/, ''), attributes, children: [], text: '', ...start };
    open.at(-1)?.children.push(element);
    open.push(element);
    root ??= element;
  });
  const addText = (more: string): void => {
    const element = open.at(-1);
    if (element !== undefined) element.text += more;
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('closetag', () => {
    open.pop();
  });

  // In pieces, so that after a fault the rest is not gone through.
  for (let at = 0; at < text.length && fault === null; at += 65_536) parser.write(text.slice(at, at + 65_536));
  if (fault === null) parser.close();
  return fault ?? root ?? { file, line: 1, column: 1, message: 'no element stands in it' };
}

function sentenceOf(message: string, open: readonly Open[]): string {
  const words = message.replace(/^[0-9:]+ /, '').replace(/\.$/, '');
  const inside = open.at(-1);
  return inside !== undefined && /unclosed tag|unexpected end/.test(words)
    ? `it ends in the middle: <${inside.name}> of line ${inside.line} is not closed; is the file cut off?`
    : `no XML: ${words}`;
}
