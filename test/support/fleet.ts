import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { ApiClient } from '@berth/shared/api/client';
import type { Event, Tenant } from '@berth/shared/api/schemas';
import { Problem } from '@berth/shared/domain/step';
import { agentIn, type AgentOptions, type AgentProcess } from './agent.ts';
import { coordinatorIn, type CoordinatorProcess } from './coordinator.ts';
import { containersOf, dockerAt, sharedSocket, type Seen } from './docker.ts';
import { followJournal, type Journal } from './journal.ts';
import { ask, type Place } from './load.ts';
import { tailOf } from './processes.ts';
import { claimSlice, nginxMasters, type Slice } from './slices.ts';

type Variables = Record<string, string | null>;

/** A coordinator and its agents as real processes, with everything a test wants to ask of them. */
export interface Fleet {
  readonly dir: string;
  readonly coordinator: CoordinatorProcess;
  readonly journal: Journal;
  readonly agents: readonly AgentProcess[];
  api(): ApiClient;
  /** Claims a slice and starts an agent there. */
  addAgent(options?: Partial<AgentOptions>): Promise<AgentProcess>;
  /** Kills an agent's process, if it runs, and starts another; resolves when the coordinator has seen it. */
  restart(agent: AgentProcess, options?: { failpoint?: string }): Promise<void>;
  /** Applies a template; resolves with the number of the release. */
  apply(app: string, compose: string): Promise<number>;
  /** Creates a tenant at `<name>.test` and waits until it serves. */
  create(tenant: string, app: string, options?: CreateOptions): Promise<void>;
  /** Sets variables; resolves with the generation to wait for. */
  set(tenant: string, variables: Variables): Promise<Changed>;
  /** Moves a tenant to a release. */
  release(tenant: string, release: number): Promise<Changed>;
  /** Resolves when a change serves; rejects with the problem when it failed or was taken back. */
  untilLive(changed: Changed, timeoutMs?: number): Promise<void>;
  /** Resolves with the first problem that an event after the change tells. */
  untilTrouble(
    kind: 'tenant.failed' | 'tenant.returned' | 'tenant.blocked',
    changed: Changed,
  ): Promise<Problem>;
  /** Resolves when nothing is left to do for the tenant and it serves this generation; `since`: as told after that. */
  untilSettled(
    tenant: string,
    generation: number,
    options?: { timeoutMs?: number; since?: number },
  ): Promise<Tenant>;
  /** Asks again and again, soon after each event, until the tenant is as wanted. */
  untilTenant(
    what: string,
    tenant: string,
    fits: (tenant: Tenant) => boolean,
    timeoutMs?: number,
  ): Promise<Tenant>;
  place(tenant: string, path?: string): Place;
  /** Resolves when Nginx answers with this body: pooled connections may lead to the old colour for some two seconds. */
  untilAnswers(tenant: string, body: string, timeoutMs?: number): Promise<void>;
  containers(tenant?: string): Promise<Seen[]>;
  lastEvent(): number;
  /** The last lines of all logs, for a test that waited in vain. */
  logs(): string;
  close(): Promise<void>;
}

export interface CreateOptions {
  variables?: Record<string, string>;
  domains?: string[];
  host?: string;
  /** `created`: do not wait for it. */
  wait?: 'live' | 'created';
}

export interface Changed {
  tenant: string;
  generation: number;
  afterEvent: number;
}

