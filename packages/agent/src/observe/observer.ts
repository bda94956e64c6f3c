import { cpus } from 'node:os';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { HostReport } from '@berth/shared/protocol/report';
import type { Clock, Sleep } from '../system/clock.ts';
import { readDisk, readMemory } from '../system/host-facts.ts';
import { AGENT_LABEL, containerFrom } from '../system/labels.ts';
import type { System } from '../system/system.ts';
import { lastLines } from '../system/text.ts';
import { Deaths } from './deaths.ts';
import { watchDocker } from './docker-watch.ts';
import { watchNft } from './nft-watch.ts';
import { watchNginx } from './nginx-watch.ts';

export interface ObserverDeps {
  system: System;
  clock: Clock;
  sleep: Sleep;
  /** `Executor.ensureNetworkBase`: called by `watch` when the nft table was changed or flushed. */
  restoreBase: (signal: AbortSignal) => Promise<void>;
}

export interface Observer {
  /** One list call; networks, routes and sites come from memory while nothing changed. Throws `docker_unavailable`. */
  observe(signal: AbortSignal): Promise<ObservedHost>;
  /** What Nginx runs with now; null when it is down. Needs no Docker. */
  sites(): Promise<ObservedHost['sites']>;
  /** Numbers about the host, in bytes, containers as last observed; never throws for a part that is down. */
  host(signal: AbortSignal): Promise<Omit<HostReport, 'orphans'>>;
  /** Calls back soon after anything changed that a plan could depend on, until the signal aborts. */
  watch(onChange: (why: string) => void, signal: AbortSignal): void;
  /** At most `lines` last lines of one of our containers, control characters removed; empty when there are none. */
  logTail(containerId: string, lines: number, signal: AbortSignal): Promise<string[]>;
}

export function createObserver(deps: ObserverDeps): Observer {
  const { system } = deps;
  const { docker, config, nginx } = system;
  const deaths = new Deaths(config.agent, system.stopping);
  const label = `${AGENT_LABEL}=${config.agent}`;
  let dataRoot: string | null = null;
  let lastCount = 0;
  let lastLook = new Map<string, { state: string; status: string; container: ObservedContainer | null }>();

  const listOurs = async (signal: AbortSignal): Promise<ObservedContainer[]> => {
    const entries = await docker.listContainers(label, { signal });
    const now = deps.clock.now();
    const look: typeof lastLook = new Map();
    for (const entry of entries) {
      const before = lastLook.get(entry.id);
      // What a container was made with never changes, so one in the same state is the same as at the last look.
      const unchanged =
        before?.state === entry.state &&
        before.status === entry.status &&
        (before.container === null || before.container.deaths === deaths.of(entry.id, now));
      const container = unchanged
        ? before.container
        : containerFrom(config.agent, entry, (id) => deaths.of(id, now));
      look.set(entry.id, { state: entry.state, status: entry.status, container });
    }
    lastLook = look;
    return [...look.values()].flatMap(({ container }) => (container === null ? [] : [container]));
  };

  const sites = async (): Promise<ObservedHost['sites']> => {
    if ((await nginx.alive()) === null) return null;
    return (await nginx.live())?.sites ?? null;
  };

  return {
    async observe(signal) {
      const [containers, networks, routes, known] = await Promise.all([
        listOurs(signal),
        system.networks.list(signal),
        system.routes.targets(signal),
        sites(),
      ]);
      lastCount = containers.length;
      return { containers, networks, routes, sites: known };
    },

    sites,

    async host(signal) {
      const memory = await readMemory();
      let dockerState: HostReport['docker'] = 'up';
      try {
        // Not a second list: the last look has counted them.
        await docker.ping({ signal });
        dataRoot = await docker.dataRoot({ signal });
      } catch {
        signal.throwIfAborted();
        dockerState = 'down';
      }
      const disk = await readDisk(dataRoot ?? '/');
      return {
        memoryTotalBytes: memory.totalBytes,
        memoryAvailableBytes: memory.availableBytes,
        diskTotalBytes: disk.totalBytes,
        diskAvailableBytes: disk.availableBytes,
        cpus: cpus().length,
        docker: dockerState,
        nginx: (await nginx.alive()) === null ? 'down' : 'up',
        containers: dockerState === 'up' ? lastCount : 0,
      };
    },

    watch(onChange, signal) {
      void watchDocker(deps, deaths, onChange, signal);
      void watchNft(deps, onChange, signal);
      void watchNginx(deps, onChange, signal);
    },

    async logTail(containerId, lines, signal) {
      const found = await docker.inspectContainer(containerId, { signal });
      if (found === null || found.labels[AGENT_LABEL] !== config.agent) return [];
      return lastLines(await docker.tailLogs(containerId, found.tty, lines * 2, { signal }), lines);
    },
  };
}
