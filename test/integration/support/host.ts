import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ServiceSpec } from '@berth/shared/domain/spec';
import type { ContainerPlan, ContainerRef, Step, StepOutcome } from '@berth/shared/domain/step';
import type { TenantNetwork } from '@berth/shared/domain/network';
import type { HostConfig } from '@berth/agent/system/config';
import { realSleep } from '@berth/agent/system/clock';
import { createSystem, type System } from '@berth/agent/system/system';
import { createExecutor, type Executor } from '@berth/agent/execute/executor';
import { createObserver, type Observer } from '@berth/agent/observe/observer';
import { unmountBelow } from '@berth/cli/local/mounts';
import type Docker from 'dockerode';
import { dockerSocket, removeLabelled, testDocker } from './docker.ts';
import { serviceSpec } from '../../fakes/service-spec.ts';

const run = promisify(execFile);

/** One agent's share of this machine, with everything it owns; several can live side by side, and so can test runs. */
export interface TestHost {
  docker: Docker;
  config: HostConfig;
  system: System;
  executor: Executor;
  observer: Observer;
  /** A fresh agent over the same state: what a restart of the process leaves. */
  reborn(): { system: System; executor: Executor; observer: Observer };
  run(step: Step): Promise<StepOutcome>;
  network(slot: number, tenant: string): TenantNetwork;
  plan(options: PlanOptions): ContainerPlan;
  refOf(plan: ContainerPlan): Promise<ContainerRef>;
  close(): Promise<void>;
}

export interface PlanOptions {
  tenant: string;
  network: TenantNetwork;
  /** Last part of the address within the tenant's network. */
  host: number;
  image: string;
  generation?: number;
  service?: string;
  role?: ContainerPlan['role'];
  virtual?: string;
  hosts?: Record<string, string[]>;
  spec?: Partial<ServiceSpec>;
}

export async function createTestHost(
  changes: Partial<HostConfig> = {},
  docker: Docker = testDocker(),
): Promise<TestHost> {
  const slice = await claimSlice();
  const stateDir = await mkdtemp(join(tmpdir(), 'berth-agent-'));
  const config = { ...configOf(slice.number, stateDir), ...changes };
  await wipe(docker, config);
  const make = (): { system: System; executor: Executor; observer: Observer } => {
    const system = createSystem(config);
    const parts = { system, clock: { now: () => Date.now() }, sleep: realSleep };
    const executor = createExecutor(parts);
    const observer = createObserver({
      ...parts,
      restoreBase: (signal) => executor.ensureNetworkBase(signal),
    });
    return { system, executor, observer };
  };
  const parts = make();
  const made = [parts];
  return {
    docker,
    config,
    ...parts,
    reborn() {
      const again = make();
      made.push(again);
      return again;
    },
    run: (step) => parts.executor.execute(step, AbortSignal.timeout(60_000)),
    network: (slot, tenant) => networkOf(config, slot, tenant),
    plan: (options) => planOf(config, options),
    async refOf(plan) {
      const { Id } = await docker.getContainer(plan.name).inspect();
      return { id: Id, name: plan.name, service: plan.service, graceMs: plan.spec.stopGraceMs };
    },
    async close() {
      await parts.system.nginx.quit();
      await wipe(docker, config);
      for (const each of made) each.system.close();
      await untilGone(parts.system);
      await unmountBelow(`${stateDir}/`);
      await rm(stateDir, { recursive: true, force: true });
      slice.free();
    },
  };
}

async function untilGone(system: System): Promise<void> {
  for (let round = 0; round < 100 && (await system.nginx.alive()) !== null; round += 1)
    await realSleep(50, new AbortController().signal);
}

async function wipe(docker: Docker, config: HostConfig): Promise<void> {
  // A daemon that a test has killed has nothing left to remove.
  await removeLabelled(docker, `berth.agent=${config.agent}`).catch(() => {});
  // Bridges of a daemon that no longer exists.
  const { stdout } = await run('ip', ['-o', 'link', 'show', 'type', 'bridge']);
  for (const match of stdout.matchAll(/^\d+: ([^:@\s]+)/gm))
    if (match[1]?.startsWith(config.bridgePrefix) === true)
      await run('ip', ['link', 'del', match[1]]).catch(() => {});
  await run('nft', ['delete', 'table', 'inet', `berth_${config.agent}`]).catch(() => {});
  await run('ip', ['route', 'del', 'local', config.virtualCidr, 'dev', 'lo']).catch(() => {});
  await run('ip', ['route', 'del', 'unreachable', config.tenantCidr, 'metric', '4096']).catch(() => {});
}

function configOf(slice: number, stateDir: string): HostConfig {
  const name = slice.toString(16);
  return {
    agent: `xt${name}`,
    stateDir,
    dockerSocket: dockerSocket(),
    virtualCidr: `198.18.${16 + slice}.0/24`,
    tenantCidr: `198.19.${16 + slice}.0/24`,
    tenantPrefix: 26,
    bridgePrefix: `xt${name}-`,
    nginx: {
      binary: '/usr/sbin/nginx',
      listenAddress: '127.0.0.1',
      httpPort: 21_600 + slice * 2,
      internalPort: 21_601 + slice * 2,
      start: 'agent',
    },
    reserve: { memoryBytes: 0, diskBytes: 0 },
  };
}

/** A slice belongs to whoever holds its abstract socket; the kernel gives it back when the process ends. */
async function claimSlice(): Promise<{ number: number; free: () => void }> {
  for (let number = 0; number < 16; number += 1) {
    const server = await holdSocket(`\0berth-test-slice-${number}`);
    if (server !== null) return { number, free: () => server.close() };
  }
  throw new Error('all 16 address slices for tests are in use on this machine');
}

function holdSocket(path: string): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(null));
    server.listen(path, () => resolve(server.unref()));
  });
}

function networkOf(config: HostConfig, slot: number, tenant: string): TenantNetwork {
  const [a, b, c] = config.tenantCidr.split('/')[0]?.split('.') ?? [];
  const base = slot * 64;
  return {
    tenant,
    name: `${config.agent}-${tenant}`,
    bridge: `${config.bridgePrefix}${slot}`,
    subnet: `${a}.${b}.${c}.${base}/26`,
    gateway: `${a}.${b}.${c}.${base + 1}`,
  };
}

function planOf(config: HostConfig, options: PlanOptions): ContainerPlan {
  const { tenant, network, host, image, generation = 1, service = 'web' } = options;
  const [a, b, c, d = '0'] = network.subnet.split('/')[0]?.split('.') ?? [];
  return {
    name: `${config.agent}-${tenant}-g${generation}-${service}-${host}`,
    tenant,
    app: 'shop',
    release: generation,
    generation,
    service,
    replica: 1,
    role: options.role ?? 'colour',
    spec: { ...specOf(service, image), ...options.spec },
    specHash: `hash-${generation}`,
    network: network.name,
    address: `${a}.${b}.${c}.${Number(d) + host}`,
    ...(options.virtual === undefined ? {} : { virtual: options.virtual }),
    hosts: options.hosts ?? {},
  };
}

function specOf(name: string, image: string): ServiceSpec {
  return serviceSpec(name, {
    image,
    pullPolicy: 'never',
    init: true,
    stopGraceMs: 2_000,
    tmpfs: [{ target: '/tmp' }],
    limits: { memoryBytes: 64 * 1024 * 1024, cpus: 1, pids: 64 },
    reservation: { memoryBytes: 8 * 1024 * 1024, cpus: 0.1 },
    drainMs: 5_000,
    command: ['sleep', '1000'],
  });
}
