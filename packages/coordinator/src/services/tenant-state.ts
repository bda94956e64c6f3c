import type { Finding } from '@berth/shared/compose/findings';
import type { Template } from '@berth/shared/compose/template';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { BerthError } from '@berth/shared/domain/errors';
import type { EventKind } from '@berth/shared/domain/events';
import { DATABASE_VARIABLE } from '@berth/shared/domain/database';
import {
  isAddress,
  isProvided,
  refuseForeignAddress,
  withAddressStandIn,
  type DatabaseLook,
} from './database-look.ts';
import { needOf } from './need.ts';
import { withPins } from './pinning.ts';
import { sentSignature } from './release-sign.ts';
import type { KeptSignature, NewEvent, ReleaseSource, TenantRecord, VariableRecord } from './records.ts';
import { secretRefsIn } from './secret-refs.ts';
import type { StoreReads, StoreWrites } from './store.ts';
import { renderFor, type TemplateCache } from './templates.ts';
import { mergeVariables, withChanges, withRelease } from './variables.ts';

/** The parts of a tenant's desired state that are computed from its record, its release and its variables. */
export interface Rendered {
  desired: DesiredTenant;
  template: Template;
  warnings: Finding[];
}

/** What `look` finds missing of the tenant's database is left in it; see there. */
export async function renderRecord(
  reads: StoreReads,
  cache: TemplateCache,
  look: DatabaseLook,
  record: TenantRecord,
  changes: Readonly<Record<string, string | null>> = {},
): Promise<Rendered> {
  const release = await reads.release(record.app, record.release);
  if (release === null) {
    throw new BerthError(
      'not_found',
      `App ${record.app} has no release ${record.release}; see "berth app show ${record.app}".`,
    );
  }
  const template = cache.of(release);
  const rows = withChanges(await reads.variables(record), changes);
  look.wanted = null;
  if (template.database !== 'managed') return { ...renderRows(record, release, template, rows), template };
  const rendered = renderRows(record, release, template, withAddressStandIn(rows));
  const wish = rendered.desired.spec.database;
  if (wish?.kind === 'managed') {
    const present = await reads.tenantDatabase(record.tenant);
    const address = secretRefsIn(rows.filter(isAddress)).get(DATABASE_VARIABLE);
    refuseForeignAddress(record, present, address);
    if (!isProvided(present, address, wish)) {
      const { tenant, app, pool } = record;
      if (look.stage === 'made')
        throw new BerthError(
          'conflict',
          `The database of tenant ${tenant} was changed by others at this moment; try again.`,
        );
      look.wanted = { tenant, app, pool, wish, left: look.left };
    }
  }
  return { ...rendered, template };
}

/** The same of a release and variables that are at hand. Errors: `invalid_compose`. */
export function renderRows(
  record: TenantRecord,
  release: ReleaseSource,
  template: Template,
  rows: readonly VariableRecord[],
): Omit<Rendered, 'template'> {
  const variables = mergeVariables(record, withRelease(rows, release));
  const { spec, warnings } = renderFor(record.tenant, template, variables, secretRefsIn(rows));
  return { desired: desiredOf(record, withPins(spec, release.pins), release.signature), warnings };
}

function desiredOf(
  record: TenantRecord,
  spec: DesiredTenant['spec'],
  kept: KeptSignature | undefined,
): DesiredTenant {
  const signature = sentSignature(kept);
  return {
    tenant: record.tenant,
    app: record.app,
    release: record.release,
    generation: record.generation,
    state: record.state === 'paused' ? 'paused' : 'running',
    domains: record.domains,
    spec,
    ...(signature === undefined ? {} : { signature }),
    ...(record.egress === null ? {} : { egress: record.egress }),
  };
}

/** An earlier entry with what an operator says now about where the tenant may connect to. */
export function withWord(entry: DesiredTenant, { egress }: Pick<TenantRecord, 'egress'>): DesiredTenant {
  const { egress: _before, ...rest } = entry;
  return egress === null ? rest : { ...rest, egress };
}

/** The record with what is kept of its spec: reservations and routes. */
export function withNeed(record: TenantRecord, desired: DesiredTenant): TenantRecord {
  const need = needOf(desired.spec);
  return {
    ...record,
    reservedMemory: need.memoryBytes,
    reservedCpus: need.cpus,
    surgeMemory: need.surgeBytes,
    routes: routesOf(desired),
  };
}

/** Where a tenant's services are found below its domains. */
export function routesOf({ spec }: Pick<DesiredTenant, 'spec'>): TenantRecord['routes'] {
  return spec.services.flatMap(({ route }) =>
    route === undefined ? [] : [{ subdomain: route.subdomain ?? '', path: route.path }],
  );
}

/** Errors: `not_found`. */
export function foundTenant<T>(tenant: T | null, name: string): T {
  if (tenant !== null) return tenant;
  throw new BerthError('not_found', `There is no tenant ${name}; see "berth tenant list".`);
}

/** A tenant that may be changed, held until the transaction ends. Errors: `not_found`, `conflict` while it is removed. */
export async function lockChangeable(tx: StoreWrites, tenant: string): Promise<TenantRecord> {
  const record = foundTenant(await tx.lockTenant(tenant), tenant);
  if (record.state === 'removing') {
    throw new BerthError('conflict', `Tenant ${tenant} is being removed and cannot be changed any more.`);
  }
  return record;
}

/**
 * Above every generation that the tenant had, also those that only its host remembers after a restore, and those that it
 * has gone back from: a number always means the same content.
 */
export async function nextGeneration(reads: StoreReads, record: TenantRecord): Promise<number> {
  return Math.max(record.generation, await reads.lastGeneration(record.tenant)) + 1;
}

/** Errors: `observe_only` after a restore, until somebody has confirmed the coordinator's state. */
export async function requireApply(reads: StoreReads): Promise<void> {
  const epoch = await reads.epoch();
  if (epoch.mode === 'apply') return;
  throw new BerthError(
    'observe_only',
    `The coordinator only observes (${epoch.reason ?? 'no reason recorded'}). Compare its state with the hosts, confirm it, and try again.`,
    { details: { epoch: epoch.epoch } },
  );
}

export async function claim(tx: StoreWrites, tenant: string, domains: readonly string[]): Promise<void> {
  const twice = domains.find((domain, index) => domains.indexOf(domain) !== index);
  if (twice !== undefined)
    throw new BerthError('invalid_request', `The domain ${twice} is given twice.`, {
      details: { field: 'domains' },
    });
  const taken = await tx.claimDomains(tenant, domains);
  if (taken === null) return;
  throw new BerthError(
    'domain_taken',
    `The domain ${taken} belongs to another tenant. Choose another domain, or take it from that tenant first.`,
    {
      details: { domain: taken },
    },
  );
}

export function tenantEvent(kind: EventKind, record: TenantRecord, at: number, message: string): NewEvent {
  return {
    kind,
    at,
    tenant: record.tenant,
    app: record.app,
    host: record.host,
    generation: record.generation,
    message,
    details: { release: record.release, state: record.state },
  };
}
