import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { ContainerRef } from '@berth/shared/domain/step';

export function refOf(container: ObservedContainer): ContainerRef {
  return { id: container.id, name: container.name, service: container.service, graceMs: container.graceMs };
}

export function refsOf(containers: readonly ObservedContainer[]): ContainerRef[] {
  return [...containers].sort((a, b) => (a.name < b.name ? -1 : 1)).map(refOf);
}

/** What was observed is never changed in place, so the same list has the same groups. */
const grouped = new WeakMap<
  readonly ObservedContainer[],
  ReadonlyMap<string, readonly ObservedContainer[]>
>();

/** The containers of each tenant that has some. */
export function byTenantOf(
  containers: readonly ObservedContainer[],
): ReadonlyMap<string, readonly ObservedContainer[]> {
  const known = grouped.get(containers);
  if (known !== undefined) return known;
  const groups = Map.groupBy(containers, (each) => each.tenant);
  grouped.set(containers, groups);
  return groups;
}

/** Has a process now, or will have one by Docker's own doing. */
export function isUp(container: ObservedContainer): boolean {
  return container.state === 'running' || container.state === 'restarting' || container.state === 'paused';
}

/**
 * The containers that make up a generation as far as they exist: its colours, and of each keeper the newest one that is
 * not younger than the generation.
 */
export function membersOf(containers: readonly ObservedContainer[], generation: number): ObservedContainer[] {
  const keepers = new Map<string, ObservedContainer>();
  for (const each of containers) {
    if (each.role !== 'keeper' || each.generation > generation) continue;
    const key = `${each.service} ${each.replica}`;
    const best = keepers.get(key);
    if (best === undefined || each.generation > best.generation) keepers.set(key, each);
  }
  const colours = containers.filter((each) => each.role === 'colour' && each.generation === generation);
  const members = keepers.size === 0 ? colours : [...colours, ...keepers.values()];
  // Most have one or two, and a sort of even those makes garbage.
  const inOrder = members.every((each, index) => index === 0 || (members[index - 1]?.name ?? '') < each.name);
  return inOrder ? members : members.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * Keepers that are no part of a generation though they are not younger than it: their service was removed, renamed, runs
 * in fewer copies or is no keeper any more. `names` are those of the generation's containers.
 */
export function strayKeepers(
  containers: readonly ObservedContainer[],
  generation: number,
  names: ReadonlySet<string>,
): ObservedContainer[] {
  return containers.filter(
    (each) => each.role === 'keeper' && each.generation <= generation && !names.has(each.name),
  );
}

/** How long the slowest of them may take to let its connections go. */
export function drainOf(containers: readonly ObservedContainer[]): number {
  return Math.max(0, ...containers.map((each) => each.drainMs));
}
