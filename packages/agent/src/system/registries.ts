import { readFile } from 'node:fs/promises';
import type { RegistryConfig } from '@berth/shared/registry/config';
import { createCredentials, type Credentials } from '@berth/shared/registry/credentials';

/** What to show the registries of the agent's configuration. Nothing is read or asked before it is needed. */
export function openCredentials(
  registries: readonly RegistryConfig[],
  clock: { now(): number },
): Credentials {
  return createCredentials({
    registries,
    readFile: (path) => readFile(path, 'utf8'),
    // The SDK is larger than the agent: only hosts that have an ECR registry load it, and only when they pull.
    fetchEcrToken: async (of, signal) => (await import('./ecr-sdk.ts')).fetchEcrToken(of, signal),
    clock,
  });
}
