// The generated pages of docs/, by file name.

import { keysPage } from './keys.ts';
import { logFieldsPage } from './log-fields.ts';
import { manualPages } from './man.ts';
import { metricsPage } from './metrics.ts';
import { repliesPage } from './replies.ts';
import { schemas } from './schemas.ts';

export async function pages(): Promise<Readonly<Record<string, string>>> {
  return {
    'keys.md': keysPage(),
    'log-fields.md': logFieldsPage(),
    'metrics.md': await metricsPage(),
    'replies.md': repliesPage(),
    ...schemas(),
    ...(await manualPages()),
  };
}
