import { z } from 'zod';

/** What the bench says to the processes it starts, and what they answer. */
export const ToClients = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('make'), agents: z.number() }),
  /** Connect, `atOnce` at a time; answered when all are welcomed, and have a desired state when `desired`. */
  z.object({
    kind: z.literal('connect'),
    port: z.number(),
    desired: z.boolean(),
    atOnce: z.number(),
  }),
  /** Every agent reports one tenant, or every twentieth agent twenty at once; so many times. */
  z.object({
    kind: z.literal('report'),
    rounds: z.number(),
    perMessage: z.union([z.literal(1), z.literal(20)]),
  }),
  z.object({ kind: z.literal('drop') }),
]);
export const FromClients = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('made'), publicKeys: z.array(z.string()) }),
  z.object({ kind: z.literal('connected'), ms: z.number() }),
  z.object({ kind: z.literal('reported'), ms: z.number() }),
  z.object({ kind: z.literal('dropped') }),
]);

export const ToServer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('measure') }),
  /** One change for every agent; answered when all have acknowledged it. */
  z.object({ kind: z.literal('change') }),
]);
export const Measure = z.object({
  rssBytes: z.number(),
  privateBytes: z.number(),
  heapBytes: z.number(),
  cpuMs: z.number(),
});
export type Measure = z.infer<typeof Measure>;
export const FromServer = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listening'), port: z.number() }),
  z.object({ kind: z.literal('seeded') }),
  z.object({ kind: z.literal('measured'), measure: Measure }),
  z.object({ kind: z.literal('changed'), ms: z.number(), cpuMs: z.number(), bytes: z.number() }),
]);

export const ServerArguments = z.object({
  role: z.enum(['floor', 'fleet', 'seed']),
  agents: z.coerce.number(),
  port: z.coerce.number(),
  directory: z.string(),
  /** Whether agents that connect have no desired state yet. */
  fresh: z.enum(['fresh', 'known']),
});

/** The host with this number. */
export function hostId(number: number): string {
  return `h_${number.toString(36).padStart(16, '0')}`;
}
/** The tenants of that host; the first hosts have twenty, the others one. */
export function tenantsOf(number: number, agents: number): string[] {
  const many = number < Math.floor(agents / MANY) ? MANY : 1;
  return Array.from({ length: many }, (_, index) =>
    index === 0 ? tenantOf(number) : `tenant-${number}-${index}`,
  );
}
export const MANY = 20;
export const tenantOf = (number: number): string => `tenant-${number}`;
