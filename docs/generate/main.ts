// npm run docs: writes the pages of docs/ that are made of the code. test/docs-generated.test.ts says when it is due.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pages } from './pages.ts';

for (const [name, text] of Object.entries(await pages())) writeFileSync(join(import.meta.dirname, '..', name), text);
