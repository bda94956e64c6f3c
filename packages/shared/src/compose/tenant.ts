import { ServiceName, VolumeName } from '../domain/ids.ts';
import type { ServiceSpec, TenantSpec } from '../domain/spec.ts';
import type { TopBerth } from './berth.ts';
import { readTopBerth, releaseOf } from './berth.ts';
import { checkDatabase, takeDatabaseVariables, withDatabase } from './database.ts';
import { checkDependencies } from './depends.ts';
import type { Fields } from './fields.ts';
import { fields } from './fields.ts';
import type { Findings } from './findings.ts';
import { IGNORED_AT_TOP } from './ignored.ts';
import type { Entry, Tree } from './positions.ts';
import { readNetworks, readVolumes } from './reach.ts';
import { REFUSED_AT_TOP } from './refused.ts';
import { checkRoutes, deriveRoute } from './routes.ts';
import { DATABASE_VARIABLE } from '../domain/database.ts';
import { readDeclaredSecrets, refTo } from './secrets.ts';
import type { ServiceDraft } from './service.ts';
import { readService } from './service.ts';
import type { Filling } from './substitute.ts';
import { substitute } from './substitute.ts';
import { isNull, quote, show, text } from './values.ts';

const MOST_SERVICES = 24;

export interface TenantRead {
  name: string;
  spec: TenantSpec;
  /** Some service answers requests. */
  routed: boolean;
}

/**
 * Reads the whole document. While checking, values that depend on a tenant's variables are stood in for, so `spec`
 * only means something when rendering, and only when the findings hold no error.
 */
export function readTenant(
  tree: Tree,
  filling: Filling,
  envFiles: Readonly<Record<string, string>>,
): TenantRead {
  const f = filling.findings;
  const top = fields(f, tree, {
    what: 'a compose file',
    known: ['name', 'services', 'volumes', 'networks', 'secrets', 'x-berth'],
    ignored: IGNORED_AT_TOP,
    refused: REFUSED_AT_TOP,
  });
  const filled = (key: string): Tree | undefined => {
    const node = top.get(key);
    return node === undefined ? undefined : substitute(node, filling, undefined);
  };
  const nameNode = filled('name');
  const volumesNode = filled('volumes');
  const networksNode = filled('networks');
  const secretsNode = filled('secrets');
  const berth = readTopBerth(f, filled('x-berth'));
  const volumes = volumesNode === undefined ? new Set<string>() : readVolumes(f, volumesNode);
  const networks = networksNode === undefined ? new Set<string>() : readNetworks(f, networksNode);

  const secrets = secretsNode === undefined ? new Map<string, string>() : readDeclaredSecrets(f, secretsNode);
  const { kept, leftOut } = chooseServices(f, tree, top);
  const wish = berth.database?.wish;
  const managed = wish?.kind === 'managed' ? berth.database : undefined;
  const address = managed === undefined ? undefined : refTo(filling, DATABASE_VARIABLE);
  if (managed !== undefined && address === undefined)
    f.error(managed.at, 'the database of this tenant is not made yet; move it with `berth tenant set`');
  const drafts = kept.map((entry) => {
    const { value: own, names } =
      managed === undefined ? { value: entry.value, names: [] } : takeDatabaseVariables(f, entry.value);
    const value = substitute(own, filling, entry.key);
    const draft = readService(
      { ...entry, value },
      {
        filling,
        envFiles,
        networks,
        secrets,
        profile: berth.profile,
      },
    );
    if (address === undefined) return draft;
    return { ...draft, spec: withDatabase(f, draft.at, draft.spec, names, address) };
  });
  if (managed !== undefined && filling.variables.has(DATABASE_VARIABLE))
    f.error(
      managed.at,
      `${DATABASE_VARIABLE} is a secret, and an env file uses it; write it under environment instead`,
    );
  for (const draft of drafts) checkVolumes(f, draft, volumes);
  const guessed = deriveRoute(f, drafts);
  checkRoutes(f, drafts);
  checkRelease(f, berth, drafts, leftOut);
  checkDatabase(
    f,
    berth.database,
    drafts.map((draft) => draft.spec),
  );

  const services = inOrder(f, drafts, leftOut);
  const release = releaseOf(berth);
  return {
    name: nameNode === undefined ? '' : (readName(f, nameNode) ?? ''),
    spec: {
      services,
      volumes: [
        ...new Set(services.flatMap((service) => service.volumes.map((mount) => mount.volume))),
      ].toSorted(),
      ...(release === undefined ? {} : { release }),
      bakeMs: berth.bakeMs,
      ...(berth.egress === undefined ? {} : { egress: berth.egress }),
      ...(wish === undefined ? {} : { database: wish }),
    },
    routed: guessed || drafts.some((draft) => draft.routeAt !== undefined),
  };
}

