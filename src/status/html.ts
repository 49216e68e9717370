// HTML as text in which whatever is put is made harmless: the one place where the page escapes.
//
// Invariant: a string that stands in a template's gap is text, never markup; only what `html` itself made goes in as it is.

export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Part[];

export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(strings.reduce((all, string, i) => all + textOf(parts[i - 1] as Part) + string));
}

function textOf(part: Part): string {
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(textOf).join('');
  return String(part).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
