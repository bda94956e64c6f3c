import { LATENCY_BOUNDS_MS, type Traffic } from '@berth/shared/domain/traffic';
import type { Window } from '@berth/shared/domain/window';
import type { Counted, Facts, ReportedFact, TenantFact } from '../../src/rollout/types.ts';
import type { Dice } from './random.ts';

export const OLD = 12;
export const NEW = 13;

/** How the new release fares on one tenant. */
export type Fate =
  | 'serves'
  | 'fails' // before the switch
  | 'crashes' // in the bake; its agent goes back by itself
  | 'slow' // serves, and its requests get worse
  | 'flaps' // fails at the first try, serves at the next
  | 'silent'; // never says a word about it

interface Desired {
  generation: number;
  release: number;
}

export interface ModelTenant {
  name: string;
  host: string;
  fate: Fate;
  state: 'running' | 'paused' | 'removing' | 'gone';
  pinned: string | null;
  window: Window | null;
  desired: Desired;
  /** Every entry it ever had, by generation. */
  entries: Map<number, Desired>;
  lastGeneration: number;
  /** What its host does, which the coordinator learns late. */
  agent: {
    told: number;
    live: number;
    phase: ReportedFact['phase'];
    until: number;
    failed: Set<number>;
    tries: number;
  };
  reported: ReportedFact | null;
  /** Reports on their way; an older one may come after a newer one. */
  mail: { at: number; said: ReportedFact; sent: number }[];
  lastSent: number;
}

export interface ModelHost {
  name: string;
  state: 'online' | 'offline' | 'lost';
}

const GOOD: Traffic = { requests: 1000, errors: 1, latency: bucket(1000) };
const BAD: Traffic = { requests: 1000, errors: 400, latency: bucket(1000) };

function bucket(count: number): number[] {
  return [...LATENCY_BOUNDS_MS.map((bound) => (bound === 10 ? count : 0)), 0];
}

/** Hosts with agents that do what is desired of them in their own time, and sometimes die, lie late or go away. */
export class FleetWorld {
  readonly hosts = new Map<string, ModelHost>();
  readonly tenants = new Map<string, ModelTenant>();
  frozen: string | null = null;
  readonly #dice: Dice;
  readonly #counts = new Map<string, Counted>();

  constructor(dice: Dice, hosts: number, tenants: number, fateOf: () => Fate) {
    this.#dice = dice;
    for (let index = 0; index < hosts; index += 1)
      this.hosts.set(`h${index}`, { name: `h${index}`, state: 'online' });
    const names = [...this.hosts.keys()];
    for (let index = 0; index < tenants; index += 1) {
      const desired = { generation: 1, release: OLD };
      this.tenants.set(`t${index}`, {
        name: `t${index}`,
        host: dice.pick(names),
        fate: fateOf(),
        state: 'running',
        pinned: null,
        window: null,
        desired,
        entries: new Map([[1, desired]]),
        lastGeneration: 1,
        agent: { told: 1, live: 1, phase: 'settled', until: 0, failed: new Set(), tries: 0 },
        reported: { generation: 1, live: 1, phase: 'settled', problem: null },
        mail: [],
        lastSent: 0,
      });
    }
  }

  facts(): Facts {
    return {
      frozen: this.frozen,
      ahead: null,
      tenant: (name) => this.#fact(name),
      counted: (wave, until) => this.#counted(`${wave} ${until}`),
    };
  }

