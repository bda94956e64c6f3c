import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { PoolName } from '@berth/shared/domain/ids';
import { RegistryConfigs } from '@berth/shared/registry/config';
import { ReleaseRules } from './desired/vet.ts';
import { HostConfig } from './system/config.ts';
import { IMDS_ENDPOINT } from './system/imds.ts';

/** The agent's configuration file, JSON. Ranges are CIDR, sizes bytes. */
export const AgentConfig = z.strictObject({
  coordinator: z.strictObject({ url: z.url({ protocol: /^https?$/ }) }),
  /** A file with a single-use token, for the first start; it is deleted once it was used. */
  joinTokenFile: z.string().nullable().default(null),
  /** How this host shows who it is when it enrols: a token (as with joinTokenFile), or what AWS says of the instance. */
  join: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('token'), file: z.string().nullable().default(null) }),
      z.strictObject({
        kind: z.literal('aws'),
        pool: PoolName,
        /** Instead of STS's own address, such as a VPC endpoint. The coordinator must be told of it as well. */
        stsEndpoint: z
          .url({ protocol: /^https?$/ })
          .nullable()
          .default(null),
        imdsEndpoint: z.url({ protocol: /^http$/ }).default(IMDS_ENDPOINT),
      }),
    ])
    .optional(),
  /** What people call this host. */
  name: z.string().min(1).max(63),
  ...HostConfig.shape,
  /** Tenants whose containers are started, stopped or pulled at the same time. */
  concurrency: z.int().min(1).max(64).default(8),
  /** Everything is looked at at least this often, in milliseconds. */
  sweepMs: z.int().min(1000).default(60_000),
  /** Where images come from, and what to show there. The first one that fits counts. */
  registries: RegistryConfigs,
  /** Whose releases run here. */
  releases: ReleaseRules.default({ requireSignature: false, keys: [] }),
  secrets: z
    .strictObject({
      /** Wraps the host's sealing key with this KMS key; without it, the key lies in a file that only root reads. */
      kms: z.strictObject({ key: z.string().min(1).max(2048) }).optional(),
      /** For KMS and for references; without them, what the SDK finds. */
      region: z.string().min(1).max(60).optional(),
      endpoint: z.url({ protocol: /^https?$/ }).optional(),
    })
    .prefault({}),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
});
export type AgentConfig = z.infer<typeof AgentConfig>;

/** Reads `--config FILE`. Errors: `invalid_request`, naming the field. */
export function readConfig(argv: readonly string[]): AgentConfig {
  const { values } = parseArgs({ args: [...argv], options: { config: { type: 'string' } } });
  const path = values.config ?? '/etc/berth/agent.json';
  const attempt = <T>(what: string, read: () => T): T => {
    try {
      return read();
    } catch (cause) {
      const why = messageOf(cause);
      throw new BerthError('invalid_request', `The agent’s configuration ${path} ${what}: ${why}.`, {
        cause,
      });
    }
  };
  const text = attempt('cannot be read', () => readFileSync(path, 'utf8'));
  const parsed: unknown = attempt('is not JSON', () => JSON.parse(text) as unknown);
  const config = AgentConfig.safeParse(parsed);
  if (config.success) return config.data;
  const wrong = config.error.issues
    .map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`)
    .join('; ');
  throw new BerthError('invalid_request', `The agent’s configuration ${path} is wrong. ${wrong}`, {
    cause: config.error,
  });
}

/** The part that host's parts are made from. */
export function hostConfigOf(config: AgentConfig): HostConfig {
  const {
    agent,
    stateDir,
    dockerSocket,
    virtualCidr,
    tenantCidr,
    tenantPrefix,
    bridgePrefix,
    nginx,
    reserve,
  } = config;
  return HostConfig.parse({
    agent,
    stateDir,
    dockerSocket,
    virtualCidr,
    tenantCidr,
    tenantPrefix,
    bridgePrefix,
    nginx,
    reserve,
  });
}
