import { z } from 'zod';
import { AccessScope, EVERYTHING, plainText, Role, textLines } from '../domain/access.ts';
import { Egress } from '../domain/egress.ts';
import { ERROR_CODES } from '../domain/errors.ts';
import { AppName, Domain, HostId, PoolName, TenantName, VariableName } from '../domain/ids.ts';
import { Tag } from '../domain/rollout.ts';
import { Problem } from '../domain/step.ts';
import { SecretName } from '../domain/secret.ts';
import { WindowText } from '../domain/window.ts';
import { ContainerView, HostReport, StepView, TenantPhase } from '../protocol/report.ts';
import { TenantDatabase } from './databases.ts';
import { NewSecret } from './secrets.ts';

/** Times are milliseconds since 1970, sizes bytes. */

export const ApiError = z.object({
  error: z.object({
    code: z.enum(ERROR_CODES),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
    requestId: z.string(),
  }),
});
export type ApiError = z.infer<typeof ApiError>;

export const Finding = z.object({
  line: z.number(),
  column: z.number(),
  path: z.string(),
  message: z.string(),
});

export const App = z.object({
  app: AppName,
  /** Newest release. */
  release: z.number(),
  tenants: z.number(),
  /** Why no rollout may go on; null when it may. */
  frozen: z.string().nullable(),
  /** The release that new tenants begin with: that of the last completed rollout, else the newest. */
  current: z.number(),
  createdAt: z.number(),
  updatedAt: z.number(),
});
export type App = z.infer<typeof App>;

export const Release = z.object({
  app: AppName,
  release: z.number(),
  digest: z.string(),
  services: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
  /** `pinned`: each image is fixed by its digest; `as-named`: a host takes what the name means there. */
  images: z.enum(['pinned', 'as-named']),
  createdAt: z.number(),
  createdBy: z.string(),
});
export type Release = z.infer<typeof Release>;

/** An image as it was named and what the name meant in its registry when the release was made. */
export const Pin = z.object({
  image: z.string(),
  /** `sha256:…`, of the index for an image of several platforms. */
  digest: z.string(),
  /** `registry/repository@sha256:…`: what hosts pull. */
  reference: z.string(),
});
export type Pin = z.infer<typeof Pin>;

/** Who signed a release. */
export const ShownSignature = z.object({ key: z.string(), fingerprint: z.string() });

export const ReleaseDetail = Release.extend({
  compose: z.string(),
  envFiles: z.record(z.string(), z.string()),
  /** By service; empty when the release is not pinned. */
  pins: z.record(z.string(), Pin),
  /** The release's own variables: above the app's, below the pool's and the tenant's. */
  variables: z.record(z.string(), z.string()),
  /** Empty for one that nobody signed. */
  signatures: z.array(ShownSignature).default([]),
});

/** A value of a variable: anything but NUL, which no environment can hold. */
export const VariableValue = z
  .string()
  .max(65_536)
  .refine((text) => !text.includes('\u0000'), { error: 'must not have a NUL character' });
export const Variables = z.record(VariableName, VariableValue);

/** An env file's content may hold values nobody should read back, so answers carry names and sizes only. */
export const ApplyApp = z.strictObject({
  compose: textLines(262_144),
  envFiles: z.record(plainText(400), textLines(262_144)).default({}),
  labels: z.record(plainText(60), textLines(200)).default({}),
  /** Variables of the release, such as the version that its images carry. */
  set: Variables.default({}),
});
export const AppliedApp = z.object({
  app: AppName,
  release: z.number(),
  /** `unchanged`: the same template is already the newest release. */
  result: z.enum(['created', 'unchanged']),
  warnings: z.array(Finding),
});

export const TenantState = z.enum(['running', 'paused', 'removing']);

export const Tenancy = z.enum(['shared', 'dedicated']);
export type Tenancy = z.infer<typeof Tenancy>;

export const Tenant = z.object({
  tenant: TenantName,
  app: AppName,
  release: z.number(),
  generation: z.number(),
  state: TenantState,
  host: HostId,
  hostName: z.string(),
  pool: PoolName,
  domains: z.array(Domain),
  urls: z.array(z.string()),
  tags: z.array(Tag),
  /** Why rollouts leave it alone; null when they do not. */
  pinned: z.string().nullable(),
  /** When rollouts may move it, such as `Mon-Fri 22:00-04:00 Europe/Berlin`; null: at any time. */
  window: z.string().nullable(),
  /** `dedicated`: nobody else is on its host. */
  tenancy: Tenancy.optional(),
  /** An operator's word on where it may connect to; null: as its release says. */
  egress: Egress.nullable().optional(),
  /** Made by Berth; only where one tenant is shown. */
  database: TenantDatabase.optional(),
  /** As last reported by the agent; `waiting` before the first report. */
  phase: TenantPhase,
  live: z.number().nullable(),
  /** `stale`: the host is offline, so what is shown is its last word. */
  freshness: z.enum(['current', 'stale']),
  problem: Problem.nullable(),
  reportedAt: z.number().nullable(),
  createdAt: z.number(),
  updatedAt: z.number(),
});
export type Tenant = z.infer<typeof Tenant>;

