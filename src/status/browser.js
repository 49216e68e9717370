// What the status page does in a browser: puts in the sections that the server draws anew, the chart, why, copy, ban and lift.
//
// Nothing is kept but the token that was typed in and what stands in the page: each event takes the place of the one before.
// A section in which somebody is – with the keyboard or a selection – stays as it is until they leave it.
/* global uPlot, EventSource, trustedTypes, document, window, fetch, navigator */

const byId = (id) => document.getElementById(id);
const hasToken = document.body.dataset.token === 'wanted';
const policy = window.trustedTypes?.createPolicy('page', { createHTML: (text) => text });
const shown = new Map(); // what each section holds
let chart = null;
let heardAt = performance.now();

function show(event) {
  heardAt = performance.now();
  for (const [id, text] of Object.entries(event.sections)) {
    const section = byId(id);
    if (section === null || shown.get(id) === text || isInUse(section)) continue;
    shown.set(id, text);
    const open = [...section.querySelectorAll('details')].map(
      (one) => one.open && one.querySelector('summary').textContent,
    );
    section.innerHTML = policy === undefined ? text : policy.createHTML(text);
    for (const one of section.querySelectorAll('details'))
      one.open = open.includes(one.querySelector('summary').textContent);
    prepare(section);
  }
  draw(event.minutes);
  document.title = `Postern: ${event.warnings === 0 ? 'all is well' : 'look here'}`;
  say('Live.');
}

function isInUse(section) {
  const selection = document.getSelection();
  const selects = selection !== null && !selection.isCollapsed && section.contains(selection.anchorNode);
  return selects || section.contains(document.activeElement) || byId('why').open;
}

/** Only what is new is said: a screen reader reads it out. */
function say(text) {
  if (byId('live').textContent !== text) byId('live').textContent = text;
}

function prepare(section) {
  for (const button of section.querySelectorAll('.copy')) button.hidden = navigator.clipboard === undefined;
  for (const button of section.querySelectorAll('.lift')) button.hidden = !hasToken;
}

// The chart

function colours() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(
    ['ink', 'line', 'good', 'bad', 'warn'].map((name) => [name, style.getPropertyValue(`--${name}`)]),
  );
}

function draw(minutes) {
  const column = (name) => minutes.map((minute) => minute[name]);
  const data = [minutes.map(({ at }) => at / 1000), column('messages'), column('refused'), column('would_be_refused')];
  byId('chart-box').hidden = false;
  if (chart !== null) chart.setData(data);
  else makeChart(data);
}

/** In UTC, as everywhere on the page. */
function clock(seconds) {
  return new Date(seconds * 1000).toISOString().slice(11, 16);
}

function makeChart(data) {
  const { ink, line, good, bad, warn } = colours();
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line } };
  const width = () => byId('chart').clientWidth;
  const count = {
    ...axis,
    size: 60,
    incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6],
  };
  chart = new uPlot(
    {
      width: width(),
      height: 220,
      axes: [{ ...axis, values: (_chart, times) => times.map(clock) }, count],
      scales: { y: { range: (_chart, _least, most) => [0, Math.max(5, most * 1.1)] } },
      series: [
        { label: 'UTC', value: (_chart, time) => (time === null ? '–' : clock(time)) },
        { label: 'Messages', stroke: good, width: 2 },
        { label: 'Refused', stroke: bad, width: 2, dash: [6, 3] },
        { label: 'Would be refused', stroke: warn, width: 2, dash: [2, 3] },
      ],
    },
    data,
    byId('chart'),
  );
  byId('chart').querySelector('canvas')?.setAttribute('role', 'img');
  byId('chart')
    .querySelector('canvas')
    ?.setAttribute('aria-label', 'The figures stand minute by minute in the section on the last hour');
  new ResizeObserver(() => chart?.setSize({ width: width(), height: 220 })).observe(byId('chart'));
}

window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  if (chart === null) return;
  const { data } = chart;
  chart.destroy();
  makeChart(data);
});

// Why, copy, ban, lift

document.addEventListener('click', (event) => {
  const target = event.target.closest('a.why, button.copy, button.lift');
  if (target === null) return;
  if (target.matches('a.why')) {
    event.preventDefault();
    explain(target.href);
  } else if (target.matches('.copy')) {
    navigator.clipboard.writeText(target.previousElementSibling.textContent).then(
      () => tell('Copied.'),
      () => tell('The browser did not let it be copied: select the text.'),
    );
  } else lift(target.dataset.source);
});

async function explain(href) {
  const answer = await ask(href);
  const lines = answer.error === undefined ? accountOf(answer) : [answer.error];
  byId('why-text').replaceChildren(
    ...lines.map((line) => Object.assign(document.createElement('p'), { textContent: line })),
  );
  byId('why').showModal();
}

function accountOf({ answer, reply, reason, rule, connector, grammar, setting, recipients, observed }) {
  return [
    `Asked now, the answer is: ${answer}${observed ? ', because the mode is observe' : ''}${reason === null ? '' : ` (${reason}${rule === null ? '' : `, ${rule}`})`}.`,
    ...(reply === null ? [] : [`The client hears: ${reply}`]),
    ...(connector === null ? ['No connector takes it.'] : [`Connector ${connector.name}: ${connector.why}.`]),
    ...(grammar === null ? [] : [grammar]),
    ...(setting === undefined
      ? []
      : [
          Object.values(setting)
            .filter((one) => typeof one === 'string')
            .join(' · '),
        ]),
    ...recipients.flatMap(({ address, why, rules }) => [
      `${address}: ${why}.`,
      ...rules.map((one) => `Rule ${one.name} (${one.place}) matched: ${one.matched}. ${one.why}`),
    ]),
  ];
}

byId('ban').addEventListener('submit', (event) => {
  event.preventDefault();
  const body = JSON.stringify({ source: byId('source').value.trim(), for: byId('for').value.trim() });
  change('bans', { method: 'POST', body }, ({ source, until }) => `${source} is banned until ${until}.`);
});

function lift(source) {
  change(`bans/${encodeURIComponent(source)}`, { method: 'DELETE' }, () => `The ban of ${source} is lifted.`);
}

async function change(path, request, sentence) {
  const token = byId('token').value.trim();
  if (token === '') {
    tell('Type the token first.');
    byId('token').focus();
    return;
  }
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await ask(path, { ...request, headers });
  tell(answer.error === undefined ? sentence(answer) : `It was not done: ${answer.error}`);
}

async function ask(path, request = {}) {
  try {
    const response = await fetch(path, { ...request, credentials: 'same-origin', redirect: 'error' });
    return await response.json();
  } catch {
    return { error: 'Postern does not answer.' };
  }
}

function tell(text) {
  byId('done').textContent = text;
}

// Live: the browser calls again by itself when the connection is lost.

for (const section of document.querySelectorAll('main > section')) prepare(section);
byId('act').hidden = !hasToken;
const events = new EventSource('events');
events.onmessage = ({ data }) => show(JSON.parse(data));
events.onerror = () => say('Not live: Postern does not answer. What stands here is old.');
setInterval(() => {
  if (performance.now() - heardAt > 15_000) say('Not live: nothing was heard for a while. What stands here is old.');
}, 5_000);
