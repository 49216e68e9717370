// The inventory as one HTML page that needs nothing else: to be sent around, printed and searched with the browser.
//
// Invariant: whatever a log held is text in it (html.ts escapes), and the page runs no script and loads nothing (its policy).

import { Html, html } from '../status/html.ts';
import { formatCount } from '../status/words.ts';
import type { Counted } from './counted.ts';
import type { SourceRow } from './inventory.ts';
import { formatTime, type InventoryReport, summaryOf } from './inventory-report.ts';

const ROWS = 5_000; // a browser still scrolls them

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --bad: #b3261e; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --warn: #ffc46b; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; padding: 0 1rem; max-width: 110rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: 0 0 .5rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
thead th { position: sticky; top: 0; background: Canvas; white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td { overflow-wrap: anywhere; } td:first-child, tbody th { white-space: nowrap; font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; } .warn { color: var(--warn); font-weight: 600; }
small { opacity: .8; } code { font-size: .9em; } details > summary { cursor: pointer; }
@media print { thead th { position: static; } body { font-size: 10px; max-width: none; } }
`;

/** In pieces, since all of it may be long. */
export function* formatPage(report: InventoryReport, made: Date): Generator<string> {
  const { rows, read } = report;
  const losing = rows.filter(({ lost }) => (lost ?? 0) > 0);
  const relaying = rows.filter((row) => (row.relayed ?? 0) > 0);
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  yield html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width">
<title>Who sends what: inventory of mail logs</title>
<style>${new Html(STYLE)}</style>
<h1>Who sends what</h1>
${summaryOf(report).map((line) => html`<p>${line}.</p>\n`)}`.text;
  if (losing.length > 0) yield* table('Would lose mail', losing, report);
  if (relaying.length > 0) yield* table('Relay', relaying, report);
  yield* table('All sources', rows, report);
  yield html`<h2>What was read</h2>
<p>${formatCount(read.files)} files, ${formatCount(read.lines)} lines. ${formatCount(read.unknown)} lines were not understood.</p>
<ul>${[...read.problems, ...read.notes].map((sentence) => html`<li>${sentence}</li>\n`)}
${read.unknownLines.map(({ file, line, why, text }) => html`<li>${file}:${line}: ${why}: <code>${text}</code></li>\n`)}</ul>
<p><small>Made by postern inventory on ${made.toISOString().slice(0, 16).replace('T', ' ')} UTC. All times are UTC. A name, HELO or login is the one seen
most often, with the number of times; “relayed” are recipients of domains that are not accepted ones.</small></p>
</html>
`.text;
}

function* table(title: string, rows: readonly SourceRow[], report: InventoryReport): Generator<string> {
  const { knowsRelaying, hasPolicy } = report;
  const shown = rows.slice(0, ROWS);
  const more = rows.length > ROWS ? html` The first ${formatCount(ROWS)} are shown; <code>--csv</code> has all.` : '';
  yield html`<h2>${title}</h2>
<div class="wide" tabindex="0"><table>
<caption>${formatCount(rows.length)} ${rows.length === 1 ? 'source' : 'sources'}.${more}</caption>
<thead><tr><th scope="col">Source</th><th scope="col">HELO, login</th><th scope="col">Senders of</th><th scope="col">Recipients of</th>
<th scope="col" class="n">Messages</th><th scope="col" class="n">Recipients</th>${knowsRelaying ? html`<th scope="col" class="n">Relayed</th>` : ''}
<th scope="col" class="n">Refused</th>${hasPolicy ? html`<th scope="col" class="n">Would lose</th>` : ''}<th scope="col">First</th><th scope="col">Last</th></tr></thead>
<tbody>
`.text;
  for (const row of shown) yield line(row, report).text;
  yield '</tbody></table></div>\n';
}

function line(row: SourceRow, { knowsRelaying, hasPolicy }: InventoryReport): Html {
  const { source, loss } = row;
  const lost = row.lost ?? 0;
  const relayed = row.relayed ?? 0;
  const example =
    loss === null
      ? ''
      : html`<br><small>as &lt;${loss.sender ?? '?'}&gt; to &lt;${loss.recipient}&gt;: ${loss.reply} (${loss.file}:${loss.line})</small>`;
  const right = row.mayRelay ? html`<br><small class="warn">may relay</small>` : '';
  const login = row.logins.isEmpty ? '' : html`<br><small>login:</small> ${names(row.logins)}`;
  return html`<tr><th scope="row">${source}${row.names.isEmpty ? '' : html`<br><small>${names(row.names)}</small>`}${right}</th>
<td>${names(row.helo)}${login}${row.connectors.isEmpty ? '' : html`<br><small>${names(row.connectors)}</small>`}</td>
<td>${names(row.senderDomains)}</td><td>${names(row.recipientDomains)}${example}</td>
<td class="n">${formatCount(row.messages)}</td><td class="n">${formatCount(row.recipients)}</td>
${knowsRelaying ? html`<td class="n${relayed > 0 ? ' warn' : ''}">${formatCount(relayed)}</td>` : ''}
<td class="n">${formatCount(row.refused)}</td>${hasPolicy ? html`<td class="n${lost > 0 ? ' bad' : ''}">${formatCount(lost)}</td>` : ''}
<td>${formatTime(row.first)}</td><td>${formatTime(row.last)}</td></tr>
`;
}

const AT_ONCE = 3;

/** The first few, and the rest behind a click. */
function names(counted: Counted): Html {
  const list = counted.list().map(({ name, times }) => html`${name} <small>${formatCount(times)}</small>`);
  const separated = (all: readonly Html[]): Html[] => all.map((one, at) => (at === 0 ? one : html`, ${one}`));
  const rest = list.slice(AT_ONCE);
  if (counted.more > 0) rest.push(html`others <small>${formatCount(counted.more)}</small>`);
  if (rest.length === 0) return html`${separated(list)}`;
  return html`${separated(list.slice(0, AT_ONCE))}<details><summary>${rest.length} more</summary>${separated(rest)}</details>`;
}
