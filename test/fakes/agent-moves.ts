import { createHash } from 'node:crypto';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { Problem } from '@berth/shared/domain/step';
import type {
  AgentEvent,
  ContainerView,
  StepView,
  TenantPhase,
  TenantReport,
} from '@berth/shared/protocol/report';
import { createOutbox } from '@berth/agent/report/outbox';

/** What becomes of a move: it serves, its probe fails and the old colour goes on serving, or nothing is heard of it. */
export type Fate = 'serves' | 'fails' | 'silent';

export interface AgentMovesOptions {
  /** Makes event ids of this agent unique, such as its host's id. A real agent draws one at each start. */
  name: string;
  /** Sends one message as text. */
  send(text: string): void;
  /** Serves, unless told otherwise. */
  fate?: (tenant: string, generation: number) => Fate;
  /** Steps take this many times as long as on a small host (about 1.6 s with the drain); 0 for tests. */
  pace?: number;
  /** An old colour is kept for at most this long, whatever the desired state says; so a bench sees bakes end. */
  mostBakeMs?: number;
  /** A tenant is as it is desired, and nothing is left to do. */
  onSettled?: (tenant: string, generation: number) => void;
}

/**
 * What an agent tells while it moves its tenants from one generation to the next, without a host: the steps of a
 * blue-green move one after the other, each with its two events and its reports, through the real outbox, so gathered as a
 * real agent gathers them. Tenants that it did not know are taken to run already.
 */
export class AgentMoves {
  readonly #options: AgentMovesOptions;
  readonly #outbox = createOutbox();
  readonly #berths = new Map<string, Berth>();
  readonly #start: string;
  #unsubscribe: (() => void) | null = null;
  #events = 0;

  constructor(options: AgentMovesOptions) {
    this.#options = options;
    this.#start = createHash('sha256').update(options.name).digest('hex').slice(0, 16);
  }

  /** A session is open: what waits is told, and what was not acknowledged is told again. */
  online(): void {
    this.offline();
    this.#outbox.restart();
    this.#unsubscribe = this.#outbox.onWaiting(() => this.#flush());
    this.#flush();
  }

  offline(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  acknowledged(seq: number): void {
    this.#outbox.acknowledge(seq);
  }

  /** The tenants of a desired state that are new or have changed. */
  desired(tenants: readonly DesiredTenant[]): void {
    for (const tenant of tenants) this.#desire(tenant);
  }

  /** Ends all moves where they are, as a crash does. */
  stop(): void {
    this.offline();
    for (const berth of this.#berths.values()) if (berth.timer !== null) clearTimeout(berth.timer);
    this.#berths.clear();
  }

  #desire(desired: DesiredTenant): void {
    const known = this.#berths.get(desired.tenant);
    if (known === undefined) {
      const berth: Berth = {
        desired,
        live: desired.generation,
        phase: 'settled',
        steps: [],
        timer: null,
        kept: null,
      };
      this.#berths.set(desired.tenant, berth);
      this.#report(berth);
      return;
    }
    const same = known.desired.generation === desired.generation;
    known.desired = desired;
    if (same) return;
    if (known.timer !== null) clearTimeout(known.timer);
    known.timer = null;
    known.phase = 'moving';
    const fate = this.#options.fate?.(desired.tenant, desired.generation) ?? 'serves';
    if (fate === 'silent') return;
    if (known.live === desired.generation) {
      // Gone back to what serves before anything else did.
      known.steps = [];
      this.#settle(known);
      return;
    }
    known.kept = known.live;
    this.#run(known, stepsOf(desired), fate, 'live');
  }

  #run(berth: Berth, steps: readonly TimedStep[], fate: Fate, goal: 'live' | 'tidy'): void {
    berth.steps = steps.map(({ kind, title }) => ({ kind, title, state: 'todo', startedAt: null, ms: null }));
    const next = (index: number): void => {
      const step = steps[index];
      const view = berth.steps[index];
      if (step === undefined || view === undefined) {
        if (goal === 'tidy') this.#settle(berth);
        else this.#bake(berth);
        return;
      }
      view.state = 'running';
      view.startedAt = Date.now();
      this.#event(berth, 'tenant.step', step.title, { step: step.kind, state: 'started', ms: null });
      this.#report(berth);
      this.#later(berth, step.ms, () => {
        view.ms = Date.now() - (view.startedAt ?? 0);
        if (fate === 'fails' && step.kind === 'containers.probe') {
          this.#fail(berth, view);
          return;
        }
        view.state = 'done';
        this.#event(berth, 'tenant.step', step.title, { step: step.kind, state: 'done', ms: view.ms });
        if (step.kind === 'route.verify') {
          berth.live = berth.desired.generation;
          berth.phase = 'baking';
          this.#event(berth, 'tenant.live', `Generation ${berth.live} serves.`, {});
        }
        this.#report(berth);
        next(index + 1);
      });
    };
    next(0);
  }

  #bake(berth: Berth): void {
    const { bakeMs } = berth.desired.spec;
    const waited = Math.min(bakeMs, this.#options.mostBakeMs ?? bakeMs);
    berth.timer = setTimeout(() => {
      berth.timer = null;
      const { generation } = berth.desired;
      const title = `remove web, worker (generation ${generation} serves)`;
      const tidy = { kind: 'containers.remove', title, ms: 50 };
      berth.phase = 'moving';
      this.#event(
        berth,
        'tenant.settled',
        `Generation ${generation} has baked; the one before is let go.`,
        {},
      );
      this.#run(berth, [tidy], 'serves', 'tidy');
    }, waited);
    berth.timer.unref();
  }

  #settle(berth: Berth): void {
    berth.phase = 'settled';
    berth.kept = null;
    this.#report(berth);
    this.#options.onSettled?.(berth.desired.tenant, berth.desired.generation);
  }

  #fail(berth: Berth, view: StepView): void {
    const problem: Problem = {
      code: 'health_failed',
      message: `web of generation ${berth.desired.generation} did not become healthy.`,
      step: view.kind,
      service: 'web',
      logTail: [],
      at: Date.now(),
    };
    view.state = 'failed';
    berth.phase = 'failed';
    berth.kept = null;
    const details = { step: view.kind, state: 'failed', ms: view.ms };
    this.#event(berth, 'tenant.step', problem.message, details);
    this.#event(berth, 'tenant.failed', problem.message, { problem });
    this.#report(berth, problem);
  }

  #later(berth: Berth, ms: number, act: () => void): void {
    berth.timer = setTimeout(
      () => {
        berth.timer = null;
        act();
      },
      ms * (this.#options.pace ?? 1) * jitter(berth.desired),
    );
    berth.timer.unref();
  }

  #event(berth: Berth, kind: string, message: string, details: Record<string, unknown>): void {
    this.#events += 1;
    const { tenant, generation } = berth.desired;
    const event: AgentEvent = {
      id: `${this.#start}-${this.#events}`,
      at: Date.now(),
      tenant,
      generation,
      kind,
      message,
      details,
    };
    this.#outbox.event(event);
  }

  #report({ desired, live, phase, steps, kept }: Berth, problem: Problem | null = null): void {
    const { tenant, generation } = desired;
    const started = steps.some((step) => step.kind === 'containers.start' && step.state === 'done');
    const generations = [...new Set([kept, live, started ? generation : null])];
    const report: TenantReport = {
      tenant,
      generation,
      live,
      phase,
      at: Date.now(),
      steps: steps.map((step) => ({ ...step })),
      problem,
      retryAt: null,
      containers: generations.flatMap((each) => (each === null ? [] : containersOf(desired, each, live))),
    };
    this.#outbox.tenant(report);
  }

  #flush(): void {
    for (let next = this.#outbox.next(); next !== null; next = this.#outbox.next())
      this.#options.send(next.text);
  }
}

