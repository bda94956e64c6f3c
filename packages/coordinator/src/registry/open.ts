import { readFile } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { RegistryConfig } from '@berth/shared/registry/config';
import { createCredentials } from '@berth/shared/registry/credentials';
import type { Registry } from '../services/registry.ts';
import { createRegistry } from './client.ts';

/** The registries of the coordinator's configuration. Nothing is read or asked before it is needed. */
export function openRegistry(deps: {
  registries: readonly RegistryConfig[];
  clock: { now(): number };
  random: () => number;
}): Registry {
  const credentials = createCredentials({
    registries: deps.registries,
    readFile: (path) => readFile(path, 'utf8'),
    // A few MB of SDK that only those load who have an ECR registry.
    fetchEcrToken: async (of, signal) => (await import('./ecr-sdk.ts')).fetchEcrToken(of, signal),
    clock: deps.clock,
  });
  return createRegistry({
    ...deps,
    credentials,
    sleep: async (ms, signal) => {
      await wait(ms, undefined, { signal });
    },
  });
}
