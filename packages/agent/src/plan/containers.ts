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
 * not younger than the generation. A service that is coloured in it has no keeper in it.
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
  const coloured = new Set(keepers.size === 0 ? [] : colours.map((each) => each.service));
  const kept = [...keepers.values()].filter((each) => !coloured.has(each.service));
  const members = kept.length === 0 ? colours : [...colours, ...kept];
  // Most have one or two, and a sort of even those makes garbage.
  const inOrder = members.every((each, index) => index === 0 || (members[index - 1]?.name ?? '') < each.name);
  return inOrder ? members : members.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * The members of a generation of which nobody remembers what it was made of, without keepers that were replaced. An older
 * one that does not run may have been replaced by a younger one of another name, on the same volume, also where nothing
 * tells what it holds: it is left as it is.
 */
export function certainMembers(
  containers: readonly ObservedContainer[],
  generation: number,
): ObservedContainer[] {
  const members = membersOf(containers, generation);
  const keepers = members.filter((each) => each.role === 'keeper');
  if (keepers.length === 0) return members;
  const replaced = replacedKeepers(containers, generation);
  return members.filter(
    (each) =>
      each.role !== 'keeper' ||
      (!replaced.includes(each) &&
        (isUp(each) ||
          !keepers.some((other) => other.service !== each.service && other.generation > each.generation))),
  );
}

/**
 * Keepers in whose place another container came, of another name but on a volume of theirs, that is not younger than the
 * generation either: the generation has the youngest. They must never run at the same time.
 */
export function replacedKeepers(
  containers: readonly ObservedContainer[],
  generation: number,
): ObservedContainer[] {
  const keepers = containers.filter((each) => each.role === 'keeper' && each.generation <= generation);
  const colours = containers.filter((each) => each.role === 'colour' && each.generation === generation);
  return keepers.filter((each) =>
    [...keepers, ...colours].some(
      (other) =>
        other.service !== each.service && other.generation > each.generation && sharesVolume(each, other),
    ),
  );
}

export function sharesVolume(a: ObservedContainer, b: ObservedContainer): boolean {
  return a.volumes?.some((volume) => b.volumes?.includes(volume)) ?? false;
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