/** Starts a coordinator; agents are added. `listen`: an address that others than this host's loopback reach. */
export async function startFleet(
  options: {
    listen?: string;
    slice?: Slice;
    socket?: string;
    /** More of the coordinator's configuration. */
    config?: Record<string, unknown>;
  } = {},
): Promise<Fleet> {
  const first = options.slice ?? (await claimSlice());
  const slices: Slice[] = [first];
  const dir = mkdtempSync(first.statePrefix);
  const coordinator = coordinatorIn(dir, options.listen, { config: options.config ?? {} });
  const agents: AgentProcess[] = [];
  const homes = new Map<string, AgentProcess>();
  const socket = options.socket ?? sharedSocket();
  const docker: Docker = dockerAt(socket);
  await coordinator.start();
  const api = (): ApiClient => coordinator.api();
  const context = (): string =>
    [...agents.map((each) => each.logFile), coordinator.logFile]
      .map((file) => `--- ${file}\n${tailOf(file)}`)
      .join('\n');
  const journal = followJournal(api, context);
  const lastEvent = (): number => journal.events.at(-1)?.id ?? 0;

  const homeOf = (tenant: string): AgentProcess => {
    const agent = homes.get(tenant) ?? agents[0];
    if (agent === undefined) throw new Error('no agent was added');
    return agent;
  };

  async function untilTenant(
    what: string,
    tenant: string,
    fits: (now: Tenant) => boolean,
    timeoutMs = 30_000,
  ): Promise<Tenant> {
    const until = Date.now() + timeoutMs;
    let last: Tenant | null = null;
    let wake: () => void = () => undefined;
    const unlisten = journal.listen((event) => {
      if (event.tenant === tenant) wake();
    });
    try {
      for (;;) {
        last = await api()
          .showTenant({ params: { tenant } })
          .catch(() => last);
        if (last !== null && fits(last)) return last;
        if (Date.now() > until) break;
        await Promise.race([new Promise<void>((resolve) => (wake = resolve)), sleep(150)]);
      }
    } finally {
      unlisten();
    }
    throw new Error(`waited in vain until ${tenant} ${what}; it is ${JSON.stringify(last)}\n${context()}`);
  }

  const fleet: Fleet = {
    dir,
    coordinator,
    journal,
    agents,
    api,
    async addAgent(wanted = {}) {
      const slice = wanted.slice ?? (agents.length === 0 ? first : await claimSlice());
      if (!slices.includes(slice)) slices.push(slice);
      // Below a directory of the slice's own name, so that what a killed run leaves is found by the next.
      const home = agents.length === 0 ? dir : mkdtempSync(slice.statePrefix);
      mkdirSync(home, { recursive: true });
      const agent = agentIn({
        slice,
        dir: home,
        coordinatorUrl: coordinator.url(),
        dockerSocket: socket,
        joinToken: async () => (await api().createJoinToken({ body: {} })).token,
        ...wanted,
      });
      agents.push(agent);
      await fleet.restart(agent);
      return agent;
    },
    async restart(agent, how = {}) {
      await agent.kill();
      const after = lastEvent();
      await agent.start(how);
      await journal.until(
        `${agent.name} online`,
        (event) => event.kind === 'host.online' && event.host === agent.host(),
        { after },
      );
    },
    async apply(app, compose) {
      return (await api().applyApp({ params: { app }, body: { compose } })).release;
    },
    async create(tenant, app, { variables = {}, domains, host, wait = 'live' } = {}) {
      const agent = host === undefined ? agents[0] : agents.find((each) => each.host() === host);
      if (agent === undefined) throw new Error('no such agent');
      homes.set(tenant, agent);
      const body = { tenant, app, domains: domains ?? [`${tenant}.test`], variables, host: agent.host() };
      const changed = await api().createTenant({ body });
      if (wait === 'live') await fleet.untilLive(changed);
    },
    async set(tenant, variables) {
      return await api().changeTenant({ params: { tenant }, body: { variables } });
    },
    async release(tenant, release) {
      return await api().changeTenant({ params: { tenant }, body: { release } });
    },
    async untilLive({ tenant, generation, afterEvent }, timeoutMs = 30_000) {
      const ENDS = ['tenant.live', 'tenant.failed', 'tenant.returned'];
      const end = await journal.until(
        `generation ${generation} of ${tenant}`,
        (event) => event.tenant === tenant && event.generation === generation && ENDS.includes(event.kind),
        { after: afterEvent, timeoutMs },
      );
      if (end.kind !== 'tenant.live')
        throw new Error(`${end.kind}: ${end.message} ${JSON.stringify(problemIn(end)?.logTail)}`);
    },
    async untilTrouble(kind, { tenant, generation, afterEvent }) {
      const event = await journal.until(
        `${kind} of ${tenant}`,
        (each) => each.kind === kind && each.tenant === tenant && each.generation === generation,
        { after: afterEvent },
      );
      const problem = problemIn(event);
      if (problem === null) throw new Error(`${kind} tells no problem: ${event.message}`);
      return problem;
    },
    untilSettled: (tenant, generation, { timeoutMs, since = 0 } = {}) =>
      untilTenant(
        `has settled in generation ${generation}`,
        tenant,
        (now) =>
          now.phase === 'settled' &&
          now.live === generation &&
          now.freshness === 'current' &&
          (now.reportedAt ?? 0) >= since,
        timeoutMs,
      ),
    untilTenant,
    place(tenant, path = '/') {
      const agent = homeOf(tenant);
      return { address: agent.listenAddress, port: agent.slice.httpPort, domain: `${tenant}.test`, path };
    },
    async untilAnswers(tenant, body, timeoutMs = 15_000) {
      const until = Date.now() + timeoutMs;
      let last = '';
      while (Date.now() < until) {
        last = await ask(fleet.place(tenant)).then(
          (answer) => answer.body,
          (thrown: unknown) => String(thrown),
        );
        if (last === body) return;
        await sleep(50);
      }
      throw new Error(`${tenant} answers ${JSON.stringify(last)} and not ${body}\n${context()}`);
    },
    containers: (tenant) =>
      containersOf(docker, (tenant === undefined ? homeOf('') : homeOf(tenant)).name, tenant),
    lastEvent,
    logs: context,
    async close() {
      await journal.close();
      for (const agent of agents) await agent.kill();
      await coordinator.kill();
      for (const slice of slices) {
        await slice.wipe();
        await untilNoNginx(slice);
        slice.free();
      }
      const keep = process.env['BERTH_KEEP_TEST_STATE'];
      if (keep !== undefined && keep !== '') return;
      for (const path of [dir, ...agents.map((each) => join(each.logFile, '..'))])
        rmSync(path, { recursive: true, force: true });
    },
  };
  return fleet;
}

async function untilNoNginx(slice: Slice): Promise<void> {
  for (let round = 0; round < 100 && nginxMasters(slice.statePrefix).length > 0; round += 1) await sleep(50);
}

function problemIn(event: Event): Problem | null {
  const parsed = Problem.safeParse(event.details['problem']);
  return parsed.success ? parsed.data : null;
}
