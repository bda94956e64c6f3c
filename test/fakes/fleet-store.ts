import {
  EMPTY_DIGEST,
  entryDigest,
  toggleDigest,
  type DesiredTenant,
  type Tombstone,
} from '@berth/shared/domain/desired';
import type { AgentEvent, HostReport, TenantReport } from '@berth/shared/protocol/report';
import type {
  AckRecord,
  ConnectionNote,
  DesiredCursor,
  DesiredEntry,
  DesiredSnapshot,
  EpochRecord,
  FleetStore,
  HelloRecord,
  IngestRecord,
} from '@berth/coordinator/services/fleet-store';

interface KeptEntry {
  revision: number;
  kind: DesiredEntry['kind'];
  generation: number;
  digest: string;
  json: string;
  tombstone: Tombstone | null;
}

interface KeptHost {
  publicKey: string;
  revision: number;
  digest: string;
  entries: Map<string, KeptEntry>;
}

/** A fleet store in memory, for tests: what it holds can be looked at, and it can be made to fail or to wait. */
export class MemoryFleetStore implements FleetStore {
  record: EpochRecord = { epoch: 1, mode: 'apply', reason: null };
  readonly hosts = new Map<string, KeptHost>();
  readonly notes: ConnectionNote[] = [];
  readonly acks: AckRecord[] = [];
  readonly reports = new Map<string, TenantReport>();
  readonly events = new Map<string, AgentEvent>();
  readonly hostReports = new Map<string, HostReport>();
  readonly removed: string[] = [];
  readonly confirmations: { host: string; tenant: string; containers: readonly string[] }[] = [];
  readonly calls: Record<string, number> = {};
  /** While set, every call throws this. */
  failure: Error | null = null;
  /** Awaited by every call. */
  gate: Promise<void> = Promise.resolve();

  enrol(host: string, publicKey: string): void {
    this.hosts.set(host, { publicKey, revision: 0, digest: EMPTY_DIGEST, entries: new Map() });
  }

