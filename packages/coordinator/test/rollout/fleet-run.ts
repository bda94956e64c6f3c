import type { RolloutPolicy } from '@berth/shared/domain/rollout';
import { isOver, RolloutPolicy as Policy } from '@berth/shared/domain/rollout';
import { act, type Action } from '../../src/rollout/act.ts';
import { decide } from '../../src/rollout/decide.ts';
import { failuresOf } from '../../src/rollout/counts.ts';
import { fold } from '../../src/rollout/fold.ts';
import type { Decision, Rollout } from '../../src/rollout/types.ts';
import { computeWaves } from '../../src/rollout/waves.ts';
import { FleetWorld, NEW, OLD, type Fate } from './fleet-world.ts';
import { diceFrom, type Dice } from './random.ts';

export interface Run {
  rollout: Rollout;
  world: FleetWorld;
  /** The most tenants that had failed at any moment. */
  failures: number;
  begun: number;
  decisions: number;
}

export interface Shape {
  hosts: number;
  perHost: number;
  /** No misfortune besides the release itself. */
  calm?: true;
  /** The same fate for every tenant. */
  fate?: Fate;
}

/** One random fleet with random faults, from the start of a rollout until nothing happens any more. Throws what is wrong. */
export function runFleet(seed: number, shape: Shape): Run {
  const dice = diceFrom(seed);
  const bad = dice.pick([0, 0, 0.02, 0.1, 0.5, 1]);
  const fates = ['fails', 'crashes', 'slow', 'flaps', 'silent'] as const;
  const hosts = dice.between(1, shape.hosts);
  const world = new FleetWorld(
    dice,
    hosts,
    hosts * dice.between(1, shape.perHost),
    () => shape.fate ?? (dice.chance(bad) ? dice.pick(fates) : 'serves'),
  );
  return new FleetRun(world, dice, policyFrom(dice), shape.calm === true).toTheEnd();
}

function policyFrom(dice: Dice): RolloutPolicy {
  const waves = dice.pick([[5, 25, 100], [100], [1, 2, 10, 50, 100], [50]]).map((percent) => ({
    target: { kind: 'share' as const, percent },
    approval: dice.chance(0.1) ? ('ask' as const) : ('none' as const),
  }));
  return Policy.parse({
    waves,
    bakeMs: dice.between(0, 10_000),
    maxFailures: dice.pick([0, 1, 3, 10]),
    onFailure: dice.pick(['pause', 'rollback']),
    perHost: dice.between(1, 5),
    atOnce: dice.between(1, 200),
    moveTimeoutMs: 20_000,
  });
}

/** Faults happen until here; afterwards everything is to come to rest. */
const CALM_FROM = 60_000;
const END = 600_000;

class FleetRun {
  #rollout: Rollout;
  readonly #world: FleetWorld;
  readonly #dice: Dice;
  readonly #calm: boolean;
  readonly #before = new Map<string, number>();
  /** What operators have agreed to go back past. */
  #past: 'nothing' | 'irreversible' = 'nothing';
  #mostFailures = 0;
  #begun = 0;
  #decisions = 0;