export const FreezeApp = z.strictObject({ reason: plainText(500) });

/** What is left out stays as it is; null takes it away. */
export const TenantRolloutSettings = z.strictObject({
  addTags: z.array(Tag).max(20).default([]),
  removeTags: z.array(Tag).max(20).default([]),
  pinned: plainText(500).nullable().optional(),
  window: WindowText.nullable().optional(),
});
export type TenantRolloutSettings = z.infer<typeof TenantRolloutSettings>;

export const ReleaseDecision = z.strictObject({ choice: z.enum(['succeeded', 'run-again']) });

export const CreateTenant = z.strictObject({
  tenant: TenantName,
  app: AppName,
  domains: z.array(Domain).min(1).max(20),
  variables: Variables.default({}),
  /** The first version of each. */
  secrets: z.record(SecretName, NewSecret).optional(),
  pool: PoolName.optional(),
  host: HostId.optional(),
  release: z.int().min(1).optional(),
  tags: z.array(Tag).max(20).default([]),
  /** `dedicated`: on a host of its own, that no other tenant is placed on. */
  tenancy: Tenancy.optional(),
  egress: Egress.optional(),
  /** It gets the data that a deleted tenant of its name, app and pool left on a database server. */
  takeUpDatabase: z.boolean().optional(),
});

/** `null` takes a variable away, and the word on egress. */
export const ChangeTenant = z.strictObject({
  variables: z.record(VariableName, VariableValue.nullable()).optional(),
  domains: z.array(Domain).min(1).max(20).optional(),
  release: z.int().min(1).optional(),
  tenancy: Tenancy.optional(),
  egress: Egress.nullable().optional(),
});
export type ChangeTenant = z.infer<typeof ChangeTenant>;

export const Change = z.object({
  /** Such as `services.web.environment.GREETING`. */
  path: z.string(),
  before: z.string().nullable(),
  after: z.string().nullable(),
});
export type Change = z.infer<typeof Change>;

export const TenantPlan = z.object({
  tenant: TenantName,
  /** `none`: nothing would change. */
  effect: z.enum(['none', 'new-generation', 'routes-only']),
  fromGeneration: z.number(),
  toGeneration: z.number(),
  changes: z.array(Change),
  warnings: z.array(Finding),
  /** What the host's agent would do; empty with `unavailable` when the host is offline. */
  steps: z.array(StepView),
  stepsFrom: z.enum(['agent', 'unavailable']),
  /** With `unavailable`: why, in a sentence. `refused`: whoever made the change would be told that. */
  stepsMissing: z
    .object({ why: z.enum(['offline', 'refused', 'no-answer']), message: z.string() })
    .optional(),
});
export type TenantPlan = z.infer<typeof TenantPlan>;

/** What every mutation of a tenant answers: the generation to wait for, and the event to wait from. */
export const TenantChanged = z.object({
  tenant: TenantName,
  generation: z.number(),
  host: HostId,
  /** Follow /events/stream after this to see each step. */
  afterEvent: z.number(),
  result: z.enum(['changed', 'unchanged']),
});
export type TenantChanged = z.infer<typeof TenantChanged>;

export const ConfigValue = z.object({
  name: z.string(),
  value: z.string(),
  /** Where the effective value comes from. Of a secret the value is its version, in words. */
  source: z.enum(['builtin', 'template-default', 'app', 'release', 'pool', 'tenant', 'secret', 'unset']),
});

/** A rollout that tried to move a tenant and did not bring it about. */
export const RolloutAttempt = z.object({
  rollout: z.number(),
  /** The release that was tried. */
  release: z.number(),
  at: z.number(),
  /** `not-begun`: it could not even be begun. `stays`: it failed, and nobody took it back. `stuck`: nor could be. */
  became: z.enum(['not-begun', 'taken-back', 'returning', 'stays', 'stuck']),
  reason: z.string(),
});
export type RolloutAttempt = z.infer<typeof RolloutAttempt>;

