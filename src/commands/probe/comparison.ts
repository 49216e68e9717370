// Two examinations side by side: the same server without and with the firewall before it. Pure.
//
// A row says the worst that came of a form with any sender, since one sender that gets through is a relay.
// It deliberately does not say which sender that was: the table of one examination (report.ts) does.

import type { Paint } from '../paint.ts';
import type { Examination } from './examine.ts';
import { COLOURS, pathWidth, showPath } from './report.ts';
import { type Verdict, verdictOf, worstOutcome } from './verdict.ts';

export interface Side {
  /** The head of the column. */
  readonly title: string;
  readonly examination: Examination;
}

const VERDICT_COLOURS: Record<Verdict['verdict'], 'red' | 'yellow' | 'green'> = {
  open: 'red',
  'cannot tell': 'yellow',
  closed: 'green',
};

/** A row a form, in the order of the first side, and the verdicts below. */
export function formatComparison(sides: readonly [Side, Side], paint: Paint): string {
  const forms = sides[0].examination.forms;
  const width = pathWidth(forms);
  const columns = sides.map((side) => side.title.length + 3);
  const line = (head: string, cells: readonly { text: string; paint(text: string): string }[]) =>
    `  ${head.padEnd(width)}  ${cells.map((cell, index) => cell.paint(cell.text.padEnd(columns[index] ?? 0))).join('')}`.trimEnd();
  const plain = (text: string) => text;

  const rows = forms.map((form) => {
    const cells = sides.map(({ examination }) => {
      const outcome = worstOutcome(examination.answers.filter((answer) => answer.form.name === form.name));
      return { text: outcome, paint: (text: string) => paint(COLOURS[outcome], text) };
    });
    return line(showPath(form.path), cells);
  });
  const verdicts = sides.map(({ examination }) => {
    const { verdict } = verdictOf(examination.answers, examination.login);
    return { text: verdict.toUpperCase(), paint: (text: string) => paint(VERDICT_COLOURS[verdict], text) };
  });
  const titles = sides.map(({ title }) => ({ text: title, paint: plain }));
  return [line('RCPT TO:', titles), ...rows, '', line('Open relay?', verdicts)].join('\n');
}