  constructor(world: FleetWorld, dice: Dice, policy: RolloutPolicy, calm: boolean) {
    this.#world = world;
    this.#dice = dice;
    this.#calm = calm;
    const tenants = [...world.tenants.values()].map(({ name }) => ({
      tenant: name,
      tags: dice.chance(0.05) ? ['canary'] : [],
      release: OLD,
    }));
    const given = { app: 'shop', to: NEW, waves: policy.waves, order: policy.order };
    const { waves } = computeWaves({ ...given, tenants });
    same(waves, computeWaves({ ...given, tenants: [...tenants].reverse() }).waves, 'waves of the same fleet');
    this.#rollout = {
      rollout: 1,
      app: 'shop',
      to: NEW,
      policy,
      state: { kind: 'running' },
      wave: 0,
      waves: waves.map(() => ({ kind: 'pending' })),
      forgiven: 0,
      reversal: dice.chance(0.2) ? 'irreversible' : 'free',
      tenants: waves.flatMap((names, wave) =>
        names.map((tenant, position) => ({
          tenant,
          wave,
          position,
          fromRelease: OLD,
          fromGeneration: 1,
          progress: { kind: 'pending' },
          before: null,
        })),
      ),
    };
  }

  toTheEnd(): Run {
    let quiet = 0;
    for (let now = 0; now < END && quiet < 45_000;) {
      const calm = this.#calm || now > CALM_FROM;
      if (!calm) this.#misfortune(now);
      else this.#mend();
      this.#world.step(now, calm);
      const decided = this.#drive(now, calm);
      const step = this.#dice.between(200, 1500);
      quiet = decided === 0 && calm && now > CALM_FROM ? quiet + step : 0;
      now += step;
      if (calm && quiet > 30_000) this.#comeOn(now);
    }
    this.#check();
    return {
      rollout: this.#rollout,
      world: this.#world,
      failures: this.#mostFailures,
      begun: this.#begun,
      decisions: this.#decisions,
    };
  }

  /** All that is due now; sometimes the coordinator dies before a decision is carried out, and comes back. */
  #drive(now: number, calm: boolean): number {
    let count = 0;
    for (let round = 0; ; round += 1) {
      const decisions = decide(this.#rollout, this.#world.facts(), now);
      same(decisions, decide(this.#rollout, this.#world.facts(), now), 'decisions of the same facts');
      if (decisions.length === 0) return count;
      if (round > 200) throw new Error(`it never stops deciding: ${JSON.stringify(decisions.slice(0, 3))}`);
      if (!calm && this.#dice.chance(0.05)) return count;
      this.#carryOut(decisions, now);
      // What is kept is all there is: a coordinator that comes back reads it again.
      if (this.#dice.chance(0.02)) this.#rollout = reread(this.#rollout);
      count += decisions.length;
    }
  }

  #carryOut(decisions: readonly Decision[], now: number): void {
    const progress = new Map<string, Rollout['tenants'][number]['progress']>();
    for (const decision of decisions) {
      if (decision.kind === 'begin') {
        this.#mayBegin(decision.tenant, now);
        this.#before.set(decision.tenant, this.#world.get(decision.tenant).desired.generation);
        const generation = this.#world.desireAnew(decision.tenant, NEW);
        progress.set(decision.tenant, { kind: 'moving', generation, since: now });
        this.#begun += 1;
        this.#rollout = fold(this.#rollout, [decision], {
          progress: (name) => progress.get(name) ?? null,
          before: () => this.#world.past(),
        });
        continue;
      }
      if (decision.kind === 'return') {
        this.#mayReturn(decision);
        const generation = this.#goBack(decision.tenant);
        progress.set(decision.tenant, {
          kind: 'returning',
          generation,
          since: now,
          why: decision.why,
          cause: decision.cause,
        });
      }
      if (decision.kind === 'restore') this.#goBack(decision.tenant);
      this.#rollout = fold(this.#rollout, [decision], {
        progress: (name) => progress.get(name) ?? null,
        before: () => this.#world.past(),
      });
    }
    this.#decisions += decisions.length;
    this.#mostFailures = Math.max(this.#mostFailures, failuresOf(this.#rollout));
  }

  #goBack(name: string): number {
    const earlier = this.#before.get(name) ?? 1;
    const { agent } = this.#world.get(name);
    const kept = agent.live === earlier || agent.phase === 'moving' || agent.phase === 'baking';
    if (!kept) return this.#world.desireAnew(name, OLD);
    this.#world.desireAgain(name, earlier);
    return earlier;
  }

  #mayBegin(name: string, now: number): void {
    const rollout = this.#rollout;
    const row = rollout.tenants.find((each) => each.tenant === name);
    const tenant = this.#world.get(name);
    const host = this.#world.hosts.get(tenant.host);
    const online = (each: string): boolean =>
      this.#world.hosts.get(this.#world.get(each).host)?.state === 'online';
    const moving = rollout.tenants.filter(
      ({ tenant: other, progress }) => progress.kind === 'moving' && online(other),
    );
    const say = (what: string): never => {
      throw new Error(`${name} was begun at ${now} though ${what}`);
    };
    if (failuresOf(rollout) - rollout.forgiven > rollout.policy.maxFailures) say('the budget was used up');
    const served = rollout.tenants.filter((each) => ['live', 'moved'].includes(each.progress.kind)).length;
    const trusted = rollout.policy.maxFailures + 1 - (failuresOf(rollout) - rollout.forgiven) + served;
    if (moving.length >= Math.min(trusted, rollout.policy.atOnce)) say(`${moving.length} were moving`);
    const here = moving.filter((each) => this.#world.get(each.tenant).host === tenant.host);
    if (here.length >= rollout.policy.perHost) say(`${here.length} were moving on its host`);
    if (rollout.state.kind !== 'running' && rollout.state.kind !== 'waiting')
      say(`the rollout was ${rollout.state.kind}`);
    if (tenant.pinned !== null || tenant.state !== 'running') say('it was pinned or did not run');
    if (host?.state !== 'online') say('its host was away');
    if (this.#world.frozen !== null) say('the app was frozen');
    if (row === undefined || row.wave > rollout.wave) say('it was not its turn');
    if (row?.progress.kind !== 'pending' && row?.progress.kind !== 'skipped')
      say(`it was ${row?.progress.kind}`);
    const earlier = rollout.waves.slice(0, row?.wave ?? 0).find((each) => each.kind !== 'passed');
    if (earlier !== undefined) say(`a wave before its own was ${earlier.kind}`);
  }

  #mayReturn(decision: Extract<Decision, { kind: 'return' }>): void {
    const row = this.#rollout.tenants.find((each) => each.tenant === decision.tenant);
    const kind = row?.progress.kind;
    // Who failed and stays on the new release goes back when an operator has everybody taken back.
    const stays = row?.progress.kind === 'failed' && row.progress.stays !== null;
    if (kind !== 'moving' && kind !== 'live' && kind !== 'moved' && !stays)
      throw new Error(`${decision.tenant} is taken back though it is ${kind}`);
    if (this.#rollout.reversal === 'irreversible' && this.#past !== 'irreversible')
      throw new Error(`${decision.tenant} goes back past an irreversible release command`);
  }

  #misfortune(now: number): void {
    const dice = this.#dice;
    for (const host of this.#world.hosts.values()) {
      if (host.state === 'online' && dice.chance(0.01)) host.state = dice.chance(0.2) ? 'lost' : 'offline';
      else if (host.state === 'offline' && dice.chance(0.2)) host.state = 'online';
    }
    if (dice.chance(0.02)) this.#world.frozen = this.#world.frozen === null ? 'stocktaking' : null;
    const names = [...this.#world.tenants.keys()];
    if (dice.chance(0.05)) {
      const tenant = this.#world.get(dice.pick(names));
      if (tenant.state === 'running') {
        const what = dice.between(0, 4);
        if (what === 0) tenant.pinned = tenant.pinned === null ? 'a launch' : null;
        if (what === 1) tenant.state = 'gone';
        if (what === 2) this.#world.desireAnew(tenant.name, tenant.desired.release);
        if (what === 3) tenant.state = 'paused';
      } else if (tenant.state === 'paused') tenant.state = 'running';
    }
    if (dice.chance(0.03)) this.#operate(dice.pick(['pause', 'resume', 'retry', 'approve']), now);
    if (dice.chance(0.003)) this.#operate(dice.pick(['abort', 'rollback']), now);
  }

  #operate(kind: Action['kind'], now: number): void {
    const ends = kind === 'rollback' || kind === 'abort';
    const past = ends ? this.#dice.pick(['nothing', 'irreversible'] as const) : 'nothing';
    const before = this.#rollout;
    const acted = act(before, { kind, by: 'ada', reason: null, past }, this.#world.facts().tenant, now);
    if (isOver(before.state) && acted.kind === 'decided')
      throw new Error('a rollout that is over was changed');
    if (acted.kind === 'refused') return;
    const was = this.#past;
    if (past === 'irreversible') this.#past = past;
    this.#carryOut(acted.decisions, now);
    // Who agrees to an abort agrees to nothing that comes after it.
    if (kind === 'abort') this.#past = was;
    this.#rollout = { ...this.#rollout, forgiven: acted.forgiven };
  }

  #mend(): void {
    for (const host of this.#world.hosts.values()) if (host.state === 'offline') host.state = 'online';
    this.#world.frozen = null;
  }

  /** What waits for a person gets one, at most a few times. */
  #comeOn(now: number): void {
    this.#operate('approve', now);
    if (this.#rollout.state.kind === 'paused' && this.#rollout.state.by === 'operator')
      this.#operate('resume', now);
  }

  #check(): void {
    const { state, tenants, to } = this.#rollout;
    for (const [index, wave] of this.#rollout.waves.entries())
      if (wave.kind === 'passed' && wave.judged === 'good' && wave.traffic === undefined)
        throw new Error(`wave ${index + 1} was judged good, and nobody knows by what`);
    for (const row of tenants) {
      const tenant = this.#world.get(row.tenant);
      const host = this.#world.hosts.get(tenant.host)?.state;
      const where = `${row.tenant} is ${row.progress.kind} in a rollout that is ${state.kind}`;
      if (tenant.state === 'gone' || host === 'lost') continue;
      const mine = row.progress.kind === 'moved' || row.progress.kind === 'returned';
      if (mine && tenant.desired.generation !== generationOf(row.progress)) continue;
      // Once it is over nobody looks any more; an agent's own bake may end later.
      const unseen = isOver(state) && tenant.fate === 'crashes';
      if (row.progress.kind === 'moved' && this.#world.serves(row.tenant) !== to && !unseen)
        throw new Error(`${where}, and serves the old release`);
      if (row.progress.kind === 'returned' && this.#world.serves(row.tenant) !== OLD)
        throw new Error(`${where}, and serves the new release`);
      if (row.progress.kind === 'moving' && !isOver(state))
        throw new Error(`${where}, and nothing happens any more`);
      if (state.kind === 'completed' && (row.progress.kind === 'pending' || row.progress.kind === 'live'))
        throw new Error(where);
      if (row.progress.kind === 'failed' && row.progress.stays === null && tenant.desired.release === to)
        throw new Error(`${where}, and the new release is still desired`);
    }
    if (state.kind === 'running' || state.kind === 'rolling-back') {
      const held = tenants.some(
        (row) =>
          row.progress.kind === 'skipped' ||
          (row.progress.kind === 'returning' &&
            this.#world.hosts.get(this.#world.get(row.tenant).host)?.state !== 'online'),
      );
      if (!held)
        throw new Error(
          `the rollout is ${state.kind} for ever, wave ${this.#rollout.wave}: ${JSON.stringify(this.#rollout.waves)}`,
        );
    }
  }
}

function generationOf(progress: Rollout['tenants'][number]['progress']): number | null {
  return progress.kind === 'moved' || progress.kind === 'returned' ? progress.generation : null;
}

/** As from the store, which keeps it as text. */
function reread(rollout: Rollout): Rollout {
  return structuredClone(rollout);
}

function same(one: unknown, other: unknown, what: string): void {
  if (JSON.stringify(one) !== JSON.stringify(other)) throw new Error(`${what} differ`);
}
