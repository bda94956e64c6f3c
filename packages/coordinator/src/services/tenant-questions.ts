import type { ChangeTenant, ConfigValue, TenantExplain, TenantPlan } from '@berth/shared/api/schemas';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import { databaseOf } from './database-shown.ts';
import { lookForDatabase } from './database-look.ts';
import { asPut, changesBetween, effectOf, type Effect } from './diff.ts';
import { attemptOf } from './explain-attempt.ts';
import { explain } from './explain.ts';
import { requireSigned } from './release-sign.ts';
import { foundTenant, nextGeneration, renderRecord } from './tenant-state.ts';
import type { TemplateCache } from './templates.ts';
import { unusedWarnings } from './unused.ts';
import { checkNames, configOf, withRelease } from './variables.ts';

/** How long an agent may think about a plan, and how long it may look for log lines. */
const PLAN_TIMEOUT_MS = 5_000;
const LOGS_TIMEOUT_MS = 10_000;

const OFFLINE = 'The host is offline and acts once it is back.';

type Steps = Pick<TenantPlan, 'steps' | 'stepsFrom' | 'stepsMissing'>;

function unknownSteps(why: NonNullable<TenantPlan['stepsMissing']>['why'], message: string): Steps {
  return { steps: [], stepsFrom: 'unavailable', stepsMissing: { why, message } };
}

export interface LogLine {
  service: string;
  line: string;
}

/** What can be asked about a tenant. Nothing here changes anything. */
export interface TenantQuestions {
  plan(tenant: string, change: ChangeTenant): Promise<TenantPlan>;
  explain(tenant: string): Promise<TenantExplain>;
  config(tenant: string): Promise<z.infer<typeof ConfigValue>[]>;
  logs(tenant: string, service: string | undefined, lines: number): Promise<LogLine[]>;
}

export function createTenantQuestions(
  { store, fleet, clock }: ServiceContext,
  cache: TemplateCache,
): TenantQuestions {
  /**
   * The steps that the change itself causes. While nothing of the containers changes, the host may still have work left
   * over from the last deploy; that is not this change's doing.
   */
  async function stepsOf(
    host: string,
    effect: Effect,
    before: DesiredTenant,
    after: DesiredTenant,
  ): Promise<Steps> {
    if (effect === 'none')
      return fleet.online(host) ? { steps: [], stepsFrom: 'agent' } : unknownSteps('offline', OFFLINE);
    if (effect === 'new-generation') {
      const refusal = await refusalOf(host, after);
      return refusal === null ? await stepsFor(host, after) : unknownSteps('refused', refusal);
    }
    const [wanted, anyway] = await Promise.all([stepsFor(host, after), stepsFor(host, before)]);
    const leftOver = new Set(anyway.steps.map(({ kind, title }) => `${kind} ${title}`));
    return { ...wanted, steps: wanted.steps.filter(({ kind, title }) => !leftOver.has(`${kind} ${title}`)) };
  }

  /** What whoever makes this change is told; the host is not asked for steps that nobody takes. */
  async function refusalOf(host: string, desired: DesiredTenant): Promise<string | null> {
    try {
      await requireSigned(store, host, desired);
      return null;
    } catch (thrown) {
      if (thrown instanceof BerthError && thrown.code === 'release_not_signed') return thrown.message;
      throw thrown;
    }
  }

  async function stepsFor(host: string, desired: DesiredTenant): Promise<Steps> {
    if (!fleet.online(host)) return unknownSteps('offline', OFFLINE);
    try {
      const answer = await fleet.ask(host, { kind: 'plan', tenant: desired }, PLAN_TIMEOUT_MS);
      if (answer.kind === 'plan') return { steps: answer.steps, stepsFrom: 'agent' };
      if (answer.kind !== 'error') return unknownSteps('no-answer', 'The host answered something else.');
      const why = answer.code === 'release_not_signed' ? 'refused' : 'no-answer';
      return unknownSteps(why, answer.message);
    } catch (thrown) {
      // A preview without the agent's steps is still worth showing; anything but its absence is a fault of ours.
      if (!(thrown instanceof BerthError)) throw thrown;
      if (thrown.code === 'host_offline') return unknownSteps('offline', OFFLINE);
      return unknownSteps('no-answer', thrown.message);
    }
  }

  return {
    async plan(tenant, change) {
      checkNames(Object.keys(change.variables ?? {}));
      const record = foundTenant(await store.tenant(tenant), tenant);
      const before = await store.desiredTenant(record.host, tenant);
      if (before === null)
        throw new BerthError('conflict', `Tenant ${tenant} is being removed and cannot be changed any more.`);
      const draft = {
        ...record,
        release: change.release ?? record.release,
        domains: change.domains ?? record.domains,
        egress: change.egress === undefined ? record.egress : change.egress,
      };
      const { desired, template, warnings } = await renderRecord(
        store,
        cache,
        lookForDatabase(),
        draft,
        change.variables,
      );
      const effect = effectOf(before, desired);
      const toGeneration =
        effect === 'new-generation' ? await nextGeneration(store, record) : record.generation;
      const after = { ...asPut(effect, before, desired), generation: toGeneration };
      const given = Object.entries(change.variables ?? {}).flatMap(([name, value]) =>
        value === null ? [] : [name],
      );
      return {
        tenant,
        effect,
        fromGeneration: record.generation,
        toGeneration,
        changes: changesBetween(before, after),
        warnings: [...unusedWarnings(given, template.variables), ...warnings],
        ...(await stepsOf(record.host, effect, before, after)),
      };
    },
    async explain(tenant) {
      const view = foundTenant(await store.tenantView(tenant), tenant);
      const host = await store.host(view.host);
      if (host === null) throw new BerthError('internal', `The host of tenant ${tenant} is not known.`);
      const report = await store.tenantReport(tenant);
      const [newest] = await store.tenantHistory(tenant, 1);
      const [event] = await store.events({ tenant, kind: 'rollout.tenant' }, undefined, 1);
      const attempt = await attemptOf(
        event,
        newest,
        async (rollout) => (await store.rollout(rollout))?.to ?? null,
      );
      const said = explain({
        tenant: view,
        host,
        report,
        epoch: await store.epoch(),
        attempt,
        now: clock.now(),
      });
      return { ...said, ...(await databaseOf(store, tenant)) };
    },
    async config(tenant) {
      const record = foundTenant(await store.tenant(tenant), tenant);
      const release = await store.release(record.app, record.release);
      if (release === null)
        throw new BerthError('internal', `Release ${record.release} of ${record.app} is gone.`);
      const rows = withRelease(await store.variables(record), release);
      return configOf(record, rows, cache.of(release).variables);
    },
    async logs(tenant, service, lines) {
      const record = foundTenant(await store.tenant(tenant), tenant);
      const answer = await fleet.ask(
        record.host,
        { kind: 'logs', tenant, service: service ?? null, lines },
        LOGS_TIMEOUT_MS,
      );
      switch (answer.kind) {
        case 'logs':
          return answer.lines;
        case 'error':
          throw new BerthError(answer.code, answer.message);
        case 'plan':
        case 'probe':
        case 'traffic':
          throw new BerthError('internal', 'The agent answered another question than was asked.');
      }
    },
  };
}
