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

const listener = z.strictObject({
  bind: z
    .array(listenAddress)
    .min(1, { error: 'an address to listen at is wanted' })
    .prefault(['0.0.0.0:25', '[::]:25']),
  proxy_protocol: z.strictObject({ from: texts }).optional(),
  certificates: z.array(z.strictObject({ cert: fileName, key: fileName })).prefault([]),
  implicit_tls: flag.prefault(false),
  tls_min_version: tlsVersion.prefault('TLSv1.2'),
  client_ca: fileName.optional(),
});

const upstream = z.strictObject({
  servers: z.array(serverAddress).min(1, { error: 'the mail server behind is wanted, as 10.0.0.10:25' }),
  max_connections: count
    .refine((places) => places > 0, { error: '0 lets nobody through: how many sessions the server takes is wanted' })
    .prefault(5000),
  max_wait: duration.prefault('2s'),
  identity: z.enum(['none', 'proxy-v1', 'proxy-v2', 'xclient', 'xforward']).prefault('none'),
  tls: z
    .strictObject({
      mode: z.enum(['none', 'opportunistic', 'require', 'implicit']).prefault('none'),
      min_version: tlsVersion.prefault('TLSv1.2'),
      ca: fileName.optional(),
      verify: flag.optional(), // true for require and implicit, false for opportunistic, as in Postfix
      pin: fingerprints.default([]),
      name: hostName.optional(),
    })
    .prefault({}),
  dot_lines: z.enum(['pass', 'strict']).prefault('pass'),
});

/** RFC 5321 §4.5.3.2 gives the lower bounds. */
const timeouts = z.strictObject({
  client_idle: patience.prefault('5m'),
  command: patience.prefault('5m'),
  data_idle: patience.prefault('3m'),
  proxy_header: patience.prefault('3s'),
  tls_handshake: patience.prefault('30s'),
  upstream_connect: patience.prefault('10s'),
  upstream_greeting: patience.prefault('5m'),
  upstream_reply: patience.prefault('5m'),
  upstream_data: patience.prefault('2m'),
  upstream_final: patience.prefault('10m'), // RFC 1047: cut short, it makes duplicate mail
  no_mail: patience.prefault('30m'), // since the last message that the server took
  drain: duration.prefault('8s'), // 0s cuts off at once
  min_data_rate: wholeNumber(0, 2 ** 31).prefault(10), // octets a second, over up to five minutes; HF radio has 30
});

export const configSchema = z.strictObject({
  listeners: z.array(listener).min(1, { error: 'a listener is wanted' }).prefault([{}]),
  upstream,
  policy: z.union([fileName, policySchema], {
    error: ({ input }) =>
      `${input === undefined ? 'missing' : show(input)}: the name of a policy file, or a policy, is wanted`,
  }),
  mode: z.enum(['enforce', 'observe']).prefault('enforce'),
  limits: limitsSchema.prefault({}).transform((limits) => replaceLimits(DEFAULT_LIMITS, limits)),
  timeouts: timeouts.prefault({}),
  state: state.prefault('memory'),
  state_password_file: fileName.optional(),
  state_ca: fileName.optional(),
  workers: z
    .union([wholeNumber(1, 256), z.literal('auto')], {
      error: ({ input }) => `${show(input)} is neither a whole number of workers from 1 to 256 nor auto`,
    })
    .prefault(1),
  admin: z
    .strictObject(
      { listen: listenAddress.prefault('127.0.0.1:9125'), token_file: fileName.optional() },
      {
        error: ({ input }) =>
          input === 'none' ? "'none' is written null here (--admin none on the command line)" : undefined,
      },
    )
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
