import { z } from 'zod';
import { TenantName } from '../domain/ids.ts';
import { Problem } from '../domain/step.ts';

/** One line of a plan as people see it. */
export const StepView = z.strictObject({
  kind: z.string().max(40),
  title: z.string().max(400),
  state: z.enum(['todo', 'running', 'done', 'failed', 'waiting']),
  startedAt: z.number().nullable(),
  ms: z.number().nullable(),
});
export type StepView = z.infer<typeof StepView>;

export const ContainerView = z.strictObject({
  id: z.string().max(80),
  name: z.string().max(200),
  service: z.string().max(60),
  replica: z.int(),
  generation: z.int(),
  role: z.enum(['colour', 'keeper', 'release']),
  state: z.string().max(20),
  health: z.enum(['none', 'starting', 'healthy', 'unhealthy']),
  address: z.string().max(40),
});
export type ContainerView = z.infer<typeof ContainerView>;

export const TenantPhase = z.enum([
  'waiting', // known, nothing begun
  'moving', // on the way to the desired generation
  'baking', // serves the desired generation; the old one is kept
  'settled', // as desired, nothing left to do
  'returning', // going back to the old generation
  'failed', // the desired generation failed; the old one serves, or nothing does
  'blocked', // cannot go on now; will be tried again
  'paused',
  'removing',
  'removed',
]);
export type TenantPhase = z.infer<typeof TenantPhase>;

/** The newest word on one tenant; a later one replaces it, so reports can be coalesced. */
export const TenantReport = z.strictObject({
  tenant: TenantName,
  /** The generation that is desired, as the agent knows it. */
  generation: z.int(),
  /** The generation that serves; null when none does. */
  live: z.int().nullable(),
  phase: TenantPhase,
  at: z.number(),
  steps: z.array(StepView).max(60),
  problem: Problem.nullable(),
  retryAt: z.number().nullable(),
  containers: z.array(ContainerView).max(200),
});
export type TenantReport = z.infer<typeof TenantReport>;

/** What an agent is about to stop because of a tombstone; it waits for the coordinator's confirmation. */
export const RemovalRequest = z.strictObject({
  tenant: TenantName,
  generation: z.int(),
  containers: z.array(z.string().max(200)).max(200),
});
export type RemovalRequest = z.infer<typeof RemovalRequest>;

/** Something that happened once. `id` is unique per host, so that a repeated report adds nothing. */
export const AgentEvent = z.strictObject({
  id: z.string().max(60),
  at: z.number(),
  tenant: TenantName.nullable(),
  generation: z.int().nullable(),
  kind: z.string().max(60),
  message: z.string().max(1000),
  details: z.record(z.string(), z.unknown()),
});
export type AgentEvent = z.infer<typeof AgentEvent>;

export const HostReport = z.strictObject({
  memoryTotalBytes: z.number(),
  memoryAvailableBytes: z.number(),
  diskTotalBytes: z.number(),
  diskAvailableBytes: z.number(),
  cpus: z.number(),
  docker: z.enum(['up', 'down']),
  nginx: z.enum(['up', 'down']),
  containers: z.int(),
  /** Tenants that run here and that the desired state does not name. They are left alone. */
  orphans: z.array(z.string().max(60)).max(1000),
});
export type HostReport = z.infer<typeof HostReport>;
