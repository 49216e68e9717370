// The program that tests start: its source, or POSTERN_MAIN: dist/, which is what people run, in npm test.

import { fileURLToPath } from 'node:url';

export const SOURCE = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export const MAIN = process.env.POSTERN_MAIN ?? SOURCE;
