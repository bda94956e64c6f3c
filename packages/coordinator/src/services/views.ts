import type { Host, Tenant } from '@berth/shared/api/schemas';
import type { z } from 'zod';
import type { HostView, TenantView } from './records.ts';

/**
 * What is shown of a tenant. The phase always speaks of the generation that is desired: a report of another one says
 * nothing about it yet, so until the agent has taken it up the phase is `waiting`.
 */
export function tenantShown(view: TenantView): Tenant {
  const { reported } = view;
  const upToDate = reported !== null && reported.generation === view.generation;
  return {
    tenant: view.tenant,
    app: view.app,
    release: view.release,
    generation: view.generation,
    state: view.state,
    host: view.host,
    hostName: view.hostName,
    pool: view.pool,
    domains: view.domains,
    urls: urlsOf(view),
    tags: view.tags,
    pinned: view.pinned,
    window: view.window,
    tenancy: view.tenancy,
    egress: view.egress,
    phase: upToDate ? reported.phase : 'waiting',
    live: reported?.live ?? null,
    freshness: view.connection === 'online' ? 'current' : 'stale',
    problem: upToDate ? reported.problem : null,
    reportedAt: reported?.at ?? null,
    createdAt: view.createdAt,
    updatedAt: view.updatedAt,
  };
}

/** One address for each name the tenant answers to, with the shortest path that is served there. */
export function urlsOf({
  domains,
  routes,
  ingress,
}: Pick<TenantView, 'domains' | 'routes' | 'ingress'>): string[] {
  const port = ingress === null || ingress.port === 80 ? '' : `:${ingress.port}`;
  const shortest = new Map<string, string>();
  for (const { subdomain, path } of routes) {
    const known = shortest.get(subdomain);
    if (known === undefined || path.length < known.length) shortest.set(subdomain, path);
  }
  return domains.flatMap((domain) =>
    [...shortest].map(
      ([subdomain, path]) => `http://${subdomain === '' ? '' : `${subdomain}.`}${domain}${port}${path}`,
    ),
  );
}

export function hostShown(view: HostView): z.infer<typeof Host> {
  return {
    host: view.host,
    name: view.name,
    pool: view.pool,
    scheduling: view.scheduling,
    connection: view.connection,
    lastSeenAt: view.lastSeenAt,
    agentVersion: view.agentVersion,
    tenants: view.tenants,
    dedicatedTo: view.dedicatedTo,
    capacity: { memoryBytes: view.memoryBytes, cpus: view.cpus },
    reserved: { memoryBytes: view.reservedMemory, cpus: Math.round(view.reservedCpus * 1000) / 1000 },
    revision: view.revision,
    ackedRevision: view.ackedRevision,
    ingress: view.ingress,
    facts: view.facts,
    report: view.report,
    instance: view.instance ?? null,
    createdAt: view.createdAt,
  };
}

/** How long ago, for a sentence: "40 s ago", "3 min ago". */
export function ago(then: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - then) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}
