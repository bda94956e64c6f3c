import type { Dependency } from '../domain/spec.ts';
import { fields } from './fields.ts';
import type { Findings, Spot } from './findings.ts';
import type { Tree } from './positions.ts';
import { boolean, choice, items, show, text } from './values.ts';

export interface DependencyAt extends Dependency {
  at: Spot;
  /** For messages: never the value of a variable. */
  shown: string;
}

/** `depends_on` as a list or a mapping. Whether the services exist is for {@link checkDependencies}. */
export function readDependsOn(f: Findings, node: Tree): DependencyAt[] {
  if (node.kind !== 'map') {
    return items(f, node).flatMap((item): DependencyAt[] => {
      const service = text(f, item, 'the name of a service');
      return service === undefined
        ? []
        : [{ service, condition: 'started', required: true, at: item, shown: show(item) }];
    });
  }
  return node.entries.map((entry) => {
    const given = fields(f, entry.value, {
      what: 'depends_on',
      known: ['condition', 'required'],
      ignored: [{ key: 'restart', reason: 'a deploy restarts what changed', harmless: ['false'] }],
    });
    const conditionNode = given.get('condition');
    const requiredNode = given.get('required');
    return {
      service: entry.key,
      condition: conditionNode === undefined ? 'started' : readCondition(f, conditionNode),
      required: requiredNode === undefined ? true : (boolean(f, requiredNode) ?? true),
      at: entry,
      shown: `\`${entry.key.slice(0, 80)}\``,
    };
  });
}

function readCondition(f: Findings, node: Tree): Dependency['condition'] {
  switch (choice(f, node, ['service_started', 'service_healthy', 'service_completed_successfully'])) {
    case 'service_healthy':
      return 'healthy';
    case 'service_completed_successfully':
      return 'completed';
    case 'service_started':
    case undefined:
      return 'started';
  }
}

/** What the checks need to know of each service. */
export interface Dependent {
  name: string;
  dependsOn: DependencyAt[];
  health: 'check' | 'none' | 'unknown';
  /** The restart policy as written, with its place; undefined when none is. */
  restart: { value: string; at: Spot } | undefined;
}

/** Checks the graph and returns the names in dependency order, each service after all it depends on. */
export function checkDependencies(
  f: Findings,
  services: readonly Dependent[],
  leftOut: ReadonlySet<string>,
): { order: string[]; kept: Map<string, DependencyAt[]> } {
  const byName = new Map(services.map((service) => [service.name, service]));
  const kept = new Map<string, DependencyAt[]>();
  for (const service of services) {
    kept.set(
      service.name,
      service.dependsOn.filter((dependency) => checkOne(f, service, dependency, byName, leftOut)),
    );
  }
  return { order: order(f, services, kept), kept };
}

function checkOne(
  f: Findings,
  service: Dependent,
  dependency: DependencyAt,
  byName: ReadonlyMap<string, Dependent>,
  leftOut: ReadonlySet<string>,
): boolean {
  const { at, shown } = dependency;
  const target = byName.get(dependency.service);
  if (target === undefined) {
    if (!dependency.required) return false;
    const why = leftOut.has(dependency.service)
      ? 'is left out because it has profiles; remove its profiles, or write required: false here'
      : 'is not a service of this file';
    f.error(at, `${shown} ${why}`);
    return false;
  }
  if (target.name === service.name) {
    f.error(at, 'a service cannot depend on itself');
    return false;
  }
  if (dependency.condition === 'healthy' && target.health === 'none') {
    f.error(
      at,
      `waits for ${shown} to be healthy, but it has no healthcheck; give it one, or use service_started`,
    );
  }
  if (dependency.condition === 'completed' && target.restart?.value === 'always') {
    f.error(
      target.restart.at,
      `\`${service.name}\` waits for \`${target.name}\` to complete, but this starts it again; write restart: "no"`,
    );
  }
  return true;
}

/** Depth first, in the order of the file; a cycle is an error that names it. */
function order(
  f: Findings,
  services: readonly Dependent[],
  kept: ReadonlyMap<string, DependencyAt[]>,
): string[] {
  const done: string[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const trail: string[] = [];
  const visit = (name: string): void => {
    state.set(name, 'open');
    trail.push(name);
    for (const dependency of kept.get(name) ?? []) {
      const seen = state.get(dependency.service);
      if (seen === 'open') {
        const cycle = [...trail.slice(trail.indexOf(dependency.service)), dependency.service];
        f.error(dependency.at, `services wait for each other in a circle: ${cycle.join(' -> ')}`);
      } else if (seen === undefined) {
        visit(dependency.service);
      }
    }
    trail.pop();
    state.set(name, 'done');
    done.push(name);
  };
  for (const service of services) {
    if (!state.has(service.name)) visit(service.name);
  }
  return done;
}
