import { setImmediate as breathe } from 'node:timers/promises';
import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { BerthError } from '@berth/shared/domain/errors';
import type { ReturnCause, RolloutProblem, TenantProgress } from '@berth/shared/domain/rollout';
import type { ReportedFact, RolloutTenant, TenantFact } from '../rollout/types.ts';
import { CPU_OVERCOMMIT, usableMemory } from './placement.ts';
import type { ReleaseSource, TenantRecord, VariableRecord } from './records.ts';
import type { RolloutRecord } from './rollout-store.ts';
import { hostsWithoutKeys, refuseWithoutKey } from './secret-refs.ts';
import type { StoreWrites } from './store.ts';
import { renderRows, withNeed, withWord } from './tenant-state.ts';
import type { TemplateCache } from './templates.ts';

/** What is desired of a tenant from now, on its host. */
export interface Told {
  host: string;
  release: number;
  generation: number;
}

/** What moving some tenants came to. Who is in neither was not as it was thought to be, and is to be looked at again. */
export interface Moves {
  progress: ReadonlyMap<string, TenantProgress>;
  told: ReadonlyMap<string, Told>;
}

export interface MoveGiven {
  tx: StoreWrites;
  cache: TemplateCache;
  record: RolloutRecord;
  now: number;
  fact(tenant: string): TenantFact | null;
  row(tenant: string): RolloutTenant | undefined;
  cpuOvercommit?: number | undefined;
  /** Whose database could not be made, and why: they cannot begin. */
  withoutDatabase?: ReadonlyMap<string, BerthError> | undefined;
}

/** Longer than the wave is watched, so that the way back is still an instant one when its watch ends. */
const BAKE_MARGIN_MS = 60_000;
/** Renderings before the event loop has its turn. */
const PER_BREATH = 8;

/** Makes the rollout's release what is desired of these tenants. One that cannot be rendered or has no room has failed. */
export async function beginTenants(given: MoveGiven, tenants: readonly string[]): Promise<Moves> {
  const { tx, record: rollout, now } = given;
  const progress = new Map<string, TenantProgress>();
  const failed = (tenant: string, problem: RolloutProblem): void =>
    void progress.set(tenant, { kind: 'failed', generation: null, at: now, problem, stays: null });
  const records = await tx.tenantsNamed(tenants);
  const last = await tx.lastGenerations(tenants);
  const render = await rendererOf(given, records, rollout.to);
  const made: Made[] = [];
  for (const [index, before] of records.entries()) {
    if (!isAsKnown(before, given.fact(before.tenant)) || before.state !== 'running') continue;
    const generation = Math.max(before.generation, last.get(before.tenant) ?? 0) + 1;
    const draft = { ...before, release: rollout.to, generation, updatedAt: now };
    try {
      const missing = given.withoutDatabase?.get(before.tenant);
      if (missing !== undefined) throw missing;
      const { desired } = render(draft);
      const bakeMs = Math.max(desired.spec.bakeMs, rollout.policy.bakeMs + BAKE_MARGIN_MS);
      const entry = { ...desired, spec: { ...desired.spec, bakeMs } };
      made.push({ before, record: withNeed(draft, entry), entry });
    } catch (thrown) {
      failed(before.tenant, problemOf(thrown));
    }
    if (index % PER_BREATH === PER_BREATH - 1) await breathe();
  }
  const fitting = await withRoom(given, made, failed);
  await tx.keepDesired(
    rollout.rollout,
    fitting.map((each) => each.record.tenant),
  );
  for (const { record } of fitting)
    progress.set(record.tenant, { kind: 'moving', generation: record.generation, since: now });
  const histories = fitting.map(({ record, before }) =>
    historyOf(given, record, {
      what: 'moved',
      generation: record.generation,
      message: `Rollout ${rollout.rollout} moves it from release ${before.release} to ${record.release}.`,
    }),
  );
  return { progress, told: await write(tx, fitting, histories) };
}

/** Why a tenant goes back; null for one whose progress stays as it is. */
export interface Return {
  tenant: string;
  because: { why: string; cause: ReturnCause } | null;
}

