import { CompiledQuery, type Kysely } from 'kysely';
import type { RolloutReads, TenantFactRecord } from '../services/rollout-store.ts';
import { listStatement } from './batch.ts';
import type { Dialect } from './dialect.ts';
import { phase, rolloutProblem, texts } from './json.ts';
import type { HostTable, ObservedTable, Tables, TenantTable } from './tables.ts';

type Db = Kysely<Tables>;

interface Row extends Pick<
  TenantTable,
  'tenant' | 'app' | 'release' | 'generation' | 'state' | 'host' | 'tags' | 'pinned' | 'window'
> {
  host_name: string;
  connection: HostTable['connection'];
  reported_generation: number | null;
  live: number | null;
  phase: ObservedTable['phase'] | null;
  problem: string | null;
}

const factOf = (row: Row): TenantFactRecord => ({
  tenant: row.tenant,
  app: row.app,
  release: row.release,
  generation: row.generation,
  state: row.state,
  host: row.host,
  hostName: row.host_name,
  connection: row.connection === 'online' ? 'online' : 'offline',
  tags: row.tags === '[]' ? [] : texts(row.tags),
  pinned: row.pinned,
  window: row.window,
  reported:
    row.reported_generation === null || row.phase === null
      ? null
      : {
          generation: row.reported_generation,
          live: row.live,
          phase: phase(row.phase),
          problem: rolloutProblem(row.problem),
        },
});

const COLUMNS = `t.tenant, t.app, t.release, t.generation, t.state, t.host, t.tags, t.pinned, t."window",
  h.name as host_name, h.connection, o.generation as reported_generation, o.live, o.phase, o.problem`;
const JOINED = `join hosts h on h.host = t.host left join observed o on o.tenant = t.tenant and o.host = t.host`;

export interface TenantFacts {
  reads(db: Db): Pick<RolloutReads, 'tenantFacts' | 'tenantFactsOfApp'>;
}

/** Tenants as rollouts see them, many in one statement that is prepared once. */
export function createTenantFacts(dialect: Dialect): TenantFacts {
  const named = listStatement<Row>(
    dialect,
    ['text'],
    (tenants) =>
      `select ${COLUMNS} from ${tenants} join tenants t on t.tenant = list.c0 ${JOINED} order by t.tenant`,
  );
  const ofApp = `select ${COLUMNS} from tenants t ${JOINED} where t.app = ${dialect.placeholder(0)} order by t.tenant`;
  return {
    reads: (db) => ({
      async tenantFacts(tenants) {
        return (await named(db, [...new Set(tenants)])).map(factOf);
      },
      async tenantFactsOfApp(app) {
        const { rows } = await db.executeQuery<Row>(CompiledQuery.raw(ofApp, [app]));
        return rows.map(factOf);
      },
    }),
  };
}
