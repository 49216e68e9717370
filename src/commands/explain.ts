// postern explain: what would be decided for this recipient, and why?
//
// Asks the policy as a session would and prints the way to the answer. No network unless --resolve says so.

import { parseArgs } from 'node:util';
import { formatFinding } from '../config/finding.ts';
import { loadAny } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { nearest } from '../config/suggest.ts';
import { upstreamCalled } from '../config/upstreams.ts';
import { explain as explainQuestion, formatExplanation } from '../policy/explain.ts';
import { ANSWERS, type Answer, isAnswer, type PolicyQuestion, readPolicyQuestion } from '../policy/policy-question.ts';
import { formatEndpoint } from '../proxy/address.ts';
import { NameResolver } from '../proxy/resolver.ts';
import { whatIsWrong } from './arguments.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern explain FILE --source IP --rcpt ADDR [OPTION…]

Says what a configuration or policy decides for one recipient: the connector and why it won, each rule that was tried
with the condition that failed, and the reply that the client would hear.

  --source IP      the client's address
  --rcpt ADDR      the forward-path, with or without brackets
  --sender ADDR    the reverse-path (default <>)
  --login USER     logged in as; ? for a login whose name nobody sees
  --local IP:PORT  the address of ours that the client has connected to
  --tls            the session is encrypted
  --tls-subject NAME
                   a verified client certificate names it: a host, CN=NAME or the whole name; repeatable, means --tls
  --ptr NAME       the client's confirmed name; repeatable; ? for a DNS that does not answer (default: it has none)
  --resolve        ask DNS for it instead
  --helo NAME      the name that the client gave
  --expect proceed|reject|defer|refuse-connection|refuse-sender
                   a test: exit 1 where the answer is otherwise
  --json           print one JSON object: { answer, observed, reply, reason, rule, connector: { name, place, why },
                   grammar, setting: { key, place, why }, expected,
                   recipients: [ { address, hidden, why, rules: [ { name, place, action, matched, why } ] } ] };
                   setting is the key that refused, where it was no rule; expected is there with --expect
  --help           print this

Examples:
  postern explain postern.yaml --source 192.0.2.7 --rcpt bob@partner.example
  postern explain office.yaml --source 10.1.1.1 --login 'CORP\\alice' --tls --rcpt bob@partner.example --expect proceed

Answers: proceed, reject, defer, refuse-connection, refuse-sender. Limits and bans are not asked: what a client has used
up is known to a running Postern alone (GET /limits, GET /bans).
Exit code: 0 whatever the answer, 1 where --expect says otherwise, 64 when the arguments are wrong, 78 when the file is faulty.
`;

const NOT_AS_EXPECTED = 1;
const USAGE_ERROR = 64;
const BAD_CONFIG = 78;

/** Runs the command; returns the exit code. */
export async function explain(args: string[], out: Output): Promise<number> {
  const request = parseRequest(args);
  if (typeof request === 'string') {
    out.stderr(`postern explain: ${request}\nTry: postern explain --help\n`);
    return USAGE_ERROR;
  }
  if (request.help) {
    out.stdout(HELP);
    return 0;
  }
  let names = request.names;
  const resolver = request.resolve ? new NameResolver() : null;
  const loaded = loadAny(request.file, {
    resolve: async (address) => {
      if (resolver !== null) names = await resolver.names(address);
      return names;
    },
  });
  if (loaded.policy === null) {
    for (const finding of loaded.findings) if (finding.severity === 'error') out.stderr(`${formatFinding(finding)}\n`);
    return BAD_CONFIG;
  }
  const explanation = await explainQuestion(loaded.policy, request.asked, () => names, loaded.place);
  const { expected } = request;
  const { answer } = explanation;
  if (request.json) {
    out.stdout(`${JSON.stringify({ ...explanation, ...(expected === null ? {} : { expected }) }, null, 2)}\n`);
  } else {
    const { config } = loaded;
    const serversOf = (name: string, of: Config): string =>
      upstreamCalled(name, of).servers.map(formatEndpoint).join(', ');
    out.stdout(formatExplanation(explanation, config === null ? null : (name) => serversOf(name, config)));
  }
  if (expected === null || expected === answer) return 0;
  out.stderr(`postern explain: expected ${expected}, got ${answer}\n`);
  return NOT_AS_EXPECTED;
}

interface Request {
  readonly help: boolean;
  readonly json: boolean;
  readonly resolve: boolean;
  readonly expected: Answer | null;
  readonly file: string;
  readonly names: readonly string[] | null;
  readonly asked: PolicyQuestion;
}

/** A string is what is wrong with the arguments. */
function parseRequest(args: string[]): Request | string {
  let parsed: ReturnType<typeof parseExplainArgs>;
  try {
    parsed = parseExplainArgs(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { values, positionals } = parsed;
  const { help = false, json = false, resolve = false, tls = false, ptr = [], expect } = values;
  const expected = expect !== undefined && isAnswer(expect) ? expect : null;
  const asked = readPolicyQuestion({ ...values, tls, tlsSubject: values['tls-subject'] }, (word) => `--${word}`);
  if (!help) {
    if (positionals.length === 0) return 'name the configuration or policy to ask';
    if (positionals.length > 1) return `one file at a time, and ${JSON.stringify(positionals[1])} is a second one`;
    if (typeof asked === 'string') return asked;
    if (expect !== undefined && expected === null) {
      const meant = nearest(expect, ANSWERS);
      const right = meant === null ? `${ANSWERS.join(', ')} are` : `did you mean ${meant}?`;
      return `--expect: ${JSON.stringify(expect)} is no answer: ${right}`;
    }
    if (ptr.includes('')) return "--ptr: an empty name is nobody's: leave it out, or ? for a DNS that does not answer";
    if (resolve && ptr.length > 0) return '--ptr says what --resolve would ask: give one of them';
  }
  const names = ptr.includes('?') || resolve ? null : ptr.map((name) => name.toLowerCase().replace(/\.$/, ''));
  return { help, json, resolve, expected, file: positionals[0] ?? '', names, asked: asked as PolicyQuestion };
}

function parseExplainArgs(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      source: { type: 'string' },
      rcpt: { type: 'string' },
      sender: { type: 'string' },
      login: { type: 'string' },
      local: { type: 'string' },
      tls: { type: 'boolean' },
      'tls-subject': { type: 'string', multiple: true },
      ptr: { type: 'string', multiple: true },
      resolve: { type: 'boolean' },
      helo: { type: 'string' },
      expect: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
