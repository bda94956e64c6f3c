import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { RegistryConfigs } from '@berth/shared/registry/config';
import { z } from 'zod';
import { HttpSettings } from './http/settings.ts';
import type { VaultSettings } from './secrets/vault.ts';

const LogLevel = z.enum(['silent', 'error', 'warn', 'info', 'debug']);

export const Config = z.strictObject({
  listen: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      /** 0 takes any free port; the ready line tells which. */
      port: z.coerce.number().int().min(0).max(65_535).default(7700),
    })
    .prefault({}),
  store: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('sqlite'), path: z.string().min(1) }),
      z.strictObject({
        kind: z.literal('postgres'),
        url: z.string().regex(/^postgres(ql)?:\/\//, { error: 'must begin with postgres://' }),
        connections: z.coerce.number().int().min(2).max(100).default(10),
      }),
    ])
    .prefault({ kind: 'sqlite', path: 'berth.db' }),
  /** Where the first admin token is written when there is no token at all. */
  adminTokenFile: z.string().min(1).optional(),
  logLevel: LogLevel.default('info'),
  fleet: z
    .strictObject({
      /** The shortest time between an agent's pings. */
      heartbeatMs: z.coerce.number().int().min(100).max(600_000).optional(),
      /** All agents together ping no more often than this. */
      pingsPerSecond: z.coerce.number().positive().max(100_000).optional(),
      /** Changes and reports that come within this time are one read and one transaction. */
      tickMs: z.coerce.number().int().min(1).max(1_000).optional(),
    })
    .prefault({}),
  /** Limits, proxies and pages. */
  http: HttpSettings.prefault({}),
  /** How hosts on AWS prove who they are. */
  enrolment: z
    .strictObject({
      /** Origins that stand for STS besides its own addresses, such as https://vpce-….sts.eu-central-1.vpce.amazonaws.com. */
      stsEndpoints: z
        .array(
          z.url().refine((text) => URL.canParse(text) && new URL(text).origin === text, {
            error: 'must be an origin: scheme, host and port only',
          }),
        )
        .max(20)
        .default([]),
      stsTimeoutMs: z.coerce.number().int().min(100).max(60_000).optional(),
      /** Instead of EC2's own address; asked only for pools whose rule has tags. */
      ec2Endpoint: z.url().nullable().default(null),
      /** Region to a PEM file with AWS's RSA-2048 certificates of it, in place of the one that comes with Berth. */
      certificates: z.record(z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d{1,2}$/), z.string().min(1)).default({}),
    })
    .prefault({}),
  /** Where images come from, and what to show there. The first one that fits counts. */
  registries: RegistryConfigs,
  /** What wraps the tenants' secrets: a key of AWS KMS, or one in a file. */
  secrets: z
    .strictObject({
      keyFile: z.string().min(1).optional(),
      kms: z
        .strictObject({
          key: z.string().min(1).max(2048),
          region: z.string().min(1).max(60).optional(),
          endpoint: z.url({ protocol: /^https?$/ }).optional(),
        })
        .optional(),
    })
    .prefault({}),
  placement: z
    .strictObject({
      /** How many times a host's CPUs may be reserved. */
      cpuOvercommit: z.coerce.number().min(0.1).max(1_000).optional(),
    })
    .prefault({}),
});
export type Config = z.infer<typeof Config>;

/** SQLite is one machine's, so its key lies beside it; who shares a database says which key they share. */
export function vaultSettings({ secrets, store }: Config): VaultSettings {
  const beside = store.kind === 'sqlite' && store.path !== ':memory:' ? `${store.path}.secrets-key` : null;
  const { kms, keyFile } = secrets;
  return { keyFile: keyFile ?? beside, kms: kms ?? null };
}

/** Environment variable to field. The environment wins over the file. */
const FROM_ENVIRONMENT: Readonly<Record<string, readonly [string, string?]>> = {
  BERTH_COORDINATOR_LISTEN_HOST: ['listen', 'host'],
  BERTH_COORDINATOR_LISTEN_PORT: ['listen', 'port'],
  BERTH_COORDINATOR_STORE_KIND: ['store', 'kind'],
  BERTH_COORDINATOR_STORE_PATH: ['store', 'path'],
  BERTH_COORDINATOR_STORE_URL: ['store', 'url'],
  BERTH_COORDINATOR_STORE_CONNECTIONS: ['store', 'connections'],
  BERTH_COORDINATOR_ADMIN_TOKEN_FILE: ['adminTokenFile'],
  BERTH_COORDINATOR_LOG_LEVEL: ['logLevel'],
  BERTH_COORDINATOR_FLEET_HEARTBEAT_MS: ['fleet', 'heartbeatMs'],
  BERTH_COORDINATOR_FLEET_PINGS_PER_SECOND: ['fleet', 'pingsPerSecond'],
  BERTH_COORDINATOR_FLEET_TICK_MS: ['fleet', 'tickMs'],
  BERTH_COORDINATOR_PLACEMENT_CPU_OVERCOMMIT: ['placement', 'cpuOvercommit'],
};

/** Reads `--config FILE` and BERTH_COORDINATOR_*. Errors: `invalid_request` that names the field and where it came from. */
export function readConfig(argv: readonly string[], env: NodeJS.ProcessEnv): Config {
  const path = configPath(argv) ?? env['BERTH_COORDINATOR_CONFIG'];
  const merged = merge(path === undefined ? {} : readJson(path), env);
  const parsed = Config.safeParse(merged);
  if (parsed.success) return parsed.data;
  const sentences = parsed.error.issues.map((issue) => {
    const field = issue.path.map(String).join('.');
    const variable = Object.entries(FROM_ENVIRONMENT).find(
      ([, to]) => to.filter(Boolean).join('.') === field,
    )?.[0];
    const from =
      variable !== undefined && env[variable] !== undefined ? variable : (path ?? 'the configuration');
    return `${field === '' ? '' : `${field}: `}${issue.message} (from ${from})`;
  });
  throw new BerthError(
    'invalid_request',
    `The coordinator's configuration is not right. ${sentences.join('; ')}.`,
  );
}

function configPath(argv: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...argv], options: { config: { type: 'string' } } }).values.config;
  } catch (cause) {
    throw new BerthError('invalid_request', `${messageOf(cause)}. The coordinator takes --config FILE.`, {
      cause,
    });
  }
}

const JsonObject = z.record(z.string(), z.unknown());

function readJson(path: string): Record<string, unknown> {
  try {
    return JsonObject.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new BerthError(
      'invalid_request',
      `The configuration ${path} cannot be read as a JSON object: ${messageOf(cause)}.`,
      {
        cause,
      },
    );
  }
}

function merge(file: Record<string, unknown>, env: NodeJS.ProcessEnv): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...file };
  for (const [variable, [section, field]] of Object.entries(FROM_ENVIRONMENT)) {
    const value = env[variable];
    if (value === undefined || value === '') continue;
    if (field === undefined) merged[section] = value;
    else merged[section] = { ...JsonObject.catch({}).parse(merged[section]), [field]: value };
  }
  // A store that is given by its address or its path needs no kind beside it.
  const store = JsonObject.safeParse(merged['store']);
  if (store.success && store.data['kind'] === undefined)
    merged['store'] = { ...store.data, kind: 'url' in store.data ? 'postgres' : 'sqlite' };
  return merged;
}
