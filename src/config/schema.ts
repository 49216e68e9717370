// The one definition of the configuration: types, defaults and the JSON Schema for editors are all made from it.

import * as z from 'zod';
import { DEFAULT_LIMITS, replaceLimits } from '../policy/document.ts';
import {
  count,
  duration,
  fingerprints,
  flag,
  hostName,
  listenAddress,
  serverAddress,
  show,
  text,
  texts,
  wholeNumber,
} from './kinds.ts';
import { limitsSchema, policySchema } from './policy-schema.ts';
import { state } from './state.ts';

const tlsVersion = z.enum(['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']);

const listener = z.strictObject({
  bind: z
    .array(listenAddress)
    .min(1, { error: 'an address to listen at is wanted' })
    .prefault(['0.0.0.0:25', '[::]:25']),
  proxy_protocol: z.strictObject({ from: texts }).optional(),
  certificates: z.array(z.strictObject({ cert: text, key: text })).prefault([]),
  implicit_tls: flag.prefault(false),
  tls_min_version: tlsVersion.prefault('TLSv1.2'),
  client_ca: text.optional(),
});

const upstream = z.strictObject({
  servers: z.array(serverAddress).min(1, { error: 'the mail server behind is wanted, as 10.0.0.10:25' }),
  max_connections: count.prefault(5000),
  max_wait: duration.prefault('2s'),
  identity: z.enum(['none', 'proxy-v1', 'proxy-v2', 'xclient', 'xforward']).prefault('none'),
  tls: z
    .strictObject({
      mode: z.enum(['none', 'opportunistic', 'require', 'implicit']).prefault('none'),
      min_version: tlsVersion.prefault('TLSv1.2'),
      ca: text.optional(),
      verify: flag.optional(), // true for require and implicit, false for opportunistic, as in Postfix
      pin: fingerprints.prefault([]),
      name: hostName.optional(),
    })
    .prefault({}),
  dot_lines: z.enum(['pass', 'strict']).prefault('pass'),
});

/** RFC 5321 §4.5.3.2 gives the lower bounds. */
const timeouts = z.strictObject({
  client_idle: duration.prefault('5m'),
  command: duration.prefault('5m'),
  data_idle: duration.prefault('3m'),
  proxy_header: duration.prefault('3s'),
  tls_handshake: duration.prefault('30s'),
  upstream_connect: duration.prefault('10s'),
  upstream_greeting: duration.prefault('5m'),
  upstream_reply: duration.prefault('5m'),
  upstream_data: duration.prefault('2m'),
  upstream_final: duration.prefault('10m'), // RFC 1047: cut short, it makes duplicate mail
  drain: duration.prefault('8s'),
  min_data_rate: wholeNumber(0, 2 ** 31).prefault(0), // octets a second
});

export const configSchema = z.strictObject({
  listeners: z.array(listener).min(1, { error: 'a listener is wanted' }).prefault([{}]),
  upstream,
  policy: z.union([text, policySchema], {
    error: ({ input }) =>
      `${input === undefined ? 'missing' : show(input)}: the name of a policy file, or a policy, is wanted`,
  }),
  mode: z.enum(['enforce', 'observe']).prefault('enforce'),
  limits: limitsSchema.prefault({}).transform((limits) => replaceLimits(DEFAULT_LIMITS, limits)),
  timeouts: timeouts.prefault({}),
  state: state.prefault('memory'),
  state_password_file: text.optional(),
  state_ca: text.optional(),
  workers: z
    .union([wholeNumber(1, 256), z.literal('auto')], {
      error: ({ input }) => `${show(input)} is neither a number of workers nor auto`,
    })
    .prefault(1),
  admin: z
    .strictObject({ listen: listenAddress.prefault('127.0.0.1:9125'), token_file: text.optional() })
    .nullable()
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).prefault('info'),
      pretty: flag.prefault(false),
    })
    .prefault({}),
  lost_address_guard: z.enum(['refuse', 'warn']).prefault('refuse'),
  watch: flag.prefault(false),
});

export type Config = z.infer<typeof configSchema>;
export type PolicyFile = z.infer<typeof policySchema>;

/** The JSON Schema of what may be written, for editors. */
export function jsonSchema(of: 'config' | 'policy'): object {
  const schema = of === 'config' ? configSchema : policySchema;
  return {
    title: of === 'config' ? 'Postern configuration' : 'Postern policy',
    ...z.toJSONSchema(schema, { io: 'input' }),
  };
}
