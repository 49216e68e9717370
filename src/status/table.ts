// A table of a fixed width for a terminal: what matters least goes first where there is no room for all.

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => string;
  /** A longer cell is cut. */
  readonly most: number;
  /** Who is left out first has the highest; 0 always stays. */
  readonly dispensable: number;
  readonly right?: true;
}

const GAP = 2;

/** The lines, the head first; none is longer than `width`. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): string[] {
  const cells = columns.map(({ head, cell, most }) => [head, ...rows.map((row) => cut(cell(row), most))]);
  const widths = cells.map((column) => Math.max(...column.map(({ length }) => length)));
  const shown = fitting(columns, widths, width);
  return Array.from({ length: rows.length + 1 }, (_, line) => {
    const texts = shown.map((at) => {
      const text = cells[at]?.[line] as string;
      const room = widths[at] as number;
      return columns[at]?.right === true ? text.padStart(room) : text.padEnd(room);
    });
    return cut(texts.join(' '.repeat(GAP)).trimEnd(), width);
  });
}

/** Which columns there is room for. */
function fitting(columns: readonly Column<never>[], widths: readonly number[], width: number): number[] {
  const shown = columns.map((_, at) => at);
  const needed = (): number => shown.reduce((sum, at) => sum + (widths[at] as number) + GAP, -GAP);
  while (needed() > width) {
    const least = shown.toSorted((a, b) => dispensable(columns, b) - dispensable(columns, a))[0] as number;
    if (dispensable(columns, least) === 0) break;
    shown.splice(shown.indexOf(least), 1);
  }
  return shown;
}

function dispensable(columns: readonly Column<never>[], at: number): number {
  return columns[at]?.dispensable ?? 0;
}

export function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(0, most - 1))}…`;
}

/** Words in lines of at most this width; those behind the first begin with `indent` blanks. */
export function wrap(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${' '.repeat(indent)}${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => cut(one, width));
}