interface Berth {
  desired: DesiredTenant;
  live: number;
  phase: TenantPhase;
  steps: StepView[];
  timer: NodeJS.Timeout | null;
  /** The generation whose containers are kept beside the new one's. */
  kept: number | null;
}

interface TimedStep {
  kind: string;
  title: string;
  ms: number;
}

/** What a real agent does for a blue-green move, and about how long each step takes it. */
function stepsOf({ spec, generation }: DesiredTenant): TimedStep[] {
  const names = spec.services.map((service) => service.name).join(', ');
  const images = new Set(spec.services.map((service) => service.image));
  return [
    { kind: 'preflight', title: 'check memory and disk', ms: 3 },
    ...[...images].map((image) => ({ kind: 'image.ensure', title: `image ${image}`, ms: 5 })),
    { kind: 'containers.start', title: `start ${names} of generation ${generation}`, ms: 200 },
    { kind: 'containers.probe', title: `wait until ${names} is healthy`, ms: 150 },
    { kind: 'route.switch', title: `switch the route to generation ${generation}`, ms: 8 },
    { kind: 'route.verify', title: 'verify through Nginx', ms: 6 },
    { kind: 'drain', title: 'drain open connections', ms: 1000 },
    { kind: 'containers.stop', title: `stop ${names} (the new generation serves)`, ms: 200 },
  ];
}

function containersOf({ tenant, spec }: DesiredTenant, generation: number, live: number): ContainerView[] {
  return spec.services.map((service, index) => ({
    id: `${generation.toString(16).padStart(8, '0')}${'c0ffee'.repeat(9)}${index.toString(16).padStart(2, '0')}`,
    name: `berth-${tenant}-${service.name}-g${generation}-1`,
    service: service.name,
    replica: 1,
    generation,
    role: 'colour',
    state: generation < live ? 'exited' : 'running',
    health: 'healthy',
    address: `198.19.0.${10 + index}`,
  }));
}

/** 0.8 to 1.2, the same for the same tenant and generation: no two hosts are equally fast, and runs can be repeated. */
function jitter({ tenant, generation }: DesiredTenant): number {
  let hash = generation;
  for (let index = 0; index < tenant.length; index += 1) hash = (hash * 31 + tenant.charCodeAt(index)) >>> 0;
  return 0.8 + (hash % 1000) / 2500;
}
