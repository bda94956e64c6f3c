import type { SignedSigners } from '@berth/shared/domain/signers';
import type { TrafficSample } from '@berth/shared/domain/traffic';
import type { Hello, SignersFacts } from '@berth/shared/protocol/messages';
import type { AgentEvent, HostReport, TenantReport } from '@berth/shared/protocol/report';

/** What the fleet service needs kept. Every write is durable when its promise resolves. */
export interface FleetStore {
  epoch(): Promise<EpochRecord>;
  /**
   * Raises the epoch, also above `above` (an agent may know a later one than a restored database does), and enters
   * observe-only mode. While already observing in an epoch above `above` it changes nothing.
   */
  enterObserveOnly(reason: string, at: number, above?: number): Promise<EpochRecord>;

  /** The one read that a connect costs, for all that connect together; who is not enrolled is left out. */
  hostsForHello(hosts: readonly string[]): Promise<ReadonlyMap<string, HelloRecord>>;
  enrolledHosts(): Promise<number>;
  /** In one transaction: what hosts said on connecting, and which of them went away. */
  noteConnections(notes: readonly ConnectionNote[]): Promise<void>;

  /** The signed statements of whose releases a pool runs, oldest first. */
  poolSigners(pool: string): Promise<SignedSigners[]>;

  /** All of one host's desired state, read in one snapshot. */
  desiredAll(host: string): Promise<DesiredSnapshot>;
  /** The entries changed after each cursor, all hosts in one query; a host that is up to date is left out. */
  desiredSince(cursors: readonly DesiredCursor[]): Promise<ReadonlyMap<string, DesiredSnapshot>>;

  recordAcks(acks: readonly AckRecord[]): Promise<void>;

  /**
   * In one transaction: newest report per tenant by its time, whatever its generation (older ones and those of a tenant
   * that left the host are dropped), the last traffic sample of each key, events (repeated ids dropped), host reports. Resolves with the events that were new, with their numbers.
   */
  ingest(batch: readonly IngestRecord[]): Promise<void>;

  /** Confirms a proposed tombstone; raises the host's revision. False when there is none of that generation. */
  confirmTombstone(
    host: string,
    tenant: string,
    generation: number,
    containers: readonly string[],
    at: number,
  ): Promise<'confirmed' | 'unknown'>;
  /** The agent said the tenant is gone: the tombstone becomes `forget`, the tenant and its domains are free. */
  finishRemoval(host: string, tenant: string, generation: number, at: number): Promise<void>;
}

export interface EpochRecord {
  epoch: number;
  mode: 'apply' | 'observe';
  reason: string | null;
}

export interface HelloRecord {
  host: string;
  name: string;
  /** Ed25519, SPKI DER, base64. */
  publicKey: string;
  revision: number;
  digest: string;
  pool: string;
  /** Which statement of whose releases its pool runs is the newest; null: there is none. */
  signers: string | null;
}

export type ConnectionNote =
  | { kind: 'online'; host: string; hello: Hello; at: number }
  | { kind: 'offline'; host: string; at: number }
  | { kind: 'superseded'; host: string; at: number }
  /** What its hello said of whose releases it runs is otherwise now. */
  | { kind: 'signers'; host: string; at: number; facts: SignersFacts }
  /** The agent has a later state than is known here, and is held alone. */
  | { kind: 'ahead'; host: string; at: number; epoch: number; revision: number };

export interface DesiredCursor {
  host: string;
  revision: number;
}

export interface DesiredEntry {
  kind: 'tenant' | 'tombstone' | 'forgotten';
  tenant: string;
  /** The entry as JSON text, ready for the wire; empty for `forgotten`. */
  json: string;
}

export interface DesiredSnapshot {
  revision: number;
  digest: string;
  entries: readonly DesiredEntry[];
}

export interface AckRecord {
  host: string;
  epoch: number;
  revision: number;
  at: number;
}

export interface IngestRecord {
  host: string;
  at: number;
  tenants: readonly TenantReport[];
  events: readonly AgentEvent[];
  report: HostReport | null;
  traffic: readonly TrafficSample[];
}
