import type { Trust } from '@berth/shared/api/oidc';
import type { AccessScope } from '@berth/shared/domain/access';
import type { ChainHead } from '@berth/shared/domain/audit';
import type { DesiredTenant, Tombstone } from '@berth/shared/domain/desired';
import type { BulkReads, BulkWrites } from './bulk-store.ts';
import type { EnrolmentKeys, EnrolReads, EnrolWrites } from './enrol-store.ts';
import type { EpochRecord, FleetStore } from './fleet-store.ts';
import type {
  KeptSignature,
  Actor,
  AppRecord,
  AuditEntry,
  AuditFilter,
  AuditRow,
  EventFilter,
  EventRecord,
  HostRecord,
  HostView,
  JoinTokenRecord,
  NewEvent,
  PoolRecord,
  ReleaseRecord,
  ReleaseSource,
  Scope,
  TenantCounts,
  TenantRecord,
  TenantReport,
  TenantView,
  TokenRecord,
  VariableRecord,
} from './records.ts';
import type { RolloutReads, RolloutWrites } from './rollout-store.ts';
import type { DatabaseReads, DatabaseWrites } from './database-store.ts';
import type { SecretReads, SecretWrites } from './secret-store.ts';
import type { SignersReads, SignersWrites } from './signers-store.ts';

/** All that is kept, in SQLite or PostgreSQL alike. Reads here see what is committed. */
export interface Store extends StoreReads, EnrolmentKeys {
  readonly kind: 'sqlite' | 'postgres';
  readonly fleet: FleetStore;
  /**
   * One transaction. What `work` answers decides: with an `audit` entry the record is written beside the change and all
   * of it is durable when the promise resolves; with `bookkeeping` the change is kept without one, since nobody did it and
   * it changes nothing that an operator sees as one step; with `audit: null` nothing was changed, and the transaction is
   * rolled back. `work` may run again when the database asks for it (a deadlock on PostgreSQL), so it must only touch `tx`.
   */
  mutate<T>(by: Actor, at: number, work: (tx: StoreWrites) => Promise<Mutation<T>>): Promise<T>;
  /** Called with the events of each commit of this process, in the order of the commits. Answers the way to stop it. */
  onEvents(listener: (events: readonly EventRecord[]) => void): () => void;
  /** Coarse bookkeeping that nobody audits: when a token was last used. */
  touchToken(id: string, at: number): Promise<void>;
  /** At start, before any agent connects: nobody is online. */
  resetConnections(): Promise<void>;
  /** Writes one row, to know that writing works. */
  probe(at: number): Promise<void>;
  close(): Promise<void>;
}

export interface Mutation<T> {
  result: T;
  audit: AuditEntry | 'bookkeeping' | null;
}

export interface Page {
  after?: string | undefined;
  limit: number;
  /** Only what is in it; undefined: everything. */
  scope?: AccessScope | undefined;
}

export interface StoreReads
  extends SecretReads, RolloutReads, BulkReads, EnrolReads, SignersReads, DatabaseReads {
  epoch(): Promise<EpochRecord>;

  /** Hosts that have not acknowledged their newest desired state, and by how many revisions the furthest is behind. */
  lag(): Promise<{ hosts: number; revisions: number }>;
  totals(scope?: AccessScope): Promise<{ apps: number; hosts: { total: number; online: number } }>;

  /** Inside a transaction it is held until its end: of two that begin a rollout of it, the second sees the first's. */
  app(app: string): Promise<AppRecord | null>;
  apps(page: Page): Promise<AppRecord[]>;
  release(app: string, release: number): Promise<ReleaseSource | null>;
  /** Hosts that said that they run signed releases only, with hints at the keys that they accept. */
  signingHosts(): Promise<ReadonlyMap<string, readonly string[]>>;
  /** Newest first, below `before`. */
  releases(app: string, before: number | undefined, limit: number): Promise<ReleaseRecord[]>;

  tenant(tenant: string): Promise<TenantRecord | null>;
  tenantView(tenant: string): Promise<TenantView | null>;
  tenantViews(
    filter: { app?: string | undefined; host?: string | undefined; scope?: AccessScope | undefined },
    page: Page,
  ): Promise<TenantView[]>;
  tenantReport(tenant: string): Promise<TenantReport | null>;
  tenantCounts(scope?: AccessScope): Promise<TenantCounts>;
  /**
   * The highest generation that a tenant of this name was ever given, as far as is known here or its host has said; 0
   * when there was none. What is desired may be an earlier one.
   */
  lastGeneration(tenant: string): Promise<number>;
  /** Tenants whose hosts speak of a later generation than was ever given here: after a restore from an older backup. */
  tenantsAhead(): Promise<string[]>;
  /** What is desired of the tenant on its host; null when it is being removed. */
  desiredTenant(host: string, tenant: string): Promise<DesiredTenant | null>;
  /** The rows of all scopes that reach one tenant. */
  variables(of: { app: string; pool: string; tenant: string }): Promise<VariableRecord[]>;

  /** Pools that a host or a tenant is in, or that have variables; by name. */
  pools(page: Page): Promise<PoolRecord[]>;
  pool(pool: string): Promise<PoolRecord | null>;
  /** What the tenants of an app or of a pool share, by the owner's name. */
  sharedVariables(
    scope: 'app' | 'pool',
    owners: readonly string[],
  ): Promise<ReadonlyMap<string, Record<string, string>>>;

  host(host: string): Promise<HostView | null>;
  hosts(page: Page): Promise<HostView[]>;
  hostByKey(publicKey: string): Promise<HostRecord | null>;

  lastEvent(): Promise<number>;
  /** Oldest first after `after`; without `after` the newest, still oldest first. */
  events(filter: EventFilter, after: number | undefined, limit: number): Promise<EventRecord[]>;
  /** Newest first. */
  audit(before: number | undefined, limit: number, filter?: AuditFilter): Promise<AuditRow[]>;
  /** Oldest first. */
  auditAfter(after: number, limit: number, filter?: AuditFilter): Promise<AuditRow[]>;
  /** The last record's number and hash, which stands for all of them. */
  auditHead(): Promise<ChainHead>;

  tokens(): Promise<TokenRecord[]>;
  tokenByHash(hash: string): Promise<TokenRecord | null>;
  /** In the order in which they were added. */
  trusts(): Promise<Trust[]>;
  joinToken(hash: string): Promise<JoinTokenRecord | null>;
}

