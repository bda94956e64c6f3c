import { z } from 'zod';

/** What the rollout bench says to the process of its agents, and what that answers. */
export const ToAgents = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('make'), agents: z.number() }),
  /** Answered when all are welcomed and have their desired state. */
  z.object({ kind: z.literal('connect'), port: z.number() }),
  /** Answered when so many tenants have moved and settled from now on. */
  z.object({ kind: z.literal('await'), tenants: z.number() }),
  z.object({ kind: z.literal('drop') }),
]);
export const FromAgents = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('made'), publicKeys: z.array(z.string()) }),
  z.object({ kind: z.literal('connected') }),
  z.object({ kind: z.literal('waiting') }),
  z.object({ kind: z.literal('settled') }),
  z.object({ kind: z.literal('dropped') }),
]);

export const ToFloor = z.discriminatedUnion('kind', [
  /** Moves so many tenants, from this one on, so many at once. */
  z.object({ kind: z.literal('move'), from: z.number(), tenants: z.number(), atOnce: z.number() }),
]);
export const FromFloor = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listening'), port: z.number() }),
  /** All of them serve, are settled, and are written down. */
  z.object({ kind: z.literal('moved'), eventLoopP99Ms: z.number() }),
]);

/** A fleet of the bench: the app that is measured, ten tenants a host, and a small one to become warm with. */
export const FleetShape = z.object({ tenants: z.coerce.number(), agents: z.coerce.number() });
export type FleetShape = z.infer<typeof FleetShape>;

export const APP = 'shop';
export const WARM_APP = 'warm';
/** The tenants of the app that is moved before anything is measured. */
export const WARM_TENANTS = 2_000;
