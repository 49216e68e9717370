// A policy as a file that people will keep: YAML with comments, short blocks on one line.
//
// It prints what it is given, in that order, and checks nothing (prove.ts does).

import { Document, isCollection, isMap, isScalar, type Node, Pair, YAMLMap, YAMLSeq } from 'yaml';
import {
  type Equivalence,
  type Imported,
  Noted,
  oneLine,
  type Written,
  type WrittenBlock,
  type WrittenCase,
} from './imported.ts';

const WIDTH = 90; // of a block as JSON that still stands on one line

/** `heading` stands above all, each line of it a comment. */
export function printPolicy(policy: Written, heading: readonly string[]): string {
  const document: Document = new Document();
  const root = nodeOf(policy, document);
  document.contents = root;
  document.commentBefore = heading.map((line) => (line === '' ? '' : ` ${line}`)).join('\n');
  if (isMap(root)) {
    root.flow = false;
    for (const { key, value } of root.items.slice(1))
      if (isCollection(value) && value.flow !== true) (key as Node).spaceBefore = true;
  }
  return document.toString({ singleQuote: true, lineWidth: 0 });
}

function nodeOf(value: Written, document: Document): Node {
  if (value instanceof Noted) {
    const node = nodeOf(value.value, document);
    const comment = value.comment
      .split('\n')
      .map((line) => ` ${line}`)
      .join('\n');
    if (isScalar(node) && !comment.includes('\n')) node.comment = comment;
    else node.commentBefore = comment;
    return node;
  }
  if (typeof value !== 'object') return document.createNode(value);
  const node = Array.isArray(value) ? listOf(value, document) : blockOf(value as WrittenBlock, document);
  node.flow = !hasComment(value) && JSON.stringify(plain(value)).length < WIDTH && depthOf(value) < 4;
  return node;
}

function listOf(value: readonly Written[], document: Document): YAMLSeq<Node> {
  const list = new YAMLSeq<Node>();
  for (const item of value) list.items.push(nodeOf(item, document));
  return list;
}

function blockOf(value: WrittenBlock, document: Document): YAMLMap<Node, Node> {
  const block = new YAMLMap<Node, Node>();
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const name: Node = document.createNode(key);
    const child = nodeOf(item, document);
    // What is said of a list or block stands above its key.
    if (isCollection(child) && child.commentBefore) {
      name.commentBefore = child.commentBefore;
      child.commentBefore = null;
    }
    block.items.push(new Pair(name, child));
  }
  return block;
}

function hasComment(value: Written): boolean {
  if (value instanceof Noted) return true;
  return typeof value === 'object' && Object.values(value).some((item) => item !== undefined && hasComment(item));
}

function depthOf(value: Written): number {
  if (typeof value !== 'object') return 0;
  return 1 + Math.max(0, ...Object.values(plain(value) as object).map((item) => depthOf(item as Written)));
}

/** Without comments. */
export function plain(value: Written): unknown {
  if (value instanceof Noted) return plain(value.value);
  if (typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item: Written) => plain(item));
  const entries = Object.entries(value).flatMap(([key, item]) => (item === undefined ? [] : [[key, plain(item)]]));
  return Object.fromEntries(entries);
}

/** `office.reg:12:1: stricter: RelayFlags 0x0: connector 'internet': why` */
export function formatEquivalence({ setting, value, where, became, verdict, why, loud }: Equivalence): string {
  const { file, line, column } = where;
  const what = value === '' ? setting : `${setting} ${value}`;
  const says = [became, why].filter((text) => text !== '').join('; ');
  return oneLine(
    `${file}:${line}:${column}: ${loud ? 'LOOK HERE: ' : ''}${verdict}: ${what}${says === '' ? '' : `: ${says}`}`,
  );
}

/** What needs a person first, then what is not as it was. */
export function inOrder(report: readonly Equivalence[]): Equivalence[] {
  const rank = ({ loud, verdict }: Equivalence): number =>
    loud ? 0 : verdict === 'cannot be said' ? 1 : verdict === 'stricter' ? 2 : 3;
  return [...report].sort((a, b) => rank(a) - rank(b));
}

export function printCases(groups: Imported['cases'], heading: readonly string[]): string {
  const parts = groups.filter(({ cases }) => cases.length > 0);
  const lines = heading.map((line) => `# ${line}`.trimEnd());
  for (const { heading: title, cases } of parts) lines.push('', `# ${title}`, ...cases.map(formatCase));
  return `${lines.join('\n')}\n`;
}

export function formatCase({ expected, asked, comment }: WrittenCase): string {
  return `${expected.padEnd(expected.length > 8 ? 19 : 8)} ${asked}${comment === undefined ? '' : `   # ${comment}`}`;
}
