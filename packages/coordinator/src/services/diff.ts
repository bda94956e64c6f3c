import type { Change } from '@berth/shared/api/schemas';
import { canonicalJson } from '@berth/shared/domain/digest';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import type { SecretRef } from '@berth/shared/domain/secret';
import type { ServiceSpec } from '@berth/shared/domain/spec';
import { DEFAULT_EGRESS, egressText } from '@berth/shared/domain/egress';

export type Effect = 'none' | 'new-generation' | 'routes-only';

/**
 * What moving from one desired state to another means. Containers carry their release as a label, so another release is
 * another generation even when its services are the same; domains and egress alone change
 * only what leads to and from them. How long it bakes does not
 * change what runs: a rollout sets its own time.
 */
export function effectOf(before: DesiredTenant, after: DesiredTenant): Effect {
  if (before.release !== after.release || contentOf(before) !== contentOf(after)) return 'new-generation';
  return canonicalJson(reachOf(before)) === canonicalJson(reachOf(after)) ? 'none' : 'routes-only';
}

/** `after` as it is put: while its generation stays, so does its spec with the time to bake that it was given with. */
export function asPut(effect: Effect, before: DesiredTenant, after: DesiredTenant): DesiredTenant {
  if (effect === 'new-generation') return after;
  const { egress: _before, ...spec } = before.spec;
  return { ...after, spec: after.spec.egress === undefined ? spec : { ...spec, egress: after.spec.egress } };
}

/** What holds for the containers that there are: who comes to them, and where they may connect to. */
function reachOf({ domains, egress, spec }: DesiredTenant): unknown {
  return [domains, egressText(egress ?? spec.egress ?? DEFAULT_EGRESS)];
}

/** What of a spec makes a generation. */
function contentOf({ spec }: DesiredTenant): string {
  const { egress: _reach, ...content } = spec;
  return canonicalJson({ ...content, bakeMs: 0 });
}

/**
 * Each leaf that differs, by path: services by name, lists whole. The time to bake is none of them: it changes nothing that
 * runs, and differs of each tenant whose rollout had its own.
 */
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
  const { services, bakeMs: _bake, ...rest } = desired.spec;
  const leaves = leavesOf({
    state: desired.state,
    domains: desired.domains,
    ...(desired.egress === undefined ? {} : { 'operator-egress': desired.egress }),
    ...rest,
    services: Object.fromEntries(
      services.map(({ name, ...service }) => [name, { ...service, ...secretsOf(service) }]),
    ),
  });
  // Its spec has a `release` too, the release command, whose leaves are below that path.
  return leaves.set('release', String(desired.release));
}

/** Of secrets, which version is where. */
function secretsOf({
  secrets,
  secretEnv,
}: Pick<ServiceSpec, 'secrets' | 'secretEnv'>): Record<string, unknown> {
  const version = ({ name, version, from }: SecretRef): string =>
    `${name} version ${version}${from === undefined ? '' : `, ${from}`}`;
  return {
    secrets: Object.fromEntries(
      (secrets ?? []).map((file) => [file.target, `${version(file)}, ${file.mode}, ${file.uid}:${file.gid}`]),
    ),
    secretEnv: Object.fromEntries(
      Object.entries(secretEnv ?? {}).map(([variable, ref]) => [variable, version(ref)]),
    ),
  };
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
