import type { ChangeTenant, CreateTenant, Tenant, TenantChanged } from '@berth/shared/api/schemas';
import type { AccessScope } from '@berth/shared/domain/access';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { DEFAULT_EGRESS, egressText } from '@berth/shared/domain/egress';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import { refuseOwnAddress } from './database-look.ts';
import { databaseOf } from './database-shown.ts';
import { asPut, effectOf } from './diff.ts';
import { needOf } from './need.ts';
import { requireSealing } from './secret-refs.ts';
import { audited as auditedSecret, insertAll, sealAll } from './secrets.ts';
import { listed, type Listed } from './paging.ts';
import { place } from './placement.ts';
import type { Actor, TenantRecord } from './records.ts';
import { requireSigned } from './release-sign.ts';
import type { Page, StoreWrites } from './store.ts';
import {
  claim,
  foundTenant,
  lockChangeable,
  nextGeneration,
  renderRecord,
  tenantEvent,
  withNeed,
} from './tenant-state.ts';
import { audited, mutateWith, put, remember, type Outcome } from './tenant-mutation.ts';
import type { TemplateCache } from './templates.ts';
import { checkNames } from './variables.ts';
import { tenantShown } from './views.ts';

export interface Tenants {
  list(
    filter: { app?: string | undefined; host?: string | undefined; scope?: AccessScope | undefined },
    page: Page,
  ): Promise<Listed<Tenant>>;
  show(tenant: string): Promise<Tenant>;
  create(by: Actor, given: z.output<typeof CreateTenant>): Promise<TenantChanged>;
  change(by: Actor, tenant: string, change: ChangeTenant): Promise<TenantChanged>;
  pause(by: Actor, tenant: string): Promise<TenantChanged>;
  resume(by: Actor, tenant: string): Promise<TenantChanged>;
  restart(by: Actor, tenant: string): Promise<TenantChanged>;
  remove(by: Actor, tenant: string): Promise<TenantChanged>;
}

export const DEFAULT_POOL = 'default';

