import type { ApiClient } from '@berth/shared/api/client';
import type { Event } from '@berth/shared/api/schemas';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { z } from 'zod';
import { now } from './bench.ts';
import type { Chronicle } from './chronicle.ts';

/** How long a wave is watched; short, so that a bench ends. No part of what is timed. */
const BAKE_MS = 1_000;

const OfRollout = z.object({ rollout: z.number() });
const OfState = OfRollout.extend({ state: z.object({ kind: z.string() }) });
const OfTenant = OfRollout.extend({ progress: z.object({ kind: z.string() }) });
const OfStep = z.object({ step: z.string(), state: z.string() });

/** A rollout that is under way. Times as of `now()`. */
export interface Begun {
  rollout: number;
  to: number;
  sentAt: number;
  answeredAt: number;
}

export interface Release {
  number: number;
  /** From the call until it was answered; the registry was asked meanwhile. */
  ms: number;
}

/** Makes a release of the app that differs from all others by its version. */
export async function makeRelease(
  api: ApiClient,
  given: { app: string; compose: string; version: string },
): Promise<Release> {
  const began = now();
  const made = await api.createRelease({
    params: { app: given.app },
    body: { compose: given.compose, envFiles: {}, labels: {}, set: { VERSION: given.version } },
  });
  const pinned = Object.values(made.pins).every((pin) => pin.reference.includes('@sha256:'));
  if (made.result !== 'created' || !pinned)
    throw new Error(`not a new pinned release: ${JSON.stringify(made)}`);
  return { number: made.release, ms: now() - began };
}

export interface Limits {
  perHost: number;
  atOnce: number;
  maxFailures: number;
}

/** Starts a rollout of one wave with everybody in it. Resolves when the call is answered. */
export async function startRollout(
  api: ApiClient,
  given: { app: string; to: number; limits?: Limits },
): Promise<Begun> {
  const policy = RolloutPolicy.parse({
    waves: [{ target: { kind: 'share', percent: 100 } }],
    bakeMs: BAKE_MS,
    ...given.limits,
  });
  const sentAt = now();
  const { rollout } = await api.startRollout({
    body: { app: given.app, to: given.to, policy, whenBusy: 'refuse' },
  });
  return { rollout, to: given.to, sentAt, answeredAt: now() };
}

/** When the rollout began each of its tenants, by the coordinator's word, and as which generation. */
export function begunTenants(
  chronicle: Chronicle,
  { rollout }: Begun,
): { tenant: string; generation: number; at: number }[] {
  return chronicle.events.flatMap((event) => {
    const details = event.kind === 'rollout.tenant' ? OfTenant.safeParse(event.details) : null;
    if (details?.success !== true || details.data.rollout !== rollout) return [];
    const { tenant, generation, at } = event;
    if (details.data.progress.kind !== 'moving' || tenant === null || generation === null) return [];
    return [{ tenant, generation, at }];
  });
}

/** Waits until it has begun so many of its tenants. */
export async function untilBegun(chronicle: Chronicle, begun: Begun, tenants: number): Promise<void> {
  await chronicle.until(
    `rollout ${begun.rollout} began ${tenants} tenants`,
    () => begunTenants(chronicle, begun).length >= tenants,
  );
}

/** Waits until it is completed, and until each tenant's old containers are stopped: then nothing is under way. */
export async function untilCompleted(chronicle: Chronicle, begun: Begun): Promise<void> {
  const ended = await chronicle.until(`rollout ${begun.rollout} ended`, (event) => {
    const state = stateOf(event, begun.rollout);
    return state !== null && state !== 'running';
  });
  const state = stateOf(ended, begun.rollout);
  if (state !== 'completed') throw new Error(`rollout ${begun.rollout} is ${state}: ${ended.message}`);
  for (const { tenant, generation } of begunTenants(chronicle, begun))
    await chronicle.until(`${tenant}'s old containers are stopped`, (event) => {
      if (event.kind !== 'tenant.step' || event.tenant !== tenant || event.generation !== generation)
        return false;
      const { step, state: now } = OfStep.parse(event.details);
      return step === 'containers.stop' && now === 'done';
    });
}

function stateOf(event: Event, rollout: number): string | null {
  if (event.kind !== 'rollout.state') return null;
  const { rollout: whose, state } = OfState.parse(event.details);
  return whose === rollout ? state.kind : null;
}
