// Colours, where a terminal reads them. A file or a pipe gets the plain text.

import { styleText } from 'node:util';

export type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold';
export type Paint = (colour: Colour, text: string) => string;

/** Honours NO_COLOR (no-color.org). */
export function paintFor(isTTY: boolean): Paint {
  const coloured = isTTY && !process.env.NO_COLOR;
  return (colour, text) => (coloured ? styleText(colour, text, { validateStream: false }) : text);
}
