import type { Change } from '@berth/shared/api/schemas';
import { canonicalJson } from '@berth/shared/domain/digest';
import type { DesiredTenant } from '@berth/shared/domain/desired';

export type Effect = 'none' | 'new-generation' | 'routes-only';

/**
 * What moving from one desired state to another means. Containers carry their release as a label, so another release is
 * another generation even when its services are the same; domains alone only move routes. How long it bakes does not
 * change what runs: a rollout sets its own time.
 */
export function effectOf(before: DesiredTenant, after: DesiredTenant): Effect {
  if (before.release !== after.release || contentOf(before) !== contentOf(after)) return 'new-generation';
  return canonicalJson(before.domains) === canonicalJson(after.domains) ? 'none' : 'routes-only';
}

/** `after` as it is put: while its generation stays, so does its spec with the time to bake that it was given with. */
export function asPut(effect: Effect, before: DesiredTenant, after: DesiredTenant): DesiredTenant {
  return effect === 'new-generation' ? after : { ...after, spec: before.spec };
}

/** What of a spec makes a generation. */
function contentOf({ spec }: DesiredTenant): string {
  return canonicalJson({ ...spec, bakeMs: 0 });
}

/** Each leaf that differs, by path: services by name, lists whole. */
export function changesBetween(before: DesiredTenant, after: DesiredTenant): Change[] {
  const old = leavesOfDesired(before);
  const fresh = leavesOfDesired(after);
  const paths = [...new Set([...old.keys(), ...fresh.keys()])].sort();
  return paths.flatMap((path) => {
    const change = { path, before: old.get(path) ?? null, after: fresh.get(path) ?? null };
    return change.before === change.after ? [] : [change];
  });
}

function leavesOfDesired(desired: DesiredTenant): Map<string, string> {
  const { services, ...rest } = desired.spec;
  return leavesOf({
    release: desired.release,
    state: desired.state,
    domains: desired.domains,
    ...rest,
    services: Object.fromEntries(services.map(({ name, ...service }) => [name, service])),
  });
}

/** What stands at the ends of a value, as text by path. */
export function leavesOf(value: Readonly<Record<string, unknown>>): Map<string, string> {
  const leaves = new Map<string, string>();
  collect(leaves, '', value);
  return leaves;
}

function collect(leaves: Map<string, string>, path: string, value: unknown): void {
  if (value === undefined) return;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    leaves.set(path, typeof value === 'string' ? value : canonicalJson(value));
    return;
  }
  for (const [key, item] of Object.entries(value))
    collect(leaves, path === '' ? key : `${path}.${key}`, item);
}
