import type {
  PlanRollout,
  Rollout as RolloutShown,
  RolloutAction,
  RolloutPlan,
  RolloutTenant as TenantShown,
  StartRollout,
} from '@berth/shared/api/rollouts';
import type { AccessScope } from '@berth/shared/domain/access';
import { whoText } from '@berth/shared/domain/actor';
import { BerthError } from '@berth/shared/domain/errors';
import type { RolloutAct } from '@berth/shared/domain/rollout';
import type { z } from 'zod';
import { act as decide, actsOn, type Action } from '../rollout/act.ts';
import type { ServiceContext } from './context.ts';
import { listed, type Listed } from './paging.ts';
import type { Actor } from './records.ts';
import { carryOut, type Carried } from './rollout-carry.ts';
import { summaryOf } from './rollout-chunks.ts';
import type { RolloutPort } from './rollout-driver.ts';
import { nobody } from './rollout-events.ts';
import { isBusy, loadOpen, loadWhole, NAMES_PER_READ, rowOf, type Open } from './rollout-open.ts';
import { draftOf, planOf } from './rollout-plan.ts';
import { completeWaiting, promote } from './rollout-queue.ts';
import type { RolloutRecord } from './rollout-store.ts';
import { rolloutListed, rolloutShown, rolloutTenantShown } from './rollout-views.ts';
import type { Page, StoreWrites } from './store.ts';
import { requireApply } from './tenant-state.ts';
import type { TemplateCache } from './templates.ts';

export interface Rollouts {
  /** Changes nothing. Errors: `not_found`, `invalid_request`. */
  plan(given: z.output<typeof PlanRollout>): Promise<RolloutPlan>;
  /** Errors: `release_not_signed` where a pool asks for it; `conflict` when the app is frozen or has another rollout, and nothing waits; those of `plan`. */
  start(by: Actor, given: z.output<typeof StartRollout>): Promise<RolloutShown>;
  list(
    filter: { app?: string | undefined; scope?: AccessScope | undefined },
    page: Page,
  ): Promise<Listed<RolloutShown>>;
  show(rollout: number): Promise<RolloutShown>;
  tenants(rollout: number, filter: { wave?: number | undefined }, page: Page): Promise<Listed<TenantShown>>;
  /** An operator's word. Errors: `not_found`, `conflict` when it cannot be followed. */
  act(
    by: Actor,
    rollout: number,
    kind: Action['kind'],
    given: z.output<typeof RolloutAction>,
  ): Promise<RolloutShown>;
}

const ACTED: Record<Action['kind'], string> = {
  pause: 'rollout.paused',
  resume: 'rollout.resumed',
  approve: 'rollout.approved',
  retry: 'rollout.retried',
  abort: 'rollout.aborted',
  rollback: 'rollout.rolled-back',
};

const DONE: Record<Action['kind'], RolloutAct['what']> = {
  pause: 'paused',
  resume: 'resumed',
  approve: 'approved',
  retry: 'retried',
  abort: 'aborted',
  rollback: 'rolled-back',
};