export function createTenants(context: ServiceContext, cache: TemplateCache): Tenants {
  const { store } = context;
  const mutate = mutateWith(context);

  return {
    async list(filter, page) {
      const rows = await store.tenantViews(filter, { ...page, limit: page.limit + 1 });
      return listed(rows.map(tenantShown), page.limit, (tenant) => tenant.tenant);
    },
    async show(tenant) {
      const view = foundTenant(await store.tenantView(tenant), tenant);
      return { ...tenantShown(view), ...(await databaseOf(store, tenant)) };
    },

    async create(by, given) {
      // KMS may take its time, so nobody is kept waiting in a transaction meanwhile.
      const secrets = await sealAll(context, by, given.tenant, given.secrets ?? {}, () => 1);
      return await mutate(by, async (tx, at, look) => {
        checkNames(Object.keys(given.variables));
        look.left = given.takeUpDatabase === true ? 'take-up' : 'refuse';
        const app = await tx.app(given.app);
        if (app === null)
          throw new BerthError('not_found', `There is no app ${given.app}; apply its Compose file first.`);
        if ((await tx.tenant(given.tenant)) !== null)
          throw new BerthError(
            'already_exists',
            `There is a tenant ${given.tenant} already. Choose another name.`,
          );
        const pool = await poolFor(tx, given);
        const draft: TenantRecord = {
          tenant: given.tenant,
          app: given.app,
          release: given.release ?? app.current,
          generation: await tx.firstGeneration(given.tenant),
          state: 'running',
          host: '',
          pool,
          domains: given.domains,
          routes: [],
          reservedMemory: 0,
          reservedCpus: 0,
          surgeMemory: 0,
          tags: [...new Set(given.tags)],
          pinned: null,
          window: null,
          tenancy: given.tenancy ?? 'shared',
          egress: given.egress ?? null,
          createdAt: at,
          updatedAt: at,
        };
        await refuseOwnAddress(tx, given.tenant, Object.keys(given.secrets ?? {}));
        await insertAll(tx, secrets);
        const { desired } = await renderRecord(tx, cache, look, draft, given.variables);
        const hosts = await tx.lockHosts(given.host === undefined ? { pool } : { host: given.host });
        const placed = place(hosts, needOf(desired.spec), {
          pool,
          host: given.host,
          cpuOvercommit: context.cpuOvercommit,
          tenancy: given.tenancy,
        });
        if (placed.kind === 'refused')
          throw new BerthError(placed.code, placed.reason, { details: { hosts: placed.numbers } });
        await requireSigned(tx, placed.host, desired);
        const record = { ...withNeed(draft, desired), host: placed.host };
        await requireSealing(tx, record.host, desired);
        await tx.insertTenant(record);
        await claim(tx, record.tenant, record.domains);
        for (const [name, value] of Object.entries(given.variables))
          await tx.setVariable('tenant', record.tenant, name, value, at);
        const revision = await tx.putDesired(record.host, { kind: 'tenant', entry: desired });
        await remember(tx, by, record, at, 'created', `Created with release ${record.release}.`);
        await tx.addEvents([
          tenantEvent(
            'tenant.created',
            record,
            at,
            `Tenant ${record.tenant} of app ${record.app} is placed.`,
          ),
        ]);
        return {
          record,
          audit: {
            action: 'tenant.created',
            before: null,
            after: {
              ...record,
              revision,
              variables: Object.keys(given.variables).sort(),
              ...(secrets.length === 0 ? {} : { secrets: secrets.map(auditedSecret) }),
            },
            told: revision,
          },
        };
      });
    },

    change: (by, tenant, change) =>
      mutate(by, async (tx, at, look) => {
        checkNames(Object.keys(change.variables ?? {}));
        const before = await lockChangeable(tx, tenant);
        const present = await tx.desiredTenant(before.host, tenant);
        if (present === null)
          throw new BerthError('internal', `Nothing is desired of ${tenant} on its host.`);
        const draft: TenantRecord = {
          ...before,
          release: change.release ?? before.release,
          domains: change.domains ?? before.domains,
          egress: change.egress === undefined ? before.egress : change.egress,
          tenancy: change.tenancy ?? before.tenancy,
          updatedAt: at,
        };
        const { desired } = await renderRecord(tx, cache, look, draft, change.variables);
        const set: string[] = [];
        for (const [name, value] of Object.entries(change.variables ?? {}))
          if (await tx.setVariable('tenant', tenant, name, value, at)) set.push(name);
        const effect = effectOf(present, desired);
        if (before.tenancy !== draft.tenancy) await requireAlone(tx, draft);
        // What is said anew may be what holds already; it is kept all the same.
        if (effect === 'none' && (before.tenancy !== draft.tenancy || wordOf(before) !== wordOf(draft)))
          return await changedWord(tx, before, draft, set, at);
        if (effect === 'none') {
          // A variable that the template does not use is kept all the same.
          const audit =
            set.length === 0
              ? null
              : {
                  action: 'tenant.variables',
                  before: null,
                  after: { variables: set.sort() },
                  told: undefined,
                };
          return { record: before, audit };
        }
        if (effect === 'new-generation') await requireSigned(tx, before.host, desired);
        const record = withNeed(
          {
            ...draft,
            generation: effect === 'new-generation' ? await nextGeneration(tx, before) : before.generation,
          },
          desired,
        );
        if (change.domains !== undefined) await claim(tx, tenant, change.domains);
        await requireSealing(tx, record.host, desired);
        await tx.updateTenant(record);
        const revision = await tx.putDesired(record.host, {
          kind: 'tenant',
          entry: { ...asPut(effect, present, desired), generation: record.generation },
        });
        const message =
          effect === 'new-generation'
            ? `Tenant ${tenant} is to move to generation ${record.generation}, release ${record.release}.`
            : reachedWords(present, record, desired);
        if (effect === 'new-generation')
          await remember(tx, by, record, at, 'changed', changedWords(before, record, set));
        await tx.addEvents([tenantEvent('tenant.changed', record, at, message)]);
        return {
          record,
          audit: {
            action: 'tenant.changed',
            before: audited(before),
            // Values may be private; the audit names what was set, not to what.
            after: { ...audited(record), revision, variables: set.sort() },
            told: revision,
          },
        };
      }),

    pause: (by, tenant) => mutate(by, (tx, at) => setState(tx, tenant, 'paused', at)),
    resume: (by, tenant) => mutate(by, (tx, at) => setState(tx, tenant, 'running', at)),

    restart: (by, tenant) =>
      mutate(by, async (tx, at, look) => {
        const before = await lockChangeable(tx, tenant);
        if (before.state === 'paused') {
          throw new BerthError(
            'conflict',
            `Tenant ${tenant} is paused; bring it back with "berth tenant resume ${tenant}".`,
          );
        }
        const draft = { ...before, generation: await nextGeneration(tx, before), updatedAt: at };
        const { desired } = await renderRecord(tx, cache, look, draft);
        await requireSigned(tx, before.host, desired);
        const record = withNeed(draft, desired);
        await remember(tx, by, record, at, 'restarted', 'Started anew.');
        return await put(
          tx,
          before,
          record,
          desired,
          'tenant.restarted',
          at,
          `Tenant ${tenant} is to start anew as generation ${record.generation}.`,
        );
      }),

    remove: (by, tenant) =>
      mutate(by, async (tx, at) => {
        const before = foundTenant(await tx.lockTenant(tenant), tenant);
        if (before.state === 'removing') return { record: before, audit: null };
        const record: TenantRecord = { ...before, state: 'removing', updatedAt: at };
        await tx.updateTenant(record);
        const revision = await tx.putDesired(record.host, {
          kind: 'tombstone',
          entry: { tenant, generation: record.generation, state: 'proposed' },
        });
        await tx.addEvents([
          tenantEvent('tenant.changed', record, at, `Tenant ${tenant} is to be removed; its volumes stay.`),
        ]);
        return {
          record,
          audit: {
            action: 'tenant.deleted',
            before: audited(before),
            after: { ...audited(record), revision },
            told: revision,
          },
        };
      }),
  };
}