  /** Puts tenants, one revision for all of them. */
  put(host: string, tenants: readonly DesiredTenant[]): void {
    const kept = this.#host(host);
    kept.revision += 1;
    for (const tenant of tenants)
      this.#write(kept, tenant.tenant, {
        revision: kept.revision,
        kind: 'tenant',
        generation: tenant.generation,
        digest: entryDigest(tenant),
        json: JSON.stringify(tenant),
        tombstone: null,
      });
  }

  bury(host: string, tombstone: Tombstone): void {
    const kept = this.#host(host);
    kept.revision += 1;
    this.#write(kept, tombstone.tenant, {
      revision: kept.revision,
      kind: 'tombstone',
      generation: tombstone.generation,
      digest: entryDigest(tombstone),
      json: JSON.stringify(tombstone),
      tombstone,
    });
  }

  /** As if restored from a backup that was made when the store looked like `copy`. */
  restore(copy: MemoryFleetStore): void {
    this.record = { ...copy.record };
    this.hosts.clear();
    for (const [host, kept] of copy.hosts) this.hosts.set(host, { ...kept, entries: new Map(kept.entries) });
  }

  copy(): MemoryFleetStore {
    const copy = new MemoryFleetStore();
    copy.restore(this);
    return copy;
  }

  async epoch(): Promise<EpochRecord> {
    await this.#call('epoch');
    return this.record;
  }

  async enterObserveOnly(reason: string, _at: number, above = 0): Promise<EpochRecord> {
    await this.#call('enterObserveOnly');
    if (this.record.mode === 'observe' && this.record.epoch > above) return this.record;
    this.record = { epoch: Math.max(this.record.epoch, above) + 1, mode: 'observe', reason };
    return this.record;
  }

  async hostsForHello(hosts: readonly string[]): Promise<ReadonlyMap<string, HelloRecord>> {
    await this.#call('hostsForHello');
    const found = new Map<string, HelloRecord>();
    for (const host of hosts) {
      const kept = this.hosts.get(host);
      if (kept === undefined) continue;
      const { publicKey, revision, digest } = kept;
      found.set(host, { host, name: host, publicKey, revision, digest, pool: 'default', signers: null });
    }
    return found;
  }

  async enrolledHosts(): Promise<number> {
    await this.#call('enrolledHosts');
    return this.hosts.size;
  }

  async noteConnections(notes: readonly ConnectionNote[]): Promise<void> {
    await this.#call('noteConnections');
    this.notes.push(...notes);
  }

  async poolSigners(): Promise<never[]> {
    await this.#call('poolSigners');
    return [];
  }

  async desiredAll(host: string): Promise<DesiredSnapshot> {
    await this.#call('desiredAll');
    return this.#since(host, null);
  }

  async desiredSince(cursors: readonly DesiredCursor[]): Promise<ReadonlyMap<string, DesiredSnapshot>> {
    await this.#call('desiredSince');
    const behind = cursors.filter(({ host, revision }) => this.#host(host).revision > revision);
    return new Map(behind.map(({ host, revision }) => [host, this.#since(host, revision)]));
  }

  async recordAcks(acks: readonly AckRecord[]): Promise<void> {
    await this.#call('recordAcks');
    this.acks.push(...acks);
  }

  async ingest(batch: readonly IngestRecord[]): Promise<void> {
    await this.#call('ingest');
    for (const { host, tenants, events, report } of batch) {
      for (const tenant of tenants) this.reports.set(`${host}/${tenant.tenant}`, tenant);
      for (const event of events) this.events.set(`${host}/${event.id}`, event);
      if (report !== null) this.hostReports.set(host, report);
    }
  }

  async confirmTombstone(
    host: string,
    tenant: string,
    generation: number,
    containers: readonly string[],
  ): Promise<'confirmed' | 'unknown'> {
    await this.#call('confirmTombstone');
    const entry = this.hosts.get(host)?.entries.get(tenant);
    if (entry?.tombstone === null || entry?.tombstone === undefined || entry.generation !== generation)
      return 'unknown';
    this.confirmations.push({ host, tenant, containers });
    if (entry.tombstone.state === 'proposed') this.bury(host, { ...entry.tombstone, state: 'confirmed' });
    return 'confirmed';
  }

  async finishRemoval(host: string, tenant: string, generation: number): Promise<void> {
    await this.#call('finishRemoval');
    const kept = this.#host(host);
    const entry = kept.entries.get(tenant);
    if (entry?.kind !== 'tombstone' || entry.generation !== generation) return;
    kept.revision += 1;
    this.#write(kept, tenant, {
      revision: kept.revision,
      kind: 'forgotten',
      generation,
      digest: EMPTY_DIGEST,
      json: '',
      tombstone: null,
    });
    this.removed.push(tenant);
  }

  #write(kept: KeptHost, tenant: string, entry: KeptEntry): void {
    const before = kept.entries.get(tenant);
    if (before !== undefined) kept.digest = toggleDigest(kept.digest, before.digest);
    kept.digest = toggleDigest(kept.digest, entry.digest);
    kept.entries.set(tenant, entry);
  }

  #since(host: string, revision: number | null): DesiredSnapshot {
    const kept = this.#host(host);
    const entries: DesiredEntry[] = [];
    for (const [tenant, entry] of kept.entries) {
      if (revision === null ? entry.kind === 'forgotten' : entry.revision <= revision) continue;
      entries.push({ kind: entry.kind, tenant, json: entry.json });
    }
    return { revision: kept.revision, digest: kept.digest, entries };
  }

  #host(host: string): KeptHost {
    const kept = this.hosts.get(host);
    if (kept === undefined) throw new Error(`no host ${host} in this store`);
    return kept;
  }

  async #call(name: string): Promise<void> {
    this.calls[name] = (this.calls[name] ?? 0) + 1;
    await this.gate;
    if (this.failure !== null) throw this.failure;
  }
}
