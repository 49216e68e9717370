// Tables in Markdown.

export type Row = readonly (string | null)[];

/** A table; null is an empty cell. */
export function table(heads: Row, rows: readonly Row[]): string {
  const lines = [heads, heads.map(() => '---'), ...rows].map(
    (row) => `| ${row.map((cell) => cell ?? '').join(' | ')} |`,
  );
  return `${lines.join('\n')}\n`;
}

/** Text as code, fit for a cell. */
export function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``;
}

export function codes(texts: readonly string[]): string {
  return texts.map(code).join(' ');
}

/** A sentence of the code's, fit for a cell: no tag and no column by accident. */
export function prose(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('|', '\\|').replaceAll('*', '\\*');
}

/** The head of a page that nobody edits by hand. */
export function head(title: string, from: string, text: string): string {
  return `# ${title}\n\n<!-- Made by \`npm run docs\` from ${from}: change it there. -->\n\n${text.trim()}\n\n`;
}