/**
 * Makes what was desired before the rollout desired again: word for word while the agent still has that generation, else
 * the old release as a new generation.
 */
export async function returnTenants(given: MoveGiven, returns: readonly Return[]): Promise<Moves> {
  const { tx, record: rollout, now } = given;
  const names = returns.map((each) => each.tenant);
  const progress = new Map<string, TenantProgress>();
  const histories: History[] = [];
  const records = new Map((await tx.tenantsNamed(names)).map((each) => [each.tenant, each]));
  const last = await tx.lastGenerations(names);
  const kept = await tx.desiredBeforeOf(rollout.rollout, names);
  const anew = await renderersOf(given, [...records.values()], kept);
  const made: Made[] = [];
  for (const { tenant, because } of returns) {
    const before = records.get(tenant);
    const earlier = kept.get(tenant);
    const mine = generationOf(given.row(tenant)?.progress);
    if (before === undefined || before.state === 'removing') continue;
    if (mine === null || before.generation !== mine) continue;
    if (earlier === undefined) {
      // Somebody else moved it to this release; there is nothing of ours to go back to.
      progress.set(tenant, { kind: 'skipped', reason: 'changed' });
      continue;
    }
    const present = { domains: before.domains, state: before.state };
    const wordForWord = stillHas(given.fact(tenant)?.reported ?? null, earlier.generation, mine);
    const generation = wordForWord
      ? earlier.generation
      : Math.max(before.generation, last.get(tenant) ?? 0) + 1;
    const draft = { ...before, release: earlier.release, generation, updatedAt: now };
    const entry = wordForWord
      ? withWord({ ...earlier, ...present }, before)
      : renderedAnew(anew, draft, { ...earlier, ...present, generation });
    made.push({ before, record: withNeed(draft, entry), entry });
    if (because !== null) progress.set(tenant, { kind: 'returning', generation, since: now, ...because });
    if (because !== null || !wordForWord)
      histories.push(
        historyOf(given, draft, {
          what: 'returned',
          generation,
          message:
            `Rollout ${rollout.rollout} takes it back from release ${before.release} to ${earlier.release}` +
            (because === null ? '.' : `: ${because.why}`),
        }),
      );
    if (made.length % PER_BREATH === 0) await breathe();
  }
  return { progress, told: await write(tx, made, histories) };
}

interface Made {
  before: TenantRecord;
  record: TenantRecord;
  entry: DesiredTenant;
}

interface History {
  tenant: string;
  entry: TenantHistoryEntry;
}

async function write(
  tx: StoreWrites,
  made: readonly Made[],
  histories: readonly History[],
): Promise<ReadonlyMap<string, Told>> {
  if (made.length === 0) return new Map();
  await tx.moveTenants(made.map((each) => each.record));
  await breathe();
  await tx.putDesiredOf(made.map(({ record, entry }) => ({ host: record.host, entry })));
  await breathe();
  await tx.putHistories(histories);
  return new Map(
    made.map(({ record: { tenant, host, release, generation } }) => [tenant, { host, release, generation }]),
  );
}

function historyOf(
  { record: rollout, now }: MoveGiven,
  record: TenantRecord,
  entry: Pick<TenantHistoryEntry, 'what' | 'generation' | 'message'>,
): History {
  return {
    tenant: record.tenant,
    entry: {
      at: now,
      by: rollout.startedBy,
      release: record.release,
      rollout: rollout.rollout,
      ms: null,
      ...entry,
    },
  };
}

/** Whether what was decided upon is what is there: facts may be a moment old. */
function isAsKnown(record: TenantRecord, fact: TenantFact | null): boolean {
  return fact !== null && record.generation === fact.generation && record.release === fact.release;
}

function generationOf(progress: TenantProgress | undefined): number | null {
  return progress !== undefined && 'generation' in progress ? progress.generation : null;
}

/** The agent serves the earlier generation still, or keeps it while the later one is on its way or bakes. */
export function stillHas(reported: ReportedFact | null, earlier: number, later: number): boolean {
  if (reported === null) return false;
  if (reported.live === earlier) return true;
  const { generation, phase } = reported;
  return generation === later && (phase === 'moving' || phase === 'baking' || phase === 'returning');
}

