import type { Generated } from 'kysely';
import type { DatabaseServerRecord, TenantDatabaseRecord } from '../services/database-store.ts';
import type { DesiredEntry } from '../services/fleet-store.ts';
import type { RolloutRecord } from '../services/rollout-store.ts';
import type { RolloutState } from '@berth/shared/domain/rollout';
import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import type { Connection, Scope, TenantRecord, TokenRecord } from '../services/records.ts';

/** Columns as they are stored, the same in both databases: text, whole numbers, doubles; JSON is text. */
export interface Tables {
  meta: MetaTable;
  apps: AppTable;
  releases: ReleaseTable;
  tenants: TenantTable;
  /** The last generation a tenant's name was given, kept after the tenant is gone, so that no number comes twice. */
  generations: { tenant: string; last: number };
  variables: { scope: Scope; owner: string; name: string; value: string; updated_at: number };
  tenant_secrets: SecretTable;
  domains: { domain: string; tenant: string };
  hosts: HostTable;
  desired: {
    host: string;
    tenant: string;
    kind: DesiredEntry['kind'];
    json: string;
    digest: string;
    revision: number;
  };
  observed: ObservedTable;
  rollouts: RolloutTable;
  rollout_tenants: RolloutTenantTable;
  rollout_before: RolloutBeforeTable;
  traffic: TrafficTable;
  tenant_history: HistoryTable;
  events: EventTable;
  event_index: { tenant: string; id: number };
  /** The last event on record of each start of an agent. */
  event_marks: { host: string; start: string; last: number; at: number };
  audit: AuditTable;
  tokens: TokenTable;
  oidc_trust: { id: string; issuer: string; json: string; created_at: number; created_by: string };
  /** Identity tokens that were exchanged, by hash, until they run out: each is good for one exchange. */
  oidc_used: { hash: string; expires_at: number };
  join_tokens: {
    hash: string;
    pool: string;
    created_at: number;
    expires_at: number;
    used_by: string | null;
  };
  pool_signers: { pool: string; version: number; standing: string; json: string; created_at: number };
  database_servers: DatabaseServerTable;
  tenant_databases: TenantDatabaseTable;
  join_rules: { pool: string; aws: string; updated_at: number };
  instances: InstanceTable;
  spent_challenges: { hash: string; expires_at: number };
  /** One row, `id` 1. */
  enrolment_key: { id: number; key: string };
}

/** One row, `id` 1. The counters make event and audit numbers gapless and in order of commit. */
export interface MetaTable {
  id: number;
  epoch: number;
  mode: 'apply' | 'observe';
  reason: string | null;
  last_event: number;
  /** Events up to and with this one are in `event_index`. */
  indexed_event: Generated<number>;
  last_audit: number;
  /** The hash of that record, and so of all of them. */
  audit_head: Generated<string>;
  probed_at: number;
}

export interface AppTable {
  app: string;
  release: number;
  /** Why no rollout may go on. */
  frozen: string | null;
  /** The release that new tenants begin with; null: the newest. */
  current: number | null;
  created_at: number;
  updated_at: number;
}

export interface ReleaseTable {
  app: string;
  release: number;
  digest: string;
  compose: string;
  env_files: string;
  labels: string;
  services: string;
  /** JSON by service; null when its images are not pinned. */
  pins: string | null;
  variables: string | null;
  /** JSON; null when nobody signed it. */
  signature: string | null;
  created_at: number;
  created_by: string;
}

export interface TenantTable {
  tenant: string;
  app: string;
  release: number;
  generation: number;
  state: TenantRecord['state'];
  host: string;
  pool: string;
  domains: string;
  routes: string;
  reserved_memory: number;
  reserved_cpus: number;
  surge_memory: number;
  tags: string;
  pinned: string | null;
  window: string | null;
  tenancy: TenantRecord['tenancy'];
  /** As text; null when nobody has said anything. */
  egress: string | null;
  created_at: number;
  updated_at: number;
}

export interface HostTable {
  host: string;
  name: string;
  public_key: string;
  pool: string;
  scheduling: 'open' | 'cordoned';
  revision: number;
  digest: string;
  acked_epoch: number;
  acked_revision: number;
  memory_bytes: number;
  cpus: number;
  disk_bytes: number;
  ingress_address: string | null;
  ingress_port: number | null;
  facts: string;
  report: string | null;
  agent_version: string | null;
  boot_id: string | null;
  connection: Connection;
  last_seen_at: number | null;
  created_at: number;
}

export interface InstanceTable {
  instance: string;
  host: string;
  account: string;
  region: string;
  role: string;
  image: string;
  enrolled_at: number;
  reenrol_until: number | null;
}

export interface ObservedTable {
  tenant: string;
  host: string;
  generation: number;
  live: number | null;
  phase: string;
  at: number;
  problem: string | null;
  json: string;
}

export interface RolloutTable {
  rollout: number;
  app: string;
  to_release: number;
  policy: string;
  /** Its kind, to find those that are not over; all of it is in `state_json`. */
  state: RolloutState['kind'];
  state_json: string;
  wave: number;
  waves: string;
  forgiven: number;
  reversal: RolloutRecord['reversal'];
  started_by: string;
  created_at: number;
  updated_at: number;
  ended_at: number | null;
  acts: string;
  after_event: number;
}

export interface RolloutTenantTable {
  rollout: number;
  tenant: string;
  wave: number;
  position: number;
  from_release: number;
  from_generation: number;
  progress: string;
  before: string | null;
}

export interface RolloutBeforeTable {
  rollout: number;
  tenant: string;
  json: string;
}

export interface TrafficTable {
  tenant: string;
  generation: number;
  slot: number;
  run: number;
  requests: number;
  errors: number;
  latency: string;
}

export interface HistoryTable {
  tenant: string;
  /** Counted from 1 for each tenant. */
  entry: number;
  generation: number;
  at: number;
  actor: string;
  what: TenantHistoryEntry['what'];
  release: number;
  rollout: number | null;
  ms: number | null;
  message: string;
}

export interface EventTable {
  id: number;
  at: number;
  kind: string;
  tenant: string | null;
  app: string | null;
  host: string | null;
  generation: number | null;
  message: string;
  details: string;
  /** The agent's own id, unique per host, where it is not one that `event_marks` counts; else null. */
  source: string | null;
}

export interface AuditTable {
  id: number;
  at: number;
  actor: string;
  action: string;
  subject: string;
  request_id: string;
  before: string;
  after: string;
  hash: string;
}

/** Either `reference`, or the three of what is sealed. */
export interface SecretTable {
  tenant: string;
  name: string;
  version: number;
  id: string;
  reference: string | null;
  key_name: string | null;
  wrapped: string | null;
  box: string | null;
  created_at: number;
  created_by: string;
}

export interface DatabaseServerTable {
  server: string;
  host: string;
  port: number;
  username: string;
  database: string;
  sslmode: string;
  sslrootcert: string | null;
  version: string;
  standing: DatabaseServerRecord['standing'];
  secret_version: number;
  secret_id: string;
  created_at: number;
  checked_at: number;
}

export interface TenantDatabaseTable {
  tenant: string;
  app: string;
  pool: string;
  server: string;
  mark: string;
  role: string;
  database: string;
  own_schema: string | null;
  connections: number;
  state: TenantDatabaseRecord['state'];
  secret_id: string;
  created_at: number;
}

export interface TokenTable {
  id: string;
  name: string;
  role: TokenRecord['role'];
  hash: string;
  /** JSON; null: everything. */
  scope: string | null;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
}