export function createRollouts(context: ServiceContext, cache: TemplateCache, driver: RolloutPort): Rollouts {
  const { store, fleet, clock } = context;

  async function found(rollout: number): Promise<RolloutRecord> {
    const record = await store.rollout(rollout);
    if (record !== null) return record;
    throw new BerthError('not_found', `There is no rollout ${rollout}; see "berth rollout list".`);
  }

  /** With facts: the driver's, unless it has not caught up with what is on record. */
  async function whole(rollout: number): Promise<Open> {
    const record = await found(rollout);
    const driven = driver.open(rollout);
    if (driven !== null && driven.record.updatedAt === record.updatedAt) return driven;
    return await loadWhole(store, record);
  }

  return {
    plan: (given) => planOf(store, cache, given, clock.now()),

    async start(by, { app, to, policy, whenBusy }) {
      const at = clock.now();
      const rollout = await store.mutate<number>(by, at, async (tx) => {
        await requireApply(tx);
        const draft = await draftOf(tx, cache, { app, to, policy });
        if (draft.app.frozen !== null)
          throw new BerthError(
            'conflict',
            `App ${app} is frozen: ${sentence(draft.app.frozen)} Unfreeze it first: "berth app unfreeze ${app}".`,
          );
        if (draft.rows.length === 0) throw nothingToMove(app, to, draft.untouched.length);
        if (draft.unsigned !== null) throw draft.unsigned;
        const busy = (await tx.openRollouts()).filter((each) => each.app === app && isBusy(each));
        const [first] = busy;
        if (first !== undefined && whenBusy === 'refuse')
          throw new BerthError(
            'conflict',
            `App ${app} has rollout ${first.rollout} to release ${first.to} already (${first.state.kind}). End it first, or queue this one behind it with --queue.`,
            { details: { rollout: first.rollout } },
          );
        if (first === undefined) await completeWaiting(tx, app, at);
        const record: Omit<RolloutRecord, 'rollout'> = {
          app,
          to,
          policy,
          state: { kind: first === undefined ? 'running' : 'queued' },
          wave: 0,
          waves: policy.waves.map(() => ({ kind: 'pending' })),
          forgiven: 0,
          reversal: draft.reversal,
          startedBy: by.actor,
          createdAt: at,
          updatedAt: at,
          endedAt: null,
          acts: [],
          afterEvent: await tx.lastEvent(),
        };
        const number = await tx.insertRollout(record, draft.rows);
        await tx.addEvents([
          {
            ...nobody(app, at),
            kind: 'rollout.created',
            message: `Rollout ${number} of ${app} to release ${to} was ${first === undefined ? 'begun' : `queued behind rollout ${first.rollout}`} by ${whoText(by.actor)}.`,
            details: { rollout: number, to, tenants: draft.rows.length, state: record.state },
          },
        ]);
        return {
          result: number,
          audit: {
            action: 'rollout.created',
            subject: String(number),
            before: null,
            after: { app, to, policy, state: record.state, tenants: draft.rows.length },
          },
        };
      });
      driver.look();
      return rolloutShown(await whole(rollout), clock.now());
    },

    async list(filter, { after, limit }) {
      const before = after === undefined ? undefined : Number.parseInt(after, 10);
      if (before !== undefined && !Number.isSafeInteger(before))
        throw new BerthError('invalid_request', `after must be a rollout's number, not "${after}".`);
      const records = await store.rollouts(filter, before, limit + 1);
      const counts = await store.progressCounts(records.map((each) => each.rollout));
      return listed(
        records.map((record) => rolloutListed(record, counts.get(record.rollout) ?? new Map())),
        limit,
        (each) => String(each.rollout),
      );
    },

    async show(rollout) {
      return rolloutShown(await whole(rollout), clock.now());
    },

    async tenants(rollout, { wave }, { after, limit }) {
      const record = await found(rollout);
      const driven = driver.open(rollout);
      const open =
        driven !== null && driven.record.updatedAt === record.updatedAt
          ? driven
          : await loadOpen(store, record);
      const from = after === undefined ? -1 : (open.index.get(after) ?? -1);
      const rows = open.rollout.tenants
        .slice(from + 1)
        .filter((row) => wave === undefined || row.wave === wave - 1);
      const page = listed(rows.slice(0, limit + 1), limit, (row) => row.tenant);
      if (open !== driven) {
        const names = page.items.map((row) => row.tenant);
        for (let at = 0; at < names.length; at += NAMES_PER_READ) {
          const chunk = names.slice(at, at + NAMES_PER_READ);
          open.book.put(chunk, await store.tenantFacts(chunk));
        }
      }
      const items: TenantShown[] = [];
      for (const row of page.items) items.push(rolloutTenantShown(open, row, await stepOf(row)));
      return { items, next: page.next };
    },

    async act(by, rollout, kind, { reason, pastIrreversible }) {
      const action: Action = {
        kind,
        by: whoText(by.actor),
        reason: reason ?? null,
        past: pastIrreversible === true ? 'irreversible' : 'nothing',
      };
      const at = clock.now();
      const carried = await store.mutate<Carried>(by, at, async (tx) => {
        await requireApply(tx);
        return await carryAction(tx, rollout, action, by.actor, at);
      });
      for (const host of new Set([...carried.told.values()].map((each) => each.host))) fleet.changed(host);
      // One that is resumed before its turn goes on at once when its turn has come meanwhile.
      if (carried.record.state.kind === 'queued' && !(await hasOneAhead(carried.record)))
        await promote(store, carried.record, clock.now());
      driver.look();
      return rolloutShown(await whole(rollout), clock.now());
    },
  };

  async function hasOneAhead({ app, rollout }: RolloutRecord): Promise<boolean> {
    const open = await store.openRollouts();
    return open.some((other) => other.app === app && other.rollout < rollout && isBusy(other));
  }

  async function carryAction(tx: StoreWrites, rollout: number, action: Action, by: string, at: number) {
    const record = await tx.rollout(rollout);
    if (record === null)
      throw new BerthError('not_found', `There is no rollout ${rollout}; see "berth rollout list".`);
    const open = await loadOpen(tx, record);
    const readFacts = async (names: readonly string[]): Promise<void> => {
      for (let from = 0; from < names.length; from += NAMES_PER_READ) {
        const chunk = names.slice(from, from + NAMES_PER_READ);
        open.book.put(chunk, await tx.tenantFacts(chunk));
      }
    };
    await readFacts(actsOn(open.rollout));
    const acted = decide(open.rollout, action, (tenant) => open.book.tenant(tenant), at);
    if (acted.kind === 'refused') throw new BerthError('conflict', acted.why);
    await readFacts(acted.decisions.flatMap((each) => ('tenant' in each ? [each.tenant] : [])));
    const result = await carryOut({
      tx,
      cache,
      record,
      rollout: { ...open.rollout, forgiven: acted.forgiven },
      decisions: acted.decisions,
      now: at,
      fact: (tenant) => open.book.tenant(tenant),
      rowIn: (version, tenant) => rowOf(open, version, tenant),
      before: () => null,
      cpuOvercommit: context.cpuOvercommit,
      done: { what: DONE[action.kind], by, reason: action.reason },
    });
    return {
      result,
      audit: {
        action: ACTED[action.kind],
        subject: String(rollout),
        before: { state: record.state, wave: record.wave },
        after: {
          state: result.record.state,
          reason: action.reason,
          past: action.past,
          ...summaryOf(acted.decisions),
        },
      },
    };
  }

  /** What its agent does just now, of one that is under way. */
  async function stepOf(row: Open['rollout']['tenants'][number]): Promise<string | null> {
    if (row.progress.kind !== 'moving' && row.progress.kind !== 'returning') return null;
    const report = await store.tenantReport(row.tenant);
    if (report?.generation !== row.progress.generation) return null;
    return report.steps.find((step) => step.state === 'running')?.title ?? null;
  }
}

/** With the full stop that a reason may lack. */
function sentence(reason: string): string {
  const text = reason.trim();
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

function nothingToMove(app: string, to: number, there: number): BerthError {
  return new BerthError(
    'conflict',
    there === 0
      ? `App ${app} has no tenants to move.`
      : `Nothing is to be moved: every tenant of ${app} that these waves name has release ${to} already, or is in no wave.`,
  );
}
