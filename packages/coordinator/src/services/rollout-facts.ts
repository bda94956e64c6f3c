import { parseWindow, type Window } from '@berth/shared/domain/window';
import type { Traffic } from '@berth/shared/domain/traffic';
import type { Counted, Facts, TenantFact } from '../rollout/types.ts';
import type { TenantFactRecord } from './rollout-store.ts';

/** What is known now of the tenants of one rollout, by tenant and by host. */
export interface FactBook extends Facts {
  frozen: string | null;
  ahead: number | null;
  /** Puts in what was read of these tenants; those that were asked for and not found are no more. */
  put(asked: readonly string[], found: readonly TenantFactRecord[]): void;
  /** What we ourselves have just made of it. */
  told(tenant: string, now: { release: number; generation: number }): void;
  setAfter(tenant: string, after: Traffic | null): void;
  /** What is said from now on of a wave's counts; of any other they are awaited. */
  setCounted(wave: number, until: number, counted: Counted): void;
  onHost(host: string): ReadonlySet<string>;
  hostName(tenant: string): string;
}

/** `tenants`: those it will be asked for. */
export function createFactBook(tenants: readonly string[]): FactBook {
  // The names that the rollout itself holds are the keys: looking up the very same string compares no characters.
  const facts = new Map<string, TenantFact | null>(tenants.map((tenant) => [tenant, null]));
  const names = new Map<string, string>();
  const hosts = new Map<string, Set<string>>();
  let last: { wave: number; until: number; counted: Counted } | null = null;

  function forget(tenant: string): void {
    const known = facts.get(tenant);
    if (known === undefined || known === null) return;
    hosts.get(known.host)?.delete(tenant);
    facts.set(tenant, null);
  }

  return {
    frozen: null,
    ahead: null,
    tenant: (name) => facts.get(name) ?? null,
    put(asked, found) {
      const here = new Set(found.map((each) => each.tenant));
      for (const tenant of asked) if (!here.has(tenant)) forget(tenant);
      for (const record of found) {
        const known = facts.get(record.tenant) ?? null;
        if (known !== null && known.host !== record.host) forget(record.tenant);
        const after = known?.generation === record.generation ? known.after : null;
        facts.set(record.tenant, factOf(record, after));
        names.set(record.host, record.hostName);
        const mates = hosts.get(record.host);
        if (mates === undefined) hosts.set(record.host, new Set([record.tenant]));
        else mates.add(record.tenant);
      }
    },
    told(tenant, { release, generation }) {
      const known = facts.get(tenant) ?? null;
      if (known !== null) facts.set(tenant, { ...known, release, generation, after: null });
    },
    setAfter(tenant, after) {
      const known = facts.get(tenant) ?? null;
      if (known !== null) facts.set(tenant, { ...known, after });
    },
    counted: (wave, until) =>
      last?.wave === wave && last.until === until ? last.counted : { kind: 'awaited' },
    setCounted(wave, until, counted) {
      last = { wave, until, counted };
    },
    onHost: (host) => hosts.get(host) ?? NOBODY,
    hostName: (tenant) => names.get(facts.get(tenant)?.host ?? '') ?? '',
  };
}

const NOBODY: ReadonlySet<string> = new Set();

export function factOf(record: TenantFactRecord, after: Traffic | null): TenantFact {
  const { host, connection, release, generation, state, pinned, reported } = record;
  return {
    host,
    connection,
    release,
    generation,
    state,
    pinned,
    window: windowOf(record.window),
    reported,
    after,
  };
}

const windows = new Map<string, Window | null>();
const MOST_WINDOWS = 1_000;

/** Windows are few and written again and again. One that cannot be read any more bars nobody. */
function windowOf(text: string | null): Window | null {
  if (text === null) return null;
  const known = windows.get(text);
  if (known !== undefined) return known;
  const parsed = parseWindow(text);
  const window = parsed.ok ? parsed.window : null;
  if (windows.size >= MOST_WINDOWS) windows.clear();
  windows.set(text, window);
  return window;
}
