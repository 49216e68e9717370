// What the written policy is worth: check's findings on it, strictly, and whether it answers as the old server did.
//
// It reads the very text that is written, as `postern check` and `postern test` will; this machine's own addresses do not
// count, since the policy may be meant for another. Nothing is corrected here.

import { Buffer } from 'node:buffer';
import { type Finding, formatFinding } from '../config/finding.ts';
import { loadPolicy } from '../config/load.ts';
import { parseCases } from '../policy/cases.ts';
import { answerQuestion } from '../policy/policy-question.ts';

export interface Proof {
  /** Errors and warnings: what `check --strict` would not let pass. */
  readonly findings: readonly Finding[];
  /** Null: the policy is faulty. */
  readonly cases: number | null;
  /** Cases that are answered otherwise, each as a sentence. */
  readonly failed: readonly string[];
}

/** `name` is the policy's in the findings; `beside`: files that it names, by their name. */
export async function prove(
  name: string,
  yaml: string,
  cases: string,
  beside: ReadonlyMap<string, Buffer> = new Map(),
): Promise<Proof> {
  let names: readonly string[] | null = null;
  const loaded = loadPolicy(name, {
    host: { ownAddresses: [], gateways: [] },
    texts: new Map([...beside, [name, Buffer.from(yaml)] as const].map(([file, octets]) => [file, { octets }])),
    resolve: async () => names,
  });
  const findings = loaded.findings.filter(({ severity }) => severity !== 'note');
  if (loaded.policy === null) return { findings, cases: null, failed: [] };
  const failed: string[] = [];
  const asked = parseCases(cases);
  for (const one of asked) {
    if ('problem' in one) failed.push(`case ${one.line}: ${one.problem}`);
    else {
      names = one.names;
      const { answer } = await answerQuestion(loaded.policy, one.asked);
      if (answer !== one.expected) failed.push(`case ${one.line}: expected ${one.expected}, got ${answer}`);
    }
  }
  return { findings, cases: asked.length, failed };
}

export function formatProof({ findings, cases, failed }: Proof): string[] {
  return [
    findings.length === 0
      ? 'postern check --strict finds nothing'
      : `postern check --strict does not let this pass, since it finds ${findings.length === 1 ? 'this' : 'these'}:`,
    ...findings.map((finding) => `  ${formatFinding(finding)}`),
    ...(cases === null
      ? []
      : [
          `${cases} cases of the old server's answers: ${failed.length === 0 ? 'all agree' : `${failed.length} do not agree`}`,
        ]),
    ...failed.map((one) => `  ${one}`),
  ];
}