  /** Whoever asks is answered a while later, and sometimes not with all of it. */
  #counted(key: string): Counted {
    const known = this.#counts.get(key) ?? { kind: 'awaited' };
    this.#counts.set(key, known);
    return known;
  }

  /** A new release, or the old one anew, under a number that was never given out. */
  desireAnew(name: string, release: number): number {
    const tenant = this.get(name);
    tenant.lastGeneration += 1;
    tenant.desired = { generation: tenant.lastGeneration, release };
    tenant.entries.set(tenant.lastGeneration, tenant.desired);
    return tenant.lastGeneration;
  }

  /** An earlier entry word for word. */
  desireAgain(name: string, generation: number): void {
    const tenant = this.get(name);
    const entry = tenant.entries.get(generation);
    if (entry === undefined) throw new Error(`${name} never had generation ${generation}`);
    tenant.desired = entry;
  }

  get(name: string): ModelTenant {
    const tenant = this.tenants.get(name);
    if (tenant === undefined) throw new Error(`there is no ${name}`);
    return tenant;
  }

  /** What its users get. */
  serves(name: string): number {
    const tenant = this.get(name);
    return tenant.entries.get(tenant.agent.live)?.release ?? -1;
  }

  /** Lets every agent live on until `now`. `calm`: nothing comes late. */
  step(now: number, calm: boolean): void {
    for (const [key, { kind }] of this.#counts) {
      if (kind !== 'awaited' || (!calm && this.#dice.chance(0.5))) continue;
      const missing = { kind: 'missing', why: 'a host did not answer' } as const;
      this.#counts.set(key, !calm && this.#dice.chance(0.2) ? missing : { kind: 'complete' });
    }
    for (const tenant of this.tenants.values()) {
      if (tenant.state === 'gone' || this.hosts.get(tenant.host)?.state !== 'online') continue;
      this.#live(tenant, now, calm);
      tenant.mail.sort((a, b) => a.at - b.at);
      while (tenant.mail[0] !== undefined && tenant.mail[0].at <= now) {
        const letter = tenant.mail.shift();
        // The store keeps the newest by the agent's own clock.
        if (letter === undefined || letter.sent < tenant.lastSent) continue;
        tenant.lastSent = letter.sent;
        tenant.reported = letter.said;
      }
    }
  }

  #live(tenant: ModelTenant, now: number, calm: boolean): void {
    const { agent, desired } = tenant;
    if (agent.told !== desired.generation) {
      agent.told = desired.generation;
      if (agent.live === desired.generation) agent.phase = 'settled';
      else {
        agent.phase = 'moving';
        agent.until = now + this.#dice.between(100, 3000);
        agent.tries += 1;
      }
      this.#say(tenant, null, now, calm);
      return;
    }
    if (now < agent.until) return;
    if (agent.phase === 'moving') this.#arrive(tenant, now, calm);
    else if (agent.phase === 'baking') this.#bake(tenant, now, calm);
  }

  #arrive(tenant: ModelTenant, now: number, calm: boolean): void {
    const { agent, desired, fate } = tenant;
    if (desired.release === NEW) {
      if (fate === 'silent') {
        agent.until = Number.POSITIVE_INFINITY;
        return;
      }
      if (fate === 'fails' || (fate === 'flaps' && agent.tries === 1)) {
        agent.phase = 'failed';
        agent.failed.add(desired.generation);
        this.#say(tenant, 'it did not become healthy', now, calm);
        return;
      }
    }
    agent.live = desired.generation;
    agent.phase = 'baking';
    agent.until = now + this.#dice.between(500, 4000);
    this.#say(tenant, null, now, calm);
  }

  #bake(tenant: ModelTenant, now: number, calm: boolean): void {
    const { agent, desired, fate } = tenant;
    if (desired.release === NEW && fate === 'crashes') {
      const before = [...tenant.entries.keys()].filter((each) => tenant.entries.get(each)?.release === OLD);
      agent.live = Math.max(...before.filter((each) => each < desired.generation));
      agent.phase = 'failed';
      agent.failed.add(desired.generation);
      this.#say(tenant, 'it crashed', now, calm);
      return;
    }
    agent.phase = 'settled';
    this.#say(tenant, null, now, calm);
  }

  #say(tenant: ModelTenant, problem: string | null, now: number, calm: boolean): void {
    const { agent } = tenant;
    const late = calm || this.#dice.chance(0.8) ? 0 : this.#dice.between(0, 5000);
    tenant.mail.push({
      at: now + late,
      sent: now,
      said: {
        generation: agent.told,
        live: agent.live,
        phase: agent.phase,
        problem: problem === null ? null : { code: 'health_failed', message: problem },
      },
    });
  }

  #fact(name: string): TenantFact | null {
    const tenant = this.tenants.get(name);
    if (tenant === undefined || tenant.state === 'gone') return null;
    const online = this.hosts.get(tenant.host)?.state === 'online';
    const slow = tenant.fate === 'slow' && this.serves(name) === NEW;
    return {
      host: tenant.host,
      connection: online ? 'online' : 'offline',
      release: tenant.desired.release,
      generation: tenant.desired.generation,
      state: tenant.state,
      pinned: tenant.pinned,
      window: tenant.window,
      reported: tenant.reported,
      after: this.serves(name) === NEW ? (slow ? BAD : GOOD) : null,
    };
  }

  past(): Traffic {
    return GOOD;
  }
}
