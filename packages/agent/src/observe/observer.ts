import { cpus } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { HostReport } from '@berth/shared/protocol/report';
import type { Clock, Sleep } from '../system/clock.ts';
import { Listing } from '../system/docker-listing.ts';
import { readDisk, readMemory } from '../system/host-facts.ts';
import { AGENT_LABEL, containerFrom, TENANT_LABEL } from '../system/labels.ts';
import { longestFirst, redact, secretsOf } from '../system/redact.ts';
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
  /** `Executor.ensureNetworkBase`: called by `watch` when the nft table was changed or flushed, also by ourselves. */
  restoreBase: (signal: AbortSignal) => Promise<'whole' | 'restored'>;
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
  /** At most `lines` last lines of one of our containers, without control characters and secrets; empty when there are none. */
  logTail(containerId: string, lines: number, signal: AbortSignal): Promise<string[]>;
}

/** A container as the list told of it, and as it was told to the loop. */
interface Seen {
  listed: ObservedContainer;
  container: ObservedContainer;
}

export function createObserver(deps: ObserverDeps): Observer {
  const { system } = deps;
  const { docker, config, nginx } = system;
  const deaths = new Deaths(config.agent, system.stopping);
  const label = `${AGENT_LABEL}=${config.agent}`;
  let dataRoot: string | null = null;
  let lastCount = 0;
  // Their deaths are counted apart: they change without the list.
  const listing = new Listing(label, (entry) => containerFrom(config.agent, entry, () => 0));
  let lastLook = new Map<string, Seen>();
  let lastContainers: readonly ObservedContainer[] = [];

  /** The same object as at the last look for each container that is as it was then; the same array when all are. */
  const listOurs = async (signal: AbortSignal): Promise<readonly ObservedContainer[]> => {
    const listed = await docker.listContainers(listing, { signal });
    const now = deps.clock.now();
    const look = new Map<string, Seen>();
    const containers: ObservedContainer[] = [];
    for (const each of listed) {
      if (each === null) continue;
      const before = lastLook.get(each.id);
      const seen = seenAs(each, deaths.of(each.id, now), before);
      look.set(each.id, seen);
      containers.push(seen.container);
    }
    lastLook = look;
    const asMany = containers.length === lastContainers.length;
    if (!asMany || containers.some((each, index) => each !== lastContainers[index]))
      lastContainers = containers;
    return lastContainers;
  };

  const sites = async (): Promise<ObservedHost['sites']> => {
    if ((await nginx.alive()) === null) return null;
    return (await nginx.live())?.sites ?? null;
  };

  return {
    async observe(signal) {
      const before = await system.routes.targets(signal);
      const [containers, networks, known] = await Promise.all([
        listOurs(signal),
        system.networks.list(signal),
        sites(),
      ]);
      const routes = await system.routes.targets(signal);
      // What is remembered stays the same object until something changes.
      const look = routes === before ? 'steady' : 'moving';
      lastCount = containers.length;
      return { containers, networks, routes, look, sites: known, egress: system.egress.policies };
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
      const text = await docker.tailLogs(containerId, found.tty, lines * 2, { signal });
      const known = await system.secrets.of(found.labels[TENANT_LABEL]);
      return lastLines(redact(text, longestFirst([...known, ...secretsOf(found.environment)])), lines);
    },
  };
}

/** "Up 4 minutes" instead of "Up 3 minutes" is other text and the same container. */
function seenAs(listed: ObservedContainer, deaths: number, before: Seen | undefined): Seen {
  if (before?.listed === listed && before.container.deaths === deaths) return before;
  const fresh = { ...listed, deaths };
  const same = before !== undefined && isDeepStrictEqual(before.container, fresh);
  return { listed, container: same ? before.container : fresh };
}
