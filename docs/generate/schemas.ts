// policies/*.schema.json: what `postern check --json-schema` prints, beside the files that name it for editors.

import { jsonSchema } from '../../src/config/schema.ts';

export function schemas(): Readonly<Record<string, string>> {
  const text = (of: 'config' | 'policy'): string => `${JSON.stringify(jsonSchema(of), null, 2)}\n`;
  return { '../policies/postern.schema.json': text('config'), '../policies/policy.schema.json': text('policy') };
}
