import { writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Home } from './home.ts';
import type { Instance } from './instance.ts';

const MIB = 1024 * 1024;

/** Where the coordinator of this instance keeps its admin token (0600); it makes one at its first start. */
export function adminTokenFile(home: Home): string {
  return join(home.coordinatorDir, 'admin-token');
}

export function apiUrl(instance: Instance): string {
  return `http://127.0.0.1:${instance.coordinatorPort}`;
}

export function writeCoordinatorConfig(home: Home, instance: Instance): void {
  write(home.coordinatorConfig, {
    listen: { host: '127.0.0.1', port: instance.coordinatorPort },
    store: { kind: 'sqlite', path: join(home.coordinatorDir, 'berth.db') },
    adminTokenFile: adminTokenFile(home),
  });
}

/** `joinTokenFile` only when the agent has yet to enrol; it deletes the file once used. */
export function writeAgentConfig(
  home: Home,
  instance: Instance,
  name: string,
  joinTokenFile: string | null,
): void {
  write(home.agentConfig, {
    coordinator: { url: apiUrl(instance) },
    joinTokenFile,
    name,
    agent: instance.agent,
    stateDir: home.agentDir,
    dockerSocket: instance.dockerSocket,
    virtualCidr: instance.virtualCidr,
    tenantCidr: instance.tenantCidr,
    tenantPrefix: 26,
    bridgePrefix: instance.bridgePrefix,
    nginx: {
      binary: 'nginx',
      httpPort: instance.httpPort,
      listenAddress: '127.0.0.1',
      internalPort: instance.internalPort,
      start: 'agent',
    },
    // A small machine must still be able to run the example, so what is kept free follows its size.
    reserve: { memoryBytes: Math.min(256 * MIB, Math.floor(totalmem() / 16)), diskBytes: 256 * MIB },
    concurrency: 8,
    logLevel: 'info',
  });
}

function write(file: string, config: unknown): void {
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}
