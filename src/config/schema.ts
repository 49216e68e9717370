// The one definition of the configuration: types, defaults and the JSON Schema for editors are all made from it.

import * as z from 'zod';
import { DEFAULT_LIMITS, replaceLimits } from '../policy/document.ts';
import {
  count,
  duration,
  fileName,
  fingerprints,
  flag,
  hostName,
  listenAddress,
  patience,
  serverAddress,
  show,
  texts,
  wholeNumber,
} from './kinds.ts';
import { limitsSchema, policySchema } from './policy-schema.ts';
import { state } from './state.ts';

const tlsVersion = z.enum(['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']);

export const listenerSchema = z.strictObject({
  bind: z
    .array(listenAddress)
    .min(1, { error: 'an address to listen at is wanted' })
    .prefault(['0.0.0.0:25', '[::]:25'])
    .describe('The addresses and ports to listen at. Exchange: Bindings.'),
  proxy_protocol: z
    .strictObject({
      from: texts.describe(
        'The balancers that must send a PROXY header (version 1 or 2): addresses and ranges. Any other peer of this listener is closed.',
      ),
    })
    .optional()
    .describe('Clients come through balancers that say who each client is. Without it no PROXY header is taken.'),
  certificates: z
    .array(
      z.strictObject({
        cert: fileName.describe('The certificate as PEM, with its chain behind it.'),
        key: fileName.describe('Its private key as PEM.'),
      }),
    )
    .prefault([])
    .describe(
      'Certificates for TLS with clients. The name that a client asks for chooses; the first is for all others.',
    ),
  implicit_tls: flag.prefault(false).describe('TLS comes before all else, as on port 465.'),
  tls_min_version: tlsVersion
    .prefault('TLSv1.2')
    .describe('The oldest TLS that a client may speak. TLSv1 is for old scanners.'),
  client_ca: fileName
    .optional()
    .describe(
      'The authorities (PEM) that vouch for certificates of clients. Clients are asked for one; none has to show it.',
    ),
});

const upstream = z.strictObject({
  servers: z
    .array(serverAddress)
    .min(1, { error: 'the mail server behind is wanted, as 10.0.0.10:25' })
    .describe('The mail servers behind, in order: the next one is taken when one does not answer.'),
  max_connections: count
    .refine((places) => places > 0, { error: '0 lets nobody through: how many sessions the server takes is wanted' })
    .prefault(5000)
    .describe(
      'How many sessions the servers behind have at most, together. Exchange: MaxInboundConnection of its connector.',
    ),
  max_wait: duration
    .prefault('2s')
    .describe('How long a client waits for a place when all are taken, before it hears 421.'),
  identity: z
    .enum(['none', 'proxy-v1', 'proxy-v2', 'xclient', 'xforward'])
    .prefault('none')
    .describe(
      'How the server behind is told who the client is. It must list the address of Postern as one that may say so. Exchange knows none of them.',
    ),
  tls: z
    .strictObject({
      mode: z
        .enum(['none', 'opportunistic', 'require', 'implicit'])
        .prefault('none')
        .describe(
          'TLS with the server behind: none; opportunistic (clear text where it cannot be had); require (STARTTLS or no session); implicit (TLS from the start, as on port 465).',
        ),
      min_version: tlsVersion.prefault('TLSv1.2').describe('The oldest TLS that the server behind may speak.'),
      ca: fileName
        .optional()
        .describe('The authorities (PEM) that vouch for its certificate. Left out: those of Node.js.'),
      // true for require and implicit, false for opportunistic, as in Postfix
      verify: flag
        .optional()
        .describe(
          'Whether its certificate must be valid and name the server. Left out: true for require and implicit, false for opportunistic.',
        ),
      pin: fingerprints
        .default([])
        .describe('SHA-256 fingerprints of the certificates that are taken, whoever issued them; one or a list.'),
      name: hostName.optional().describe("What its certificate must name, if it is not the server's own name."),
    })
    .prefault({})
    .describe('TLS between Postern and the servers behind.'),
  dot_lines: z
    .enum(['pass', 'strict'])
    .prefault('pass')
    .describe(
      'strict: for a server that ends a message on any line that begins with a single dot. Such a message is refused.',
    ),
  text_line: count
    .refine((octets) => octets >= 1000, { error: 'too few: any server takes lines of 1000 octets (RFC 5321)' })
    .prefault('unlimited')
    .describe(
      'Octets of one line of mail data that the server takes, with its line end. A message with a longer one is refused: for a server that leaves the message there and reads what follows as commands (go-smtp 0.12).',
    ),
});

/** RFC 5321 §4.5.3.2 gives the lower bounds. */
const timeouts = z.strictObject({
  client_idle: patience
    .prefault('5m')
    .describe(
      'How long a client may be silent between commands, or read nothing. Exchange: ConnectionInactivityTimeout.',
    ),
  command: patience.prefault('5m').describe('How long one command may take from its first octet to its last.'),
  data_idle: patience.prefault('3m').describe('How long a client may be silent inside mail data.'),
  proxy_header: patience.prefault('3s').describe('How long a whole PROXY header may take.'),
  tls_handshake: patience.prefault('30s').describe('How long a TLS handshake with a client may take.'),
  upstream_connect: patience.prefault('10s').describe('How long a connection to a server behind may take to be made.'),
  upstream_greeting: patience.prefault('5m').describe('How long a server behind may take to greet.'),
  upstream_reply: patience.prefault('5m').describe('How long a server behind may take to answer a command.'),
  upstream_data: patience.prefault('2m').describe('How long a server behind may take to answer DATA.'),
  // RFC 1047: cut short, it makes duplicate mail
  upstream_final: patience
    .prefault('10m')
    .describe('How long a server behind may take to answer the end of a message. Cut short, it makes duplicate mail.'),
  no_mail: patience
    .prefault('30m')
    .describe('How long a session may go on without a message that the server behind took; counted anew from each.'),
  drain: duration
    .prefault('8s')
    .describe('How long sessions may go on after SIGTERM before they are cut off. 0s cuts them off at once.'),
  min_data_rate: wholeNumber(0, 2 ** 31)
    .prefault(10)
    .describe(
      'The slowest mail data, in octets a second, on average over up to five minutes (from 100 on over 3 s); 0 is no guard. Mail over HF radio has some 30.',
    ),
});

