// postern health: does a running firewall say that it lives, or that it is ready? An exit code, for health checks of containers,
// exec probes and scripts: an image of Postern has no shell and no curl, and needs none.
//
// It only asks the admin port, and without a token: /healthz and /readyz are open to all. Not here: whether the firewall refuses to
// relay (probe), or what it is doing (status).

import { parseArgs } from 'node:util';
import { adminPort, askAdmin } from './admin-port.ts';
import { readArguments, wrongUsage } from './arguments.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern health [OPTION…]

Does a running firewall say that it lives? With --ready: does it take mail, that is, does it listen, is a server behind it there,
and is it not about to stop? For health checks of containers and for scripts. It prints the answer.

  --ready      ask /readyz in the place of /healthz
  --admin URL  the admin port (default POSTERN_ADMIN, else http://127.0.0.1:9125); HOST:PORT will do, and 0.0.0.0 and [::] are
               taken for this machine
  --help       print this

Example:
  postern health --ready

Exit codes: 0 yes, 1 no, or nobody answers, 64 wrong usage.
`;

const FAILURE = 1;
const PATIENCE_MS = 4_000; // less than the 5 s that a health check is given

export async function health(args: string[], out: Output): Promise<number> {
  const values = readArguments('health', HELP, () => parse(args), out);
  if (typeof values === 'number') return values;
  const port = adminPort({ admin: values.admin });
  if (typeof port === 'string') return wrongUsage('health', port, out);
  const here = { url: port.url.replace(/\/\/(?:0\.0\.0\.0|\[::\])/, '//127.0.0.1'), token: null };
  const answered = await askAdmin(here, 'GET', values.ready === true ? '/readyz' : '/healthz', PATIENCE_MS);
  if (typeof answered === 'string') {
    out.stderr(`postern health: ${answered}\n`);
    return FAILURE;
  }
  out.stdout(`${JSON.stringify(answered.body)}\n`);
  return answered.status === 200 ? 0 : FAILURE;
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: false,
    options: { ready: { type: 'boolean' }, admin: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  }).values;
}
