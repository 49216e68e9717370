// Where a path in a file leads: from where that file stands.

import { dirname, isAbsolute, join } from 'node:path';

export function beside(file: string | null, path: string): string {
  return file === null || isAbsolute(path) ? path : join(dirname(file), path);
}