type Render = (record: TenantRecord) => { desired: DesiredTenant };

/** One for each release that somebody goes back to. */
async function renderersOf(
  given: MoveGiven,
  records: readonly TenantRecord[],
  kept: ReadonlyMap<string, DesiredTenant>,
): Promise<ReadonlyMap<number, Render>> {
  const renderers = new Map<number, Render>();
  for (const release of new Set([...kept.values()].map((each) => each.release)))
    renderers.set(release, await rendererOf(given, records, release));
  return renderers;
}

function renderedAnew(
  renderers: ReadonlyMap<number, Render>,
  draft: TenantRecord,
  fallback: DesiredTenant,
): DesiredTenant {
  try {
    return renderers.get(draft.release)?.(draft).desired ?? fallback;
  } catch (thrown) {
    // Its variables do not fit the old release any more; what it was made of does.
    if (thrown instanceof BerthError) return fallback;
    throw thrown;
  }
}

/** Renders these tenants with one release; what they share is read once. */
async function rendererOf(
  { tx, cache, record: { app } }: MoveGiven,
  records: readonly TenantRecord[],
  number: number,
): Promise<Render> {
  const release: ReleaseSource | null = await tx.release(app, number);
  if (release === null) throw new BerthError('not_found', `App ${app} has no release ${number} any more.`);
  const template = cache.of(release);
  const shared = new Map<string, VariableRecord[]>();
  for (const pool of new Set(records.map((each) => each.pool)))
    shared.set(pool, await tx.variables({ app, pool, tenant: '' }));
  const names = records.map((each) => each.tenant);
  // Only a template that speaks of secrets can ask for one.
  const asks = template.database === 'managed' || template.text.includes('secrets');
  const unable = asks ? await hostsWithoutKeys(tx, records) : new Set<string>();
  const own = await tx.variablesOfTenants(names);
  const secrets = await tx.secretsOfTenants(names);
  return (record) => {
    const rendered = renderRows(record, release, template, [
      ...(shared.get(record.pool) ?? []),
      ...(own.get(record.tenant) ?? []).map((each) => ({ ...each, scope: 'tenant' as const })),
      ...(secrets.get(record.tenant) ?? []),
    ]);
    if (unable.has(record.host)) refuseWithoutKey(record.host, rendered.desired);
    return rendered;
  };
}

/** Leaves out whose host has no room for what the new release reserves beyond the old one. */
async function withRoom(
  { tx, cpuOvercommit = CPU_OVERCOMMIT }: MoveGiven,
  made: readonly Made[],
  failed: (tenant: string, problem: RolloutProblem) => void,
): Promise<Made[]> {
  const growing = made.filter(
    ({ before, record }) =>
      record.reservedMemory > before.reservedMemory ||
      record.reservedCpus > before.reservedCpus ||
      record.surgeMemory > before.surgeMemory,
  );
  const full = new Set<string>();
  for (const host of new Set(growing.map((each) => each.record.host))) {
    const [view] = await tx.lockHosts({ host });
    if (view === undefined) continue;
    let memory = view.reservedMemory;
    let cpus = view.reservedCpus;
    for (const { before, record } of growing) {
      if (record.host !== host) continue;
      const moreMemory = record.reservedMemory - before.reservedMemory;
      const moreCpus = record.reservedCpus - before.reservedCpus;
      const surge = Math.max(view.largestSurge, record.surgeMemory);
      const fits =
        memory + moreMemory + surge <= usableMemory(view.memoryBytes) &&
        cpus + moreCpus <= view.cpus * cpuOvercommit + 1e-6;
      if (fits) {
        memory += moreMemory;
        cpus += moreCpus;
        continue;
      }
      full.add(record.tenant);
      failed(record.tenant, {
        code: 'no_capacity',
        message: `Host ${view.name} has no room for what release ${record.release} reserves beyond release ${before.release}.`,
      });
    }
  }
  return made.filter((each) => !full.has(each.record.tenant));
}

function problemOf(thrown: unknown): RolloutProblem {
  if (!(thrown instanceof BerthError)) throw thrown;
  return { code: thrown.code, message: thrown.message.slice(0, 2000) };
}
