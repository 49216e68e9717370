// postern reload: what SIGHUP does, asked of the admin port, which also answers what became of it; so it works where there
// are no signals as well (Windows, another container).
//
// It changes something, so the token is wanted always, on loopback too: a Postern without admin.token_file reloads for nobody
// who asks so. Not here: which files are read. That the running Postern knows.

import { parseArgs } from 'node:util';
import type { ReloadOutcome } from '../serve/reload-outcome.ts';
import { plain } from '../status/words.ts';
import { adminPort, askAdmin, complaint } from './admin-port.ts';
import { readArguments, wrongUsage } from './arguments.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern reload [OPTION…]

Has a running firewall read its files anew, as SIGHUP does, and says what became of it. A faulty file is refused whole,
and the old configuration stays. It changes something, so the token is always wanted, on loopback too: without
admin.token_file in its configuration the firewall reloads for nobody who asks in this way.

  --admin URL        the admin port (default POSTERN_ADMIN, else http://127.0.0.1:9125); HOST:PORT will do
  --token-file FILE  the token of admin.token_file (default POSTERN_TOKEN_FILE)
  --json             the answer of POST /reload: { reloaded, policy_version, needs_restart: [ key ] },
                     or { reloaded, error, findings: [ line ] }
  --help             print this

Example:
  postern reload --token-file /etc/postern/admin.token

Exit codes: 0 reloaded, 78 refused with findings, 1 nobody answers, or the token is missing or wrong, 64 wrong usage.
`;

const FAILURE = 1;
const BAD_CONFIG = 78;
const PATIENCE_MS = 120_000; // lists of a million entries take seconds

export async function reload(args: string[], out: Output): Promise<number> {
  const values = readArguments('reload', HELP, () => parse(args), out);
  if (typeof values === 'number') return values;
  const port = adminPort(values);
  if (typeof port === 'string') return wrongUsage('reload', port, out);
  const answered = await askAdmin(port, 'POST', '/reload', PATIENCE_MS);
  const fail = (sentence: string): number => {
    out.stderr(`postern reload: ${sentence}\n`);
    return FAILURE;
  };
  if (typeof answered === 'string') return fail(answered);
  if (!isOutcome(answered.body)) return fail(complaint(port, answered));
  const outcome = answered.body;
  if (values.json === true) out.stdout(`${JSON.stringify(outcome, null, 2)}\n`);
  if (!outcome.reloaded) {
    // What an editor and a person look for is at the front of the line, as check has it.
    for (const finding of outcome.findings) out.stderr(`${plain(finding)}\n`);
    out.stderr(`postern reload: refused: ${plain(outcome.error)}\n`);
    return BAD_CONFIG;
  }
  if (values.json === true) return 0;
  const { policy_version, needs_restart } = outcome;
  const restart =
    needs_restart.length === 0 ? '' : `; these changed too, and want a restart: ${needs_restart.map(plain).join(', ')}`;
  out.stdout(`reloaded: policy ${plain(policy_version)} is in force${restart}\n`);
  return 0;
}

function isOutcome(body: object): body is ReloadOutcome {
  if (!('reloaded' in body)) return false;
  const list = body.reloaded === true ? 'needs_restart' : 'findings';
  const text = body.reloaded === true ? 'policy_version' : 'error';
  const { [list]: entries, [text]: said } = body as Record<string, unknown>;
  return typeof said === 'string' && Array.isArray(entries) && entries.every((entry) => typeof entry === 'string');
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: false,
    options: {
      admin: { type: 'string' },
      'token-file': { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values;
}