/** Errors: `conflict` when somebody else is on the host that a tenant is to have to itself. */
async function requireAlone(tx: StoreWrites, tenant: TenantRecord): Promise<void> {
  if (tenant.tenancy === 'shared') return;
  const [host] = await tx.lockHosts({ host: tenant.host });
  const others = (host?.tenants ?? 1) - 1;
  if (others === 0) return;
  throw new BerthError(
    'conflict',
    `Host ${host?.name ?? tenant.host} carries ${others} other tenant${others === 1 ? '' : 's'}, so it cannot become ${tenant.tenant}'s own. Take them away first, or create the tenant anew with --dedicated.`,
  );
}

async function changedWord(
  tx: StoreWrites,
  before: TenantRecord,
  record: TenantRecord,
  set: readonly string[],
  at: number,
): Promise<Outcome> {
  await tx.updateTenant(record);
  const message =
    record.tenancy === before.tenancy
      ? `What is said of where tenant ${record.tenant} may connect to was changed; the same holds as before.`
      : record.tenancy === 'dedicated'
        ? `Tenant ${record.tenant} has its host to itself from now on.`
        : `Tenant ${record.tenant} shares its host from now on.`;
  await tx.addEvents([tenantEvent('tenant.changed', record, at, message)]);
  const after = { ...audited(record), variables: [...set].sort() };
  return {
    record,
    audit: { action: 'tenant.changed', before: audited(before), after, told: undefined },
  };
}

function wordOf({ egress }: TenantRecord): string {
  return egress === null ? '' : egressText(egress);
}

function reachedWords(before: DesiredTenant, record: TenantRecord, after: DesiredTenant): string {
  const domains = before.domains.join() !== record.domains.join();
  const egress = egressText(after.egress ?? after.spec.egress ?? DEFAULT_EGRESS);
  const words = [
    ...(domains ? [`has other domains: ${record.domains.join(', ')}`] : []),
    ...(domains && egress === egressText(before.egress ?? before.spec.egress ?? DEFAULT_EGRESS)
      ? []
      : [`may connect to: ${egress}`]),
  ];
  return `Tenant ${record.tenant} ${words.join(', and ')}.`.slice(0, 1000);
}

async function setState(
  tx: StoreWrites,
  tenant: string,
  state: 'running' | 'paused',
  at: number,
): Promise<Outcome> {
  const before = await lockChangeable(tx, tenant);
  if (before.state === state) return { record: before, audit: null };
  const present = await tx.desiredTenant(before.host, tenant);
  if (present === null) throw new BerthError('internal', `Nothing is desired of ${tenant} on its host.`);
  const record: TenantRecord = { ...before, state, updatedAt: at };
  const message =
    state === 'paused' ? `Tenant ${tenant} is to be paused.` : `Tenant ${tenant} is to come back.`;
  return await put(
    tx,
    before,
    record,
    { ...present, state },
    state === 'paused' ? 'tenant.paused' : 'tenant.resumed',
    at,
    message,
  );
}

/** The pool that is named, else that of the host that is named. Errors: `invalid_request` when they are two. */
async function poolFor(
  tx: StoreWrites,
  given: { host?: string | undefined; pool?: string | undefined },
): Promise<string> {
  const host = given.host === undefined ? null : await tx.host(given.host);
  // A tenant's pool says who may see and change it, so it must be that of the host which it is on.
  if (host !== null && given.pool !== undefined && given.pool !== host.pool)
    throw new BerthError(
      'invalid_request',
      `Host ${host.name} is in pool ${host.pool}, not in ${given.pool}. Leave out one of the two.`,
      { details: { field: 'pool' } },
    );
  return given.pool ?? host?.pool ?? DEFAULT_POOL;
}

/** Names of variables are told, their values are not. */
function changedWords(before: TenantRecord, after: TenantRecord, set: readonly string[]): string {
  const release =
    before.release === after.release ? [] : [`release ${before.release} became ${after.release}`];
  const variables = set.length === 0 ? [] : [`variables ${[...set].sort().join(', ')}`];
  return `Changed: ${[...release, ...variables].join('; ') || 'what its release makes of it'}.`.slice(
    0,
    1000,
  );
}
