import { setImmediate as breathe } from 'node:timers/promises';
import type { PlannedTenant, PlanRollout, RolloutPlan } from '@berth/shared/api/rollouts';
import { BerthError } from '@berth/shared/domain/errors';
import type { RolloutPolicy, TenantProgress } from '@berth/shared/domain/rollout';
import { notRising } from '@berth/shared/domain/waves-text';
import type { z } from 'zod';
import { skipReason } from '../rollout/eligible.ts';
import type { Rollout, RolloutTenant } from '../rollout/types.ts';
import { foundApp } from './apps.ts';
import { changesBetween } from './diff.ts';
import type { AppRecord, ReleaseSource, TenantRecord, VariableRecord } from './records.ts';
import { withAddressStandIn } from './database-look.ts';
import { factOf } from './rollout-facts.ts';
import type { TenantFactRecord } from './rollout-store.ts';
import { refusingPool } from './pool-signed.ts';
import { lostRoutes } from './rollout-routes.ts';
import { signatureWarning } from './release-sign.ts';
import { waveMembers } from './rollout-waves.ts';
import type { StoreReads } from './store.ts';
import { renderRows, routesOf } from './tenant-state.ts';
import type { TemplateCache } from './templates.ts';

type Planned = z.infer<typeof PlannedTenant>;

/** What a rollout would do, before anybody has agreed to it. */
export interface Draft {
  app: AppRecord;
  release: ReleaseSource;
  facts: readonly TenantFactRecord[];
  rows: RolloutTenant[];
  untouched: string[];
  warnings: string[];
  reversal: Rollout['reversal'];
  /** Why its hosts would run nothing of it: a pool runs signed releases only, and this one is not. */
  unsigned: BerthError | null;
}

/** Errors: `not_found`, `invalid_request` for waves that do not rise or name what nobody is. */
export async function draftOf(
  reads: StoreReads,
  cache: TemplateCache,
  given: { app: string; to: number; policy: RolloutPolicy },
): Promise<Draft> {
  const wrong = notRising(given.policy.waves);
  if (wrong !== null) throw new BerthError('invalid_request', wrong, { details: { field: 'policy.waves' } });
  const app = foundApp(await reads.app(given.app), given.app);
  const release = await reads.release(given.app, given.to);
  if (release === null)
    throw new BerthError(
      'not_found',
      `App ${given.app} has no release ${given.to}; its newest is ${app.release}.`,
      { details: { newest: app.release } },
    );
  const facts = await reads.tenantFactsOfApp(given.app);
  const { rows, untouched, warnings, errors } = waveMembers(given, given.policy, facts);
  if (errors.length > 0)
    throw new BerthError('invalid_request', errors.join(' '), { details: { field: 'policy.waves' } });
  const { reversal, lost } = await foreseen(reads, cache, release, rows);
  const hosts = new Map(facts.map((each) => [each.tenant, each.host]));
  const unsigned = await refusingPool(
    reads,
    release,
    rows.map((row) => row.tenant),
  );
  const signing =
    unsigned?.message ??
    (await signatureWarning(
      reads,
      release,
      rows.map((row) => hosts.get(row.tenant) ?? ''),
    ));
  return {
    app,
    release,
    facts,
    rows,
    untouched,
    reversal,
    unsigned,
    // What would go wrong on the way says nothing where nobody goes.
    warnings:
      rows.length === 0
        ? warnings
        : [
            ...warnings,
            ...lost,
            ...(reversal === 'irreversible'
              ? [
                  `The release command of release ${given.to} is marked irreversible: nobody goes back past it by himself.`,
                ]
              : []),
            ...(release.images === 'as-named'
              ? [
                  `The images of release ${given.to} are not pinned by digest: tenants that move at different times may get different images. "berth release create" pins them.`,
                ]
              : []),
            ...(signing === null ? [] : [signing]),
            ...(app.frozen === null ? [] : [`The app is frozen, so nothing would begin: ${app.frozen}`]),
          ],
  };
}

/**
 * What a release is like once it is worked out: whether its release command is marked irreversible, as the first tenant that
 * it fits has it, and what the first one of each release before loses of its routes.
 */
async function foreseen(
  reads: StoreReads,
  cache: TemplateCache,
  release: ReleaseSource,
  rows: readonly RolloutTenant[],
): Promise<{ reversal: Rollout['reversal']; lost: string[] }> {
  let reversal: Rollout['reversal'] | null = null;
  const lost = new Map<number, string | null>();
  for (const { tenant, fromRelease } of rows.slice(0, TRIES)) {
    if (lost.has(fromRelease)) continue;
    const [record] = await reads.tenantsNamed([tenant]);
    if (record === undefined) continue;
    try {
      const moved = { ...record, release: release.release };
      const rows = await reads.variables(record);
      const standing = cache.of(release).database === 'managed' ? withAddressStandIn(rows) : rows;
      const { desired } = renderRows(moved, release, cache.of(release), standing);
      reversal ??= desired.spec.release?.irreversible === true ? 'irreversible' : 'free';
      lost.set(fromRelease, lostRoutes(release.release, record.routes, routesOf(desired)));
    } catch (thrown) {
      if (!(thrown instanceof BerthError)) throw thrown;
    }
  }
  const sentences = new Set([...lost.values()].flatMap((each) => (each === null ? [] : [each])));
  return { reversal: reversal ?? 'free', lost: [...sentences] };
}