export const configSchema = z.strictObject({
  listeners: z
    .array(listenerSchema)
    .min(1, { error: 'a listener is wanted' })
    .prefault([{}])
    .describe('Where clients connect.'),
  upstream: upstream.describe('The mail servers behind.'),
  upstreams: z
    .record(z.string(), upstream)
    .prefault({})
    .describe(
      'Other mail servers, or other ways into the same one, by a name that connectors give as their upstream; each has the keys of upstream.',
    ),
  policy: z
    .union([fileName, policySchema], {
      error: ({ input }) =>
        `${input === undefined ? 'missing' : show(input)}: the name of a policy file, or a policy, is wanted`,
    })
    .describe('Who may relay where: the name of a policy file beside this one, or the policy itself.'),
  mode: z
    .enum(['enforce', 'observe'])
    .prefault('enforce')
    .describe(
      'observe: what policy and limits would refuse is forwarded and only logged, so the relay is not protected. Grammar and tricks stay refused.',
    ),
  limits: limitsSchema
    .prefault({})
    .transform((limits) => replaceLimits(DEFAULT_LIMITS, limits))
    .describe('How much of what, for every connector; the same block in a connector replaces what it names.'),
  timeouts: timeouts.prefault({}).describe('How long what may take.'),
  state: state
    .prefault('memory')
    .describe('Where the counters of limits are kept: in this process, or in a Redis that several nodes share.'),
  state_password_file: fileName.optional().describe('A file with the password of Redis. It may stand nowhere else.'),
  state_ca: fileName
    .optional()
    .describe(
      'The authorities (PEM) that vouch for the certificate of a rediss:// server. Left out: those of Node.js.',
    ),
  workers: z
    .union([wholeNumber(1, 256), z.literal('auto')], {
      error: ({ input }) => `${show(input)} is neither a whole number of workers from 1 to 256 nor auto`,
    })
    .prefault(1)
    .describe(
      'How many threads serve clients; auto: as many as there are processors. On Windows and macOS there is one.',
    ),
  admin: z
    .strictObject(
      {
        listen: listenAddress
          .prefault('127.0.0.1:9125')
          .describe('Where the admin port is: /healthz, /readyz and /metrics, and what asks for the token.'),
        token_file: fileName
          .optional()
          .describe(
            'A file with the token that all but health and metrics asks for. Without it the rest may be read on loopback, nothing can be changed, and beyond loopback it is closed.',
          ),
      },
      {
        error: ({ input }) =>
          input === 'none' ? "'none' is written null here (--admin none on the command line)" : undefined,
      },
    )
    .nullable()
    .prefault({})
    .describe('The admin port; null is none.'),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error', 'silent'])
        .prefault('info')
        .describe('The least that a line must be to be written.'),
      pretty: flag.prefault(false).describe('Readable lines for a terminal in the place of JSON.'),
      messages: z
        .enum(['all', 'relayed', 'none'])
        .prefault('all')
        .describe(
          'Which messages have a line of their own (level info) when the server behind has answered them: all, those that it took to relay, none. Refusals have theirs in any case.',
        ),
      relayed_file: fileName
        .refine((name) => /[./\\]/.test(name), {
          error: 'a path of a file is wanted, as /var/log/postern/relayed.log',
        })
        .nullable()
        .prefault(null)
        .describe(
          'A file that gets the lines of relayed messages as well, whatever messages and level say. SIGHUP opens it anew, for log rotation. When it cannot be written lines are lost and counted, never mail. null is none.',
        ),
    })
    .prefault({})
    .describe('The log, on standard output.'),
  lost_address_guard: z
    .enum(['refuse', 'warn'])
    .prefault('refuse')
    .describe(
      'refuse: no range grants relaying to loopback, our own addresses or the default gateway, as the real client may be hidden behind them; listed by themselves they count. warn: only the log says so.',
    ),
  watch: flag
    .prefault(false)
    .describe('Reload by itself when a file of the configuration changes. SIGHUP always does.'),
});

export type Config = z.infer<typeof configSchema>;
export type PolicyFile = z.infer<typeof policySchema>;

/** The JSON Schema of what may be written, for editors. */
export function jsonSchema(of: 'config' | 'policy'): object {
  const schema = of === 'config' ? configSchema : policySchema;
  return {
    title: of === 'config' ? 'Postern configuration' : 'Postern policy',
    ...z.toJSONSchema(schema, { io: 'input', override: keepExamples }),
  };
}

/** zod leaves them out where what is written becomes something else; ours are as written. */
function keepExamples({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodType; jsonSchema: object }): void {
  const examples = z.globalRegistry.get(zodSchema)?.examples;
  if (examples !== undefined) Object.assign(jsonSchema, { examples });
}
