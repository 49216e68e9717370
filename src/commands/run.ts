// postern run: the firewall itself. Reads the configuration, opens the listeners, and ends in good order.
//
// It refuses to start on whatever `check` calls an error (design.md 2), and says one line on stderr when it listens.
// SIGTERM and SIGINT drain, a second one cuts off; SIGHUP reads the files anew. On Windows, which has no signals, Node makes
// them of what befalls the console: Ctrl+C, Ctrl+Break, and SIGHUP where it is closed, all of which drain. How the rooms are
// put together is firewall.ts.

import { parseArgs } from 'node:util';
import { type Finding, formatFinding, hasErrors, warningsIn } from '../config/finding.ts';
import { configFile, type FlagValues } from '../config/flags.ts';
import { descriptorLimit } from '../config/host.ts';
import { loadConfigWith, loadFlags } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { DEFAULT_UPSTREAM, upstreamsOf } from '../config/upstreams.ts';
import { notProtected, type Observer } from '../observe/events.ts';
import { fill, LINES } from '../observe/lines.ts';
import { formatEndpoint } from '../proxy/address.ts';
import { NameResolver } from '../proxy/resolver.ts';
import { type RunningFirewall, startFirewall } from '../serve/firewall.ts';
import { observingIn } from '../serve/listeners.ts';
import { Reloader } from '../serve/reload.ts';
import type { ReloadOutcome } from '../serve/reload-outcome.ts';
import { versionOf } from '../serve/watched-files.ts';
import { whatIsWrong } from './arguments.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern run [--config FILE] [OPTION…]

The firewall. With a configuration file, or with the other options alone:

  --config FILE             the configuration
  --listen HOST:PORT        where clients connect; repeatable (default 0.0.0.0:25 and [::]:25)
  --upstream HOST:PORT      the mail server behind; repeatable, the next one is taken when one does not answer
  --accepted-domain DOMAIN  mail for it is passed on; *.d is d and everything below; repeatable
  --relay-from RANGE        who may relay anywhere: an address, CIDR, lo-hi or net;mask; repeatable
  --mode enforce|observe    observe only logs what policy and limits would refuse
  --admin HOST:PORT|none    metrics and health (default 127.0.0.1:9125)
  --drain-timeout DURATION  how long SIGTERM waits for transactions in flight (default 8s)
  --log-level debug|info|warn|error|silent
                            the least that the log has (default info)
  --lost-address-guard refuse|warn
                            whether loopback, our own addresses and the default gateway may be given a right to relay
                            as part of a range (default refuse)
  --workers N|auto          threads that serve clients; auto is one for each processor (default 1)
  --help                    print this

Every option has a twin in the environment (POSTERN_UPSTREAM, POSTERN_ACCEPTED_DOMAIN …), comma-separated where
it is repeatable; an option beats its twin, and both beat the file. The log is JSON on standard output.

Examples:
  postern run --config /etc/postern/postern.yaml
  postern run --upstream 10.0.0.10:25 --accepted-domain example.com --relay-from 10.0.0.0/8