const same = <T>(rows: T): T => rows;

const TRIES = 20;
const PER_READ = 100;
const PER_BREATH = 8;

/** The waves with what would happen to each tenant now; changes are worked out for so many tenants as asked for. */
export async function planOf(
  reads: StoreReads,
  cache: TemplateCache,
  given: z.output<typeof PlanRollout>,
  now: number,
): Promise<RolloutPlan> {
  const draft = await draftOf(reads, cache, given);
  const facts = new Map(draft.facts.map((each) => [each.tenant, each]));
  const plans = new Map<string, Pick<Planned, 'changes' | 'error'>>();
  for (let from = 0; from < draft.rows.length; from += PER_READ)
    await planSome(reads, cache, draft, draft.rows.slice(from, from + PER_READ), given.changesOf, plans);
  const asRollout: Rollout = {
    rollout: 0,
    app: given.app,
    to: given.to,
    policy: given.policy,
    state: { kind: 'running' },
    wave: 0,
    waves: [],
    forgiven: 0,
    reversal: draft.reversal,
    tenants: draft.rows,
  };
  const planned = (row: RolloutTenant): Planned => {
    const record = facts.get(row.tenant);
    const fact = record === undefined ? null : factOf(record, null);
    const reason = skipReason(asRollout, row, fact, now);
    const progress: TenantProgress = reason === null ? { kind: 'pending' } : { kind: 'skipped', reason };
    return {
      tenant: row.tenant,
      host: record?.host ?? '',
      hostName: record?.hostName ?? '',
      fromRelease: row.fromRelease,
      now: progress,
      ...(plans.get(row.tenant) ?? { changes: null, error: null }),
    };
  };
  return {
    app: given.app,
    to: given.to,
    waves: given.policy.waves.map((spec, wave) => ({
      spec,
      tenants: draft.rows.filter((row) => row.wave === wave).map(planned),
    })),
    untouched: draft.untouched,
    warnings: [...draft.warnings, ...failing(plans)],
  };
}

async function planSome(
  reads: StoreReads,
  cache: TemplateCache,
  { release }: Draft,
  rows: readonly RolloutTenant[],
  changesOf: number,
  plans: Map<string, Pick<Planned, 'changes' | 'error'>>,
): Promise<void> {
  const names = rows.map((row) => row.tenant);
  const records = new Map((await reads.tenantsNamed(names)).map((each) => [each.tenant, each]));
  const own = await reads.variablesOfTenants(names);
  const secrets = await reads.secretsOfTenants(names);
  const shared = new Map<string, VariableRecord[]>();
  const rowsOf = async (record: TenantRecord): Promise<VariableRecord[]> => {
    const { app, pool } = record;
    let common = shared.get(pool);
    if (common === undefined) shared.set(pool, (common = await reads.variables({ app, pool, tenant: '' })));
    return [
      ...common,
      ...(own.get(record.tenant) ?? []).map((each) => ({ ...each, scope: 'tenant' as const })),
      ...(secrets.get(record.tenant) ?? []),
    ];
  };
  for (const [index, name] of names.entries()) {
    const record = records.get(name);
    if (record === undefined) continue;
    try {
      const moved = { ...record, release: release.release };
      // A database that is missing is made when the tenant's turn comes.
      const rows = cache.of(release).database === 'managed' ? withAddressStandIn : same;
      const { desired } = renderRows(moved, release, cache.of(release), rows(await rowsOf(record)));
      const before = plans.size < changesOf ? await reads.desiredTenant(record.host, name) : null;
      plans.set(name, { changes: before === null ? null : changesBetween(before, desired), error: null });
    } catch (thrown) {
      if (!(thrown instanceof BerthError)) throw thrown;
      plans.set(name, { changes: null, error: thrown.message });
    }
    if (index % PER_BREATH === PER_BREATH - 1) await breathe();
  }
}

function failing(plans: ReadonlyMap<string, Pick<Planned, 'error'>>): string[] {
  const count = [...plans.values()].filter((each) => each.error !== null).length;
  if (count === 0) return [];
  return [
    `The release does not work out with the variables of ${count === 1 ? '1 tenant' : `${count} tenants`}; they would fail.`,
  ];
}