export type DesiredPut =
  | { kind: 'tenant'; entry: DesiredTenant }
  | { kind: 'tombstone'; entry: Tombstone }
  | { kind: 'forgotten'; tenant: string };

/** What can be done inside `mutate`. */
export interface StoreWrites
  extends StoreReads, SecretWrites, RolloutWrites, BulkWrites, EnrolWrites, SignersWrites, DatabaseWrites {
  setMode(mode: 'apply' | 'observe', reason: string | null): Promise<void>;

  insertApp(app: string, at: number): Promise<void>;
  insertRelease(release: ReleaseSource): Promise<void>;
  setSignature(app: string, release: number, signature: KeptSignature): Promise<void>;
  /** With its releases and variables. The caller has seen that no tenant has it. */
  deleteApp(app: string): Promise<void>;

  /** Reads a tenant so that nobody else changes it until the transaction ends. */
  lockTenant(tenant: string): Promise<TenantRecord | null>;
  /**
   * The number that a new tenant of this name begins with: none that the name had before. In a later epoch it begins far
   * above, since the tenants that a restored coordinator forgot may still run.
   */
  firstGeneration(tenant: string): Promise<number>;
  insertTenant(tenant: TenantRecord): Promise<void>;
  updateTenant(tenant: TenantRecord): Promise<void>;
  /** Takes the domains for this tenant and gives back those it had; the first that somebody else has is answered. */
  claimDomains(tenant: string, domains: readonly string[]): Promise<string | null>;
  /** True when the value was another before. `null` takes it away. */
  setVariable(scope: Scope, owner: string, name: string, value: string | null, at: number): Promise<boolean>;
  /** Writes one entry of a host's desired state, its revision and its digest. Answers the new revision. */
  putDesired(host: string, put: DesiredPut): Promise<number>;

  /** The hosts of a pool, or one host, with their sums, held until the transaction ends. */
  lockHosts(which: { pool: string } | { host: string }): Promise<HostView[]>;
  insertHost(host: Pick<HostRecord, 'host' | 'name' | 'publicKey' | 'pool' | 'createdAt'>): Promise<void>;
  setScheduling(host: string, scheduling: 'open' | 'cordoned'): Promise<void>;
  /** With what was desired of it. The caller has seen that it carries no tenant. */
  deleteHost(host: string): Promise<void>;

  addEvents(events: readonly NewEvent[]): Promise<void>;

  insertToken(token: TokenRecord, hash: string): Promise<void>;
  insertTrust(rule: Trust): Promise<void>;
  deleteTrust(id: string): Promise<void>;
  /** Notes that an identity token was exchanged, and forgets those that have run out and what they were given. */
  useIdentity(hash: string, expiresAt: number, at: number): Promise<'fresh' | 'used'>;
  deleteToken(id: string): Promise<TokenRecord | null>;
  insertJoinToken(hash: string, pool: string, at: number, expiresAt: number): Promise<void>;
  useJoinToken(hash: string, host: string): Promise<void>;
}
