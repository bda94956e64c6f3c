import { readFile } from 'node:fs/promises';
import type { RegistryConfig } from '@berth/shared/registry/config';
import { createCredentials, type Credentials } from '@berth/shared/registry/credentials';
import { fetchEcrToken } from './ecr.ts';

/** What to show the registries of the agent's configuration. Nothing is read or asked before it is needed. */
export function openCredentials(
  registries: readonly RegistryConfig[],
  clock: { now(): number },
): Credentials {
  return createCredentials({
    registries,
    readFile: (path) => readFile(path, 'utf8'),
    fetchEcrToken,
    clock,
  });
}