function readName(f: Findings, node: Tree): string | undefined {
  const what = 'a name of a-z, 0-9, "_" and "-" that begins with a letter or digit';
  return text(f, node, what, /^[a-z0-9][a-z0-9_-]{0,62}$/);
}

/** The services that a tenant runs: all but those with `profiles`, which are for work on the app. */
function chooseServices(f: Findings, tree: Tree, top: Fields): { kept: Entry[]; leftOut: Set<string> } {
  const node = top.get('services');
  const kept: Entry[] = [];
  const leftOut = new Set<string>();
  if (node?.kind !== 'map') {
    if (tree.kind === 'map')
      f.error(node ?? tree, node === undefined ? 'has no services' : `must be a mapping, not ${show(node)}`);
    return { kept, leftOut };
  }
  for (const entry of node.entries) {
    if (entry.key.startsWith('x-')) continue;
    const name = ServiceName.safeParse(entry.key);
    const profiles =
      entry.value.kind === 'map' ? entry.value.entries.find((one) => one.key === 'profiles') : undefined;
    if (!name.success) {
      f.error(entry, 'a service name must be 1 to 40 characters of letters, digits, "_", "." and "-"');
    } else if (profiles !== undefined && !asksForNothing(profiles.value)) {
      f.warn(
        profiles,
        `the service ${quote(entry.key)} is left out because it has profiles; remove them if tenants need it`,
      );
      leftOut.add(entry.key);
    } else {
      kept.push(entry);
    }
  }
  if (kept.length === 0 && !f.failed) f.error(node, 'has no service that would run');
  const extra = kept[MOST_SERVICES];
  if (extra !== undefined)
    f.error(extra, `a tenant has ${MOST_SERVICES} services at most, and this is one more`);
  return { kept: kept.slice(0, MOST_SERVICES), leftOut };
}

function asksForNothing(profiles: Tree): boolean {
  return isNull(profiles) || (profiles.kind === 'list' && profiles.items.length === 0);
}

function checkVolumes(f: Findings, draft: ServiceDraft, declared: ReadonlySet<string>): void {
  for (const { volume, at, shown } of draft.named) {
    if (!declared.has(volume))
      f.error(at, `the volume of ${shown} is not declared under the top-level volumes`);
    else if (!VolumeName.safeParse(volume).success) f.error(at, `${shown} is not a name for a volume`);
  }
  if (draft.spec.volumes.length === 0) return;
  if (draft.spec.replicas > 1) {
    f.warn(
      draft.at,
      `all ${draft.spec.replicas} replicas share the same volumes; be sure that the program can do that`,
    );
  }
  if (draft.spec.strategy === 'blue-green' && draft.strategyAt !== undefined) {
    f.warn(
      draft.strategyAt,
      'for a while the old and the new container use the same volumes; be sure that the program can do that',
    );
  }
}

function checkRelease(
  f: Findings,
  berth: TopBerth,
  drafts: readonly ServiceDraft[],
  leftOut: ReadonlySet<string>,
): void {
  const { release } = berth;
  if (release === undefined || drafts.some((draft) => draft.spec.name === release.service)) return;
  const why = leftOut.has(release.service)
    ? 'is left out because it has profiles'
    : 'is not a service of this file';
  f.error(release.at, `${show(release.at)} ${why}`);
}

function inOrder(f: Findings, drafts: readonly ServiceDraft[], leftOut: ReadonlySet<string>): ServiceSpec[] {
  const dependents = drafts.map((draft) => ({ ...draft, name: draft.spec.name }));
  const { order, kept } = checkDependencies(f, dependents, leftOut);
  const byName = new Map(drafts.map((draft) => [draft.spec.name, draft]));
  /** A job that others wait for ends, and must not be started again, unless the file says so itself. */
  const jobs = new Set(
    [...kept.values()]
      .flat()
      .flatMap((dependency) => (dependency.condition === 'completed' ? [dependency.service] : [])),
  );
  return order.flatMap((name) => {
    const draft = byName.get(name);
    if (draft === undefined) return [];
    const dependsOn = (kept.get(name) ?? []).map(({ service, condition, required }) => ({
      service,
      condition,
      required,
    }));
    const restart = draft.restart === undefined && jobs.has(name) ? 'no' : draft.spec.restart;
    return [{ ...draft.spec, dependsOn, restart }];
  });
}
