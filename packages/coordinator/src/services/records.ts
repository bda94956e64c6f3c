import type { Egress } from '@berth/shared/domain/egress';
import { z } from 'zod';
import { Open } from '@berth/shared/domain/signature';
import type { Pin, TenantState } from '@berth/shared/api/schemas';
import type { AccessScope, Role } from '@berth/shared/domain/access';
import type { HostReport, TenantPhase, TenantReport } from '@berth/shared/protocol/report';
import type { Tag } from '@berth/shared/domain/rollout';
import type { Problem } from '@berth/shared/domain/step';
import type { EventKind } from '@berth/shared/domain/events';

/** What the store keeps, as the services see it. Times are milliseconds since 1970, sizes bytes. */

export interface AppRecord {
  app: string;
  /** Newest release. */
  release: number;
  /** Why no rollout of it may go on; null when it may. */
  frozen: string | null;
  /** The release that new tenants begin with; the newest until a rollout has completed. */
  current: number;
  tenants: number;
  createdAt: number;
  updatedAt: number;
}

export interface ReleaseRecord {
  app: string;
  release: number;
  /** Of the compose file and its env files. */
  digest: string;
  services: string[];
  labels: Record<string, string>;
  /** `pinned`: each service has its image's digest among the pins. */
  images: 'pinned' | 'as-named';
  createdAt: number;
  createdBy: string;
}

/** A release with all that was given when it was made. Never changes. */
export interface ReleaseSource extends ReleaseRecord {
  compose: string;
  envFiles: Record<string, string>;
  /** By service; empty when the images are as they are named. */
  pins: Record<string, Pin>;
  variables: Record<string, string>;
  /** Added to it later, and the only thing that is. */
  signature?: KeptSignature | undefined;
}

export const KeptSignature = z.object({
  open: Open,
  by: z.array(z.object({ key: z.string(), value: z.string(), publicKey: z.string() })),
});
export type KeptSignature = z.infer<typeof KeptSignature>;

export interface TenantRecord {
  tenant: string;
  app: string;
  release: number;
  generation: number;
  state: z.infer<typeof TenantState>;
  host: string;
  pool: string;
  domains: string[];
  /** Where its routes hang below each domain; a subdomain of '' is the domain itself. */
  routes: { subdomain: string; path: string }[];
  reservedMemory: number;
  reservedCpus: number;
  /** What a second colour needs beside the first while this tenant moves. */
  surgeMemory: number;
  tags: Tag[];
  /** Why rollouts leave it alone; null when they do not. */
  pinned: string | null;
  /** When rollouts may move it; null: at any time. */
  window: string | null;
  /** `dedicated`: nobody else is on its host. */
  tenancy: 'shared' | 'dedicated';
  /** An operator's word on where it may connect to; null: as its release says. */
  egress: Egress | null;
  createdAt: number;
  updatedAt: number;
}

/** A tenant with what is known of its host and what its agent said last. */
export interface TenantView extends TenantRecord {
  hostName: string;
  connection: Connection;
  ingress: Ingress | null;
  reported: ReportHead | null;
}

export interface ReportHead {
  generation: number;
  live: number | null;
  phase: z.infer<typeof TenantPhase>;
  problem: Problem | null;
  at: number;
}

export type Connection = 'online' | 'offline' | 'never-seen';

export interface Ingress {
  address: string;
  port: number;
}

export interface HostRecord {
  host: string;
  name: string;
  publicKey: string;
  pool: string;
  scheduling: 'open' | 'cordoned';
  connection: Connection;
  lastSeenAt: number | null;
  agentVersion: string | null;
  memoryBytes: number;
  cpus: number;
  ingress: Ingress | null;
  facts: Record<string, string>;
  report: HostReport | null;
  revision: number;
  ackedEpoch: number;
  ackedRevision: number;
  createdAt: number;
}

/** A host with the sums over its tenants. */
export interface HostView extends HostRecord {
  tenants: number;
  reservedMemory: number;
  reservedCpus: number;
  /** The largest surge of any tenant here: room that is kept for one move at a time. */
  largestSurge: number;
  /** The tenant that keeps it to itself. */
  dedicatedTo: string | null;
  /** Of AWS, that it proved to be; null when it came with a token. */
  instance?: string | null;
}

export interface PoolRecord {
  pool: string;
  hosts: number;
  tenants: number;
}

export type Scope = 'app' | 'pool' | 'tenant';

/** Where a variable's value can come from, besides Berth itself and the file: the later one wins. */
export const LAYERS = ['app', 'release', 'pool', 'tenant'] as const;

export interface VariableRecord {
  /** `secret`: not a value but which version there is, as JSON of a SecretRef. */
  scope: (typeof LAYERS)[number] | 'secret';
  name: string;
  value: string;
}

export interface NewEvent {
  kind: EventKind;
  at: number;
  tenant: string | null;
  app: string | null;
  host: string | null;
  generation: number | null;
  message: string;
  details: Record<string, unknown>;
}

export interface EventRecord extends Omit<NewEvent, 'kind'> {
  id: number;
  kind: string;
}

export interface EventFilter {
  app?: string | undefined;
  tenant?: string | undefined;
  host?: string | undefined;
  kind?: string | undefined;
  /** Only what is in it; undefined: everything. */
  scope?: AccessScope | undefined;
}

export interface AuditEntry {
  action: string;
  subject: string;
  before: unknown;
  after: unknown;
}

export interface AuditRow extends AuditEntry {
  id: number;
  at: number;
  actor: string;
  requestId: string;
  /** Of this record and all before it; see `domain/audit.ts`. */
  hash: string;
}

/** What is left out is not asked for. */
export interface AuditFilter {
  /** A token's name or id, a host's id, a rollout's number, or the actor as it is kept. */
  by?: string | undefined;
  /** Such as `tenant.created`, or `tenant` for all of them. */
  action?: string | undefined;
  subject?: string | undefined;
  /** At that time or later. */
  since?: number | undefined;
  /** That number or a later one. */
  from?: number | undefined;
}

/** Who does something, for the audit. */
export interface Actor {
  actor: string;
  requestId: string;
}

export interface TokenRecord {
  id: string;
  name: string;
  role: Role;
  scope: AccessScope;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
}

export interface JoinTokenRecord {
  pool: string;
  expiresAt: number;
  /** The host that was enrolled with it. */
  usedBy: string | null;
}

export interface TenantCounts {
  total: number;
  settled: number;
  moving: number;
  failed: number;
  blocked: number;
  paused: number;
}

export type { TenantReport };
