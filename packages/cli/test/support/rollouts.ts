import type { Counts, Rollout, RolloutTenant, RolloutWave } from '@berth/shared/api/rollouts';
import type { Event } from '@berth/shared/api/schemas';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { LATENCY_BOUNDS_MS, noTraffic, type Traffic } from '@berth/shared/domain/traffic';

export function counts(change: Partial<Counts> = {}): Counts {
  return {
    pending: 0,
    skipped: 0,
    moving: 0,
    live: 0,
    moved: 0,
    failed: 0,
    returning: 0,
    returned: 0,
    stuck: 0,
    ...change,
  };
}

/** So many requests that took so long, some of them answered with 5xx. */
export function traffic(requests: number, ms: number, errors = 0): Traffic {
  const bucket = LATENCY_BOUNDS_MS.findIndex((bound) => ms <= bound);
  const latency = noTraffic().latency.map((_, index) => (index === bucket ? requests : 0));
  return { requests, errors, latency };
}

export function waveView(wave: number, percent: number, change: Partial<RolloutWave> = {}): RolloutWave {
  return {
    wave,
    spec: { target: { kind: 'share', percent }, approval: 'none' },
    state: { kind: 'pending' },
    counts: counts({ pending: 1 }),
    traffic: null,
    ...change,
  };
}

export function rolloutShown(change: Partial<Rollout> = {}): Rollout {
  return {
    rollout: 7,
    app: 'shop',
    to: 13,
    policy: RolloutPolicy.parse({
      waves: [{ target: { kind: 'share', percent: 50 } }, { target: { kind: 'share', percent: 100 } }],
    }),
    state: { kind: 'running' },
    held: null,
    awaits: null,
    wave: 1,
    waves: [
      waveView(1, 50, { state: { kind: 'moving', since: 1000 }, counts: counts({ moving: 1 }) }),
      waveView(2, 100),
    ],
    counts: counts({ moving: 1, pending: 1 }),
    failures: 0,
    startedBy: 'token:t_1 ada',
    createdAt: 1000,
    updatedAt: 1000,
    endedAt: null,
    afterEvent: 5,
    ...change,
  };
}

export const completed = (change: Partial<Rollout> = {}): Rollout =>
  rolloutShown({
    state: { kind: 'completed' },
    wave: 2,
    waves: [
      waveView(1, 50, { state: { kind: 'passed', at: 5000, judged: '' }, counts: counts({ moved: 1 }) }),
      waveView(2, 100, { state: { kind: 'passed', at: 9000, judged: '' }, counts: counts({ moved: 1 }) }),
    ],
    counts: counts({ moved: 2 }),
    endedAt: 61_000,
    ...change,
  });

export function rolloutTenant(tenant: string, change: Partial<RolloutTenant> = {}): RolloutTenant {
  return {
    tenant,
    wave: 1,
    position: 0,
    host: 'h_0123456789abcdef',
    hostName: 'box',
    connection: 'online',
    fromRelease: 12,
    progress: { kind: 'pending' },
    step: null,
    traffic: null,
    ...change,
  };
}

let next = 100;
export function rolloutEvent(
  kind: 'rollout.state' | 'rollout.wave' | 'rollout.tenant' | 'rollout.created' | 'tenant.step',
  details: Record<string, unknown>,
  tenant: string | null = null,
): Event {
  next += 1;
  const about = kind === 'tenant.step' ? {} : { rollout: 7 };
  return {
    id: next,
    at: 1_000_000,
    kind,
    tenant,
    app: 'shop',
    host: null,
    generation: null,
    message: 'Something happened.',
    details: { ...about, ...details },
  };
}