export const TenantExplain = z.object({
  tenant: TenantName,
  /** One sentence: runs, or why not. */
  verdict: z.string(),
  phase: TenantPhase,
  host: z.object({
    host: HostId,
    name: z.string(),
    state: z.enum(['online', 'offline', 'never-seen']),
    lastSeenAt: z.number().nullable(),
  }),
  generation: z.number(),
  live: z.number().nullable(),
  freshness: z.enum(['current', 'stale']),
  steps: z.array(StepView),
  problem: Problem.nullable(),
  retryAt: z.number().nullable(),
  containers: z.array(ContainerView),
  /** What the last rollout tried with it in vain; null when it did not. */
  attempt: RolloutAttempt.nullable(),
  /** What it has on a database server. */
  database: TenantDatabase.optional(),
  /** What to do next, a sentence each. */
  advice: z.array(z.string()),
});
export type TenantExplain = z.infer<typeof TenantExplain>;

export const Host = z.object({
  host: HostId,
  name: z.string(),
  pool: PoolName,
  /** `cordoned` takes no new tenants. */
  scheduling: z.enum(['open', 'cordoned']),
  connection: z.enum(['online', 'offline', 'never-seen']),
  lastSeenAt: z.number().nullable(),
  agentVersion: z.string().nullable(),
  tenants: z.number(),
  /** The tenant that keeps it to itself; null when it is shared. */
  dedicatedTo: TenantName.nullable().optional(),
  capacity: z.object({ memoryBytes: z.number(), cpus: z.number() }),
  reserved: z.object({ memoryBytes: z.number(), cpus: z.number() }),
  revision: z.number(),
  ackedRevision: z.number(),
  ingress: z.object({ address: z.string(), port: z.number() }).nullable(),
  facts: z.record(z.string(), z.string()),
  report: HostReport.nullable(),
  /** Of AWS, that it proved to be; null when it came with a token. */
  instance: z.string().nullable().optional(),
  createdAt: z.number(),
});
export type Host = z.infer<typeof Host>;

export const CreateJoinToken = z.strictObject({
  pool: PoolName.default('default'),
  /** Milliseconds; at most a day. */
  ttlMs: z.int().min(1000).max(86_400_000).default(900_000),
});
export const JoinToken = z.object({ token: z.string(), pool: PoolName, expiresAt: z.number() });

export const Enrol = z.strictObject({
  token: z.string().max(200),
  /** Ed25519 public key, SPKI DER in base64. */
  publicKey: z.string().max(200),
  name: z
    .string()
    .min(1)
    .max(63)
    .regex(/^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/),
});
export const Enrolled = z.object({ host: HostId, pool: PoolName });

export const Event = z.object({
  id: z.number(),
  at: z.number(),
  /** Such as `tenant.step`, `tenant.settled`, `tenant.failed`, `host.online`. */
  kind: z.string(),
  tenant: z.string().nullable(),
  app: z.string().nullable(),
  host: z.string().nullable(),
  generation: z.number().nullable(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});
export type Event = z.infer<typeof Event>;

export const EventQuery = z.object({
  after: z.coerce.number().int().min(0).optional(),
  app: AppName.optional(),
  tenant: TenantName.optional(),
  host: HostId.optional(),
  kind: plainText(60, 0).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

export const AuditRecord = z.object({
  id: z.number(),
  at: z.number(),
  /** Such as `token:t_… ci`, `rollout:7`, `coordinator`. */
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  requestId: z.string(),
  before: z.unknown(),
  after: z.unknown(),
});

export { Role };
export const CreateToken = z.strictObject({
  name: plainText(60),
  role: Role,
  /** Milliseconds; without it, until it is revoked. */
  ttlMs: z
    .int()
    .min(1000)
    .max(10 * 365 * 86_400_000)
    .optional(),
  scope: AccessScope.default(EVERYTHING),
});
export const TokenInfo = z.object({
  id: z.string(),
  name: z.string(),
  role: Role,
  /** All empty: everything. */
  scope: AccessScope.default(EVERYTHING),
  createdAt: z.number(),
  expiresAt: z.number().nullable(),
  lastUsedAt: z.number().nullable(),
});
export const CreatedToken = TokenInfo.extend({ token: z.string() });

export const CoordinatorStatus = z.object({
  version: z.string(),
  epoch: z.number(),
  mode: z.enum(['apply', 'observe']),
  modeReason: z.string().nullable(),
  store: z.enum(['sqlite', 'postgres']),
  startedAt: z.number(),
  apps: z.number(),
  hosts: z.object({ total: z.number(), online: z.number() }),
  tenants: z.object({
    total: z.number(),
    settled: z.number(),
    moving: z.number(),
    failed: z.number(),
    blocked: z.number(),
    paused: z.number(),
  }),
  lastEvent: z.number(),
});
export type CoordinatorStatus = z.infer<typeof CoordinatorStatus>;
