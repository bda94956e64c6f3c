import type { Kysely } from 'kysely';
import {
  addTraffic,
  LATENCY_BOUNDS_MS,
  type Traffic,
  type TrafficSample,
} from '@berth/shared/domain/traffic';
import { BerthError } from '@berth/shared/domain/errors';
import type { RolloutReads, RolloutWrites, TrafficRow } from '../services/rollout-store.ts';
import { batchStatement, listStatement } from './batch.ts';
import type { Dialect } from './dialect.ts';
import type { Tables, TrafficTable } from './tables.ts';
import { toldNumber } from './told.ts';

type Db = Kysely<Tables>;

export interface TrafficRecords {
  reads(db: Db): Pick<RolloutReads, 'traffic'>;
  writes(db: Db): Pick<RolloutWrites, 'pruneTraffic'>;
}

export function createTrafficRecords(dialect: Dialect): TrafficRecords {
  const read = listStatement<Omit<TrafficTable, 'run'>>(
    dialect,
    ['text', 'bigint'],
    (tenants) => `
      select t.tenant, t.generation, t.slot, t.requests, t.errors, t.latency
      from ${tenants} join traffic t on t.tenant = list.c0 and t.slot >= list.c1
      order by t.tenant, t.slot, t.generation`,
  );
  return {
    reads: (db) => ({
      async traffic(tenants, since) {
        const rows = await read(
          db,
          [...new Set(tenants)].map((tenant) => [tenant, since]),
        );
        const summed: TrafficRow[] = [];
        for (const row of rows) {
          const { tenant, generation, slot, requests, errors } = row;
          const traffic = { requests, errors, ...latencyOf(row.latency) };
          const last = summed.at(-1);
          if (last?.tenant === tenant && last.generation === generation && last.slot === slot)
            last.traffic = addTraffic(last.traffic, traffic);
          else summed.push({ tenant, generation, slot, traffic });
        }
        return summed;
      },
    }),
    writes: (db) => ({
      async pruneTraffic(before) {
        await db.deleteFrom('traffic').where('slot', '<', before).execute();
      },
    }),
  };
}

/** One host's samples, as agents report them. */
export interface HostSamples {
  host: string;
  traffic: readonly TrafficSample[];
}

/** Writes the last sample of each key; those of a tenant that is not, or no longer, on the host that speaks are dropped. */
export function createTrafficIngest(
  dialect: Dialect,
): (db: Db, batch: readonly HostSamples[]) => Promise<void> {
  // Counts only grow within a run, so a sample that is told again late does not undo a newer one.
  const upsert = batchStatement(
    dialect,
    ['text', 'text', 'bigint', 'bigint', 'bigint', 'bigint', 'bigint', 'text'],
    `insert into traffic (tenant, generation, slot, run, requests, errors, latency)
     select v.column2, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8 from`,
    `join tenants t on t.tenant = v.column2 and t.host = v.column1 where true
     on conflict (tenant, slot, generation, run) do update set requests = excluded.requests,
       errors = excluded.errors, latency = excluded.latency
     where excluded.requests >= traffic.requests`,
  );
  return async (db, batch) => {
    const newest = new Map<string, (string | number)[]>();
    for (const { host, traffic } of batch)
      for (const sample of traffic) {
        const slot = toldNumber(sample.slot);
        const run = toldNumber(sample.run);
        const { requests, errors, latency, lost = 0 } = sample.traffic;
        newest.set(`${sample.tenant} ${sample.generation} ${slot} ${run} ${host}`, [
          host,
          sample.tenant,
          sample.generation,
          slot,
          run,
          requests,
          errors,
          // What was lost stands behind the buckets, where there is any.
          JSON.stringify(lost > 0 ? [...latency, lost] : latency),
        ]);
      }
    // In one order everywhere, so that two coordinators do not wait for each other's rows.
    const rows = newest.size < 2 ? [...newest] : [...newest].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    await upsert(
      db,
      rows.map(([, row]) => row),
    );
  };
}

/** Read by hand: a day of a wave's tenants is tens of thousands of these. */
function latencyOf(json: string): Pick<Traffic, 'latency' | 'lost'> {
  const found: unknown = JSON.parse(json);
  const latency: number[] = [];
  if (Array.isArray(found)) for (const count of found) if (typeof count === 'number') latency.push(count);
  const buckets = LATENCY_BOUNDS_MS.length + 1;
  if (latency.length === buckets) return { latency };
  const lost = latency.pop();
  if (latency.length === buckets && lost !== undefined) return { latency, lost };
  throw new BerthError('internal', 'A latency histogram in the database has another number of buckets.');
}