Exit codes: 0 drained after SIGTERM or SIGINT, 1 cannot listen, 64 wrong usage, 78 faulty configuration.
`;

const IS_WINDOWS = process.platform === 'win32';
/** Windows ends who has lost its console after ten seconds, and has no other use for SIGHUP. */
const DRAIN_AT = IS_WINDOWS ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : ['SIGTERM', 'SIGINT'];

const NOT_YET: ReloadOutcome = { reloaded: false, error: 'Postern is still starting.', findings: [] };
const FAILURE = 1;
const USAGE = 64;
const CONFIG = 78;

export async function run(args: string[], out: Output): Promise<number> {
  let values: FlagValues;
  try {
    const parsed = parseArgs({ args, options: OPTIONS, strict: true, allowPositionals: false }).values;
    if (parsed.help === true) {
      out.stdout(HELP);
      return 0;
    }
    values = {
      config: parsed.config,
      listen: parsed.listen,
      upstream: parsed.upstream,
      acceptedDomain: parsed['accepted-domain'],
      relayFrom: parsed['relay-from'],
      mode: parsed.mode,
      admin: parsed.admin,
      drainTimeout: parsed['drain-timeout'],
      logLevel: parsed['log-level'],
      lostAddressGuard: parsed['lost-address-guard'],
      workers: parsed.workers,
    };
  } catch (error) {
    out.stderr(`postern run: ${whyNot(error)}\nTry: postern run --help\n`);
    return USAGE;
  }
  const file = configFile(values, process.env);
  // A client may come before there is an observer to tell.
  const lost: string[] = [];
  const late = {
    onLostAddress: (address: string): void => void lost.push(address),
    reload: async (): Promise<ReloadOutcome> => NOT_YET,
  };
  const resolver = new NameResolver();
  const options = {
    onLostAddress: (address: string) => late.onLostAddress(address),
    resolve: (address: string) => resolver.names(address),
  };
  const loaded =
    file === null ? loadFlags(values, process.env, options) : loadConfigWith(file, values, process.env, options);
  const { config, policy, findings, place } = loaded;
  if (config === null || policy === null || hasErrors(findings)) return refuse(findings, out);

  let firewall: RunningFirewall;
  try {
    const names = (address: string) => resolver.known(address);
    const resolve = (address: string) => resolver.names(address);
    firewall = await startFirewall(config, policy, {
      file,
      credentials: loaded.credentials,
      findings: warningsIn(findings),
      place,
      names,
      resolve,
      endNames: () => resolver.close(),
      order: { file, values, world: loaded.world },
      onLostAddress: options.onLostAddress,
      reload: () => late.reload(),
    });
  } catch (error) {
    out.stderr(`postern run: ${(error as Error).message}\n`);
    return FAILURE;
  }
  late.onLostAddress = (address) => firewall.observer.warn('lost_address', { client_address: address });
  for (const address of lost) late.onLostAddress(address);
  for (const warning of warningsIn(findings)) firewall.observer.warn('finding', {}, warning);
  warnOfDescriptors(config, firewall.observer);
  const version = Promise.withResolvers<string>();
  // Before it is said that we listen: who hears that may send a signal, or change a file, at once.
  const reloader = new Reloader({ firewall, file, values, load: options, first: loaded, version: version.promise });
  late.reload = () => {
    void firewall.reopenFiles();
    return reloader.reload(true);
  };
  const ended = untilSignal(firewall, config.timeouts.drain);
  if (!IS_WINDOWS) process.on('SIGHUP', () => void late.reload());
  const where = firewall.addresses.map(formatEndpoint).join(', ');
  const upstream = upstreamsOf(config)
    .map(({ name, upstream: { servers } }) => {
      const list = servers.map(formatEndpoint).join(', ');
      return name === DEFAULT_UPSTREAM ? list : `${name} ${list}`;
    })
    .join('; ');
  const warning = notProtected(config.mode, observingIn(policy));
  out.stderr(
    `postern: listening on ${where}, upstream ${upstream}, mode ${config.mode}${warning === null ? '' : ` – ${warning}`}\n`,
  );
  // Behind that: for the digest node:crypto is loaded, and no client waits for it.
  version.resolve(versionOf(loaded));
  firewall.policyIs(await version.promise);
  return ended;
}

function whyNot(error: unknown): string {
  const sentence = whatIsWrong(error, HELP);
  const file = /^Unexpected argument '(.*?\.(?:ya?ml|json))'/.exec(sentence)?.[1];
  return file === undefined ? sentence : `${sentence}: did you mean --config ${file}?`;
}

const OPTIONS = {
  config: { type: 'string' },
  listen: { type: 'string', multiple: true },
  upstream: { type: 'string', multiple: true },
  'accepted-domain': { type: 'string', multiple: true },
  'relay-from': { type: 'string', multiple: true },
  mode: { type: 'string' },
  admin: { type: 'string' },
  'drain-timeout': { type: 'string' },
  'log-level': { type: 'string' },
  'lost-address-guard': { type: 'string' },
  workers: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

/** What is wrong goes to stderr; what was said on the command line is wrong usage, in a file or variable a bad config. */
function refuse(findings: readonly Finding[], out: Output): number {
  const errors = findings.filter(({ severity }) => severity === 'error');
  for (const finding of errors) out.stderr(`${formatFinding(finding)}\n`);
  const onCommandLine = errors.some((finding) => finding.file.startsWith('--') || finding.file === 'command line');
  if (onCommandLine) {
    out.stderr('Try: postern run --help\n');
    return USAGE;
  }
  return CONFIG;
}

/** Resolves with the exit code when the firewall has drained. */
function untilSignal(firewall: RunningFirewall, patience: number): Promise<number> {
  return new Promise((resolve) => {
    let signals = 0;
    const signalled = (): void => {
      signals++;
      if (signals > 1) {
        firewall.cutOff();
        return;
      }
      firewall.drain(patience).then(
        () => resolve(0),
        () => resolve(FAILURE),
      );
    };
    for (const signal of DRAIN_AT) process.on(signal, signalled);
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(event, (error) => firewall.observer.defect(error, 'nothing that is known'));
    }
  });
}

const SPARE_DESCRIPTORS = 100; // listeners, log, admin port, DNS, probes

/** A session is two connections. */
function warnOfDescriptors(config: Config, observer: Observer): void {
  const sessions = upstreamsOf(config).reduce((sum, { upstream }) => sum + upstream.max_connections, 0);
  const limit = descriptorLimit();
  const wanted = 2 * sessions + SPARE_DESCRIPTORS;
  if (limit === null || limit >= wanted) return;
  const text = fill(LINES.few_descriptors.text, { sessions, wanted, limit });
  observer.warn('few_descriptors', { key: 'upstream.max_connections' }, text);
}
