// The status page as HTML: a pure function of what is known at one moment, so that it works without a script and its
// sections can be sent again one by one while it is open (browser.js puts them in).
//
// Not here: what is known (serve/page-report), styles, and anything that changes something without the script.

import type { Minute, Recent, RefusedSource } from './history.ts';
import { Html, html } from './html.ts';
import type { Example } from './refusals.ts';
import { remedyFor } from './remedy.ts';
import type { LimitsView, ServerStatus, Status } from './shapes.ts';
import { ageOf, formatAge, formatCount, many, upstreamsOf } from './words.ts';

export interface PageSnapshot {
  readonly status: Status;
  readonly recent: Recent;
  readonly limits: LimitsView;
  /** What `postern check` says of the policy in force. */
  readonly findings: readonly string[];
  /** A token file is named, so that something can be changed from here. */
  readonly hasToken: boolean;
}

const SHOWN = 20;

export function drawPage(snapshot: PageSnapshot): string {
  const { status, findings, hasToken } = snapshot;
  const sections = Object.entries(drawSections(snapshot)).map(
    ([id, content]) => html`<section id="${id}" aria-labelledby="${id}-title">${new Html(content)}</section>\n`,
  );
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>Postern: ${status.warnings.length + findings.length === 0 ? 'all is well' : 'look here'}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="uplot.css">
<link rel="stylesheet" href="page.css">
<script src="uplot.js" defer></script>
<script src="page.js" defer></script>
</head>
<body data-token="${hasToken ? 'wanted' : 'none'}">
<a class="skip" href="#state">To the state of things</a>
<header>
<h1>Postern</h1>
<p id="live" role="status">As of ${status.time.slice(0, 19).replace('T', ' ')} UTC. <noscript>Load it again for newer figures.</noscript></p>
</header>
<main>
${sections}<section id="chart-box" aria-labelledby="chart-title" hidden><h2 id="chart-title">Messages and refusals per minute</h2><div id="chart"></div></section>
<section id="act" aria-labelledby="act-title" hidden>
<h2 id="act-title">Ban an address</h2>
<form id="ban">
<p><label for="token">Token</label> <input id="token" type="password" autocomplete="off" required>
<label for="source">Address or network</label> <input id="source" autocomplete="off" spellcheck="false" required>
<label for="for">For</label> <input id="for" value="10m" size="6" autocomplete="off" required pattern="[1-9][0-9]*[smh]" title="a number and s, m or h">
<button>Ban</button></p>
<p>The token is that of the token file. It stays in this page until it is closed.</p>
</form>
</section>
<p id="done" role="status"></p>
<dialog id="why" aria-labelledby="why-title"><h2 id="why-title">Why</h2><div id="why-text" tabindex="0"></div><form method="dialog"><button>Close</button></form></dialog>
</main>
</body>
</html>
`.text;
}

/** By their id; the chart is drawn by the script of `minutes`. */
export function drawSections(snapshot: PageSnapshot): Record<string, string> {
  const { status, recent, limits, findings } = snapshot;
  return {
    state: state(status).text,
    warnings: warnings([...status.warnings, ...findings]).text,
    servers: servers(status).text,
    hour: hour(status, recent.minutes).text,
    refused: sources('refused', 'Refused most in the last hour', recent.refused, status.time).text,
    ...(status.protected && recent.would_be_refused.length === 0
      ? { would: html`<h2 id="would-title">Would be refused</h2><p>Nothing is only observed.</p>`.text }
      : { would: sources('would', 'Would be refused, and was let pass', recent.would_be_refused, status.time).text }),
    bans: bans(limits).text,
    limits: uses(limits).text,
  };
}

function state(status: Status): Html {
  const { time, policy, mode, certificates, sessions, workers } = status;
  const is = status.draining ? 'Ending' : status.listening ? 'Up' : 'Not listening';
  const soonest = certificates.toSorted((a, b) => a.days_left - b.days_left)[0];
  const facts: [string, string][] = [
    ['State', `${is}, for ${formatAge(status.uptime_seconds * 1000)}`],
    ['Mode', status.protected ? mode : `${mode}: not everything is refused that should be`],
    ['Sessions now', formatCount(sessions.open)],
    ['Version', status.version],
    ['Policy', policy.version],
    ['Loaded', `${ageOf(policy.loaded, time)} ago, ${policy.loaded.slice(0, 19).replace('T', ' ')} UTC`],
    ['Workers', `${workers.open} of ${workers.configured}`],
    ['Certificate', soonest === undefined ? 'none' : `${soonest.names[0] ?? '?'}: ${soonest.days_left} days left`],
  ];
  return html`<h2 id="state-title">State</h2><dl>${facts.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>`;
}

function warnings(sentences: readonly string[]): Html {
  if (sentences.length === 0) return html`<h2 id="warnings-title">Warnings</h2><p class="good">None.</p>`;
  return html`<h2 id="warnings-title">Warnings</h2><ul class="warnings">${sentences.map((one) => html`<li>${one}</li>`)}</ul>`;
}

function servers({ servers, time }: Status): Html {
  const areNamed = servers.some(({ upstreams }) => upstreams !== undefined);
  const name = (one: ServerStatus): Html => (areNamed ? html`<td>${upstreamsOf(one).join(', ')}</td>` : html``);
  const heads = ['Server', ...(areNamed ? ['Upstream'] : []), 'State', 'For', 'Sessions', 'Why'];
  const row = (one: ServerStatus): Html => {
    const { server, state, up, since, sessions, why, next_probe_seconds } = one;
    return html`<tr><th scope="row">${server}</th>${name(one)}<td class="${up ? (state === 'up' ? 'good' : '') : 'bad'}">${state}</td><td>${since === null ? '–' : ageOf(since, time)}</td><td class="number">${formatCount(sessions)}</td><td>${why ?? ''}${next_probe_seconds === undefined ? '' : `; asked again in ${next_probe_seconds} s`}</td></tr>`;
  };
  return html`<h2 id="servers-title">Servers</h2>${table(heads, servers.map(row))}`;
}

function hour(status: Status, minutes: readonly Minute[]): Html {
  const sum = (of: (minute: Minute) => number): number => minutes.reduce((all, one) => all + of(one), 0);
  const messages = sum((one) => one.messages);
  const refused = sum((one) => one.refused);
  const would = sum((one) => one.would_be_refused);
  const told = [
    many(messages, 'message'),
    many(refused, 'refusal'),
    ...(would === 0 ? [] : [`${formatCount(would)} that enforce would refuse`]),
  ].join(', ');
  const most = Math.max(0, ...minutes.map(({ sessions }) => sessions));
  const row = (one: Minute): Html =>
    html`<tr><th scope="row">${new Date(one.at).toISOString().slice(11, 16)}</th>${[one.messages, one.refused, one.would_be_refused, one.sessions].map((count) => html`<td class="number">${formatCount(count)}</td>`)}</tr>`;
  return html`<h2 id="hour-title">The last hour</h2>
<p>${told}; at most ${many(most, 'session')} at once, ${formatCount(status.sessions.open)} now.</p>
<details><summary>Minute by minute</summary>${table(['UTC', 'Messages', 'Refused', 'Would be', 'Sessions'], minutes.toReversed().map(row))}</details>`;
}

function sources(id: string, title: string, list: readonly RefusedSource[], time: string): Html {
  const heading = html`<h2 id="${id}-title">${title}</h2>`;
  if (list.length === 0) return html`${heading}<p>Nobody.</p>`;
  const row = ({ source, count, last, example }: RefusedSource): Html => {
    const { what, rule } = remedyFor(example);
    return html`<tr><th scope="row">${source}</th>${times(count)}<td>${ageOf(new Date(last).toISOString(), time)} ago</td><td>${sentence(example)}</td>
<td>${why(example)}<details><summary>What would allow it<span class="unseen"> for ${source}</span></summary><p>${what}</p>${rule === null ? '' : html`<pre tabindex="0">${rule}</pre><button type="button" class="copy" hidden>Copy</button>`}</details></td></tr>`;
  };
  return html`${heading}${table(['Source', 'Times', 'Last', 'What', 'Why'], list.map(row))}`;
}

function times(count: number): Html {
  return count === 1 ? html`<td class="number once">once</td>` : html`<td class="number">${formatCount(count)}</td>`;
}

function sentence({ what, reason, connector, sender, recipient, login }: Example): string {
  const whom =
    what === 'recipient'
      ? ` ${recipient} from ${sender === '' ? '<>' : sender}`
      : what === 'sender'
        ? ` ${sender}`
        : '';
  return `${what}${whom}${login === null ? '' : `, logged in as ${login}`}: ${reason}${connector === null ? '' : ` at ${connector}`}`;
}

/** The question to the policy as a link, where the policy is what refused it: not a limit or a ban. */
function why(example: Example): Html {
  const { what, client_address, local, recipient, sender, login, helo, tls, tls_subject } = example;
  if (!isExplained(example)) return html``;
  // A question is about a recipient. Where it does not come so far, it is one whom nobody refuses.
  const words = {
    source: client_address,
    rcpt: what === 'recipient' ? recipient : ANYBODY,
    sender,
    login,
    helo,
    local,
  };
  const query = new URLSearchParams(Object.entries(words).filter((word): word is [string, string] => !!word[1]));
  if (tls) query.append('tls', 'yes');
  for (const subject of tls_subject) query.append('tls_subject', subject);
  return html`<a class="why" href="explain?${query.toString()}">Why<span class="unseen"> ${client_address} was refused</span></a> `;
}

const ANYBODY = 'postmaster';

function isExplained({ what, reason }: Example): boolean {
  if (reason === 'limit' || reason === 'reload') return false;
  if (what === 'connection') return reason === 'no_connector' || reason === 'connect';
  return what !== 'login';
}

function bans({ bans }: LimitsView): Html {
  const heading = html`<h2 id="bans-title">Bans</h2>`;
  if (bans.length === 0) return html`${heading}<p>Nobody is banned.</p>`;
  const rows = bans
    .slice(0, SHOWN)
    .map(
      ({ source, until, by }) =>
        html`<tr><th scope="row">${source}</th><td>${until.slice(0, 19).replace('T', ' ')} UTC</td><td>${by}</td><td><button type="button" class="lift" data-source="${source}" hidden>Lift<span class="unseen"> the ban of ${source}</span></button></td></tr>`,
    );
  return html`${heading}${table(['Source', 'Until', 'By', 'Change'], rows)}${more(bans.length)}`;
}

function uses(view: LimitsView): Html {
  const heading = html`<h2 id="limits-title">Limits nearly used up</h2>`;
  const all = [...view.sources, ...view.logins, ...view.senders, ...view.connectors]
    .map((use) => ({ use, share: use.used / use.of }))
    .filter(({ share }) => share >= 0.5)
    .toSorted((a, b) => b.share - a.share);
  if (all.length === 0) return html`${heading}<p>Nobody has used half of a limit.</p>`;
  const rows = all
    .slice(0, SHOWN)
    .map(
      ({ use: { source, login, sender, connector, limit, used, of, seconds } }) =>
        html`<tr><th scope="row">${[login, sender, source].filter((name) => name !== undefined).join(' from ') || connector}</th><td>${limit} of ${connector}</td><td class="number">${used} of ${of}</td><td>${formatAge(seconds * 1000)}</td></tr>`,
    );
  return html`${heading}${table(['Who', 'Limit', 'Used', 'Within'], rows)}${more(all.length)}`;
}

function more(count: number): Html {
  return count > SHOWN ? html`<p>And ${count - SHOWN} more: GET /limits has them.</p>` : html``;
}

/** It may be wider than a phone: then it moves by itself, with the keyboard too. */
function table(heads: readonly string[], rows: readonly Html[]): Html {
  return html`<div class="wide" tabindex="0" role="group" aria-label="${heads[0] as string}: table"><table><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`;
}
