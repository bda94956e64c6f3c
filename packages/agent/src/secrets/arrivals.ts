import type { DesiredTenant } from '@berth/shared/domain/desired';
import { messageOf } from '@berth/shared/domain/errors';
import type { SecretPlace } from '@berth/shared/domain/secret';
import type { Secrets as SecretsMessage } from '@berth/shared/protocol/messages';
import type { Log } from '../state/ports.ts';
import type { SealedStore } from './sealed-store.ts';
import type { SecretSet } from './sets.ts';
import type { Wants } from './wants.ts';

/** What desired state refers to, and what comes of it from the coordinator. */
export interface Arrivals {
  /** Remembers what these tenants refer to now, and asks for what is missing of it. */
  expect(tenants: readonly DesiredTenant[]): Promise<void>;
  /** What a tenant refers to, less references, which the host resolves itself. */
  expected(tenant: string): readonly SecretPlace[];
  /** Whether all of a set is what is wanted now: then its container may be about to be made. */
  isExpected(set: SecretSet): boolean;
  /** Keeps what was asked for and opens here. */
  receive(message: SecretsMessage): Promise<void>;
  forget(tenant: string): void;
}

export function createArrivals(deps: {
  sealed: SealedStore;
  wants: Wants;
  hostId: () => string;
  log: Log;
  onCame: ((tenants: readonly string[]) => void) | undefined;
}): Arrivals {
  const { sealed, wants, log } = deps;
  const known = new Map<string, { places: readonly SecretPlace[]; ids: ReadonlySet<string> }>();

  return {
    async expect(tenants) {
      const missing: SecretPlace[] = [];
      for (const { tenant, spec } of tenants) {
        const places: SecretPlace[] = [];
        const ids = new Set<string>();
        for (const service of spec.services)
          for (const ref of [...(service.secrets ?? []), ...Object.values(service.secretEnv ?? {})]) {
            const { name, version, id } = ref;
            ids.add(id);
            if (ref.from === undefined) places.push({ tenant, name, version, id });
          }
        if (ids.size === 0) known.delete(tenant);
        else known.set(tenant, { places, ids });
        for (const place of places) if (!(await sealed.has(place))) missing.push(place);
      }
      wants.add(missing);
    },
    expected: (tenant) => known.get(tenant)?.places ?? [],
    isExpected(set) {
      const ids = known.get(set.tenant)?.ids;
      return ids !== undefined && [...set.files, ...set.env].every(({ id }) => ids.has(id));
    },
    async receive({ secrets }) {
      const came = new Set<string>();
      for (const { given, ...place } of secrets) {
        // Nobody asked, or not any more.
        if (!wants.has(place)) continue;
        if (given.kind === 'refused') {
          wants.refused(place, given.message);
          continue;
        }
        try {
          await sealed.keep(place, deps.hostId(), given.box);
          wants.came(place);
          came.add(place.tenant);
        } catch (thrown) {
          log.error({ tenant: place.tenant, secret: place.name }, messageOf(thrown));
          wants.refused(place, messageOf(thrown));
        }
      }
      if (came.size > 0) deps.onCame?.([...came]);
    },
    forget: (tenant) => void known.delete(tenant),
  };
}
