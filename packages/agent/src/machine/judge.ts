import type { ObservedContainer } from '@berth/shared/domain/observed';

/** What is wrong with a container of a generation that is meant to serve. */
export type Complaint =
  { kind: 'crashes'; container: ObservedContainer } | { kind: 'unhealthy'; container: ObservedContainer };

/** How many ends of a process by itself, lately, are too many: while a generation bakes one, */
export const BAKING = 1;
/** and later, when Docker has brought it back often enough to call it a loop. */
export const SERVING = 3;

/**
 * The first complaint about these containers, or null. A job that ended well, and a container that was told to stop, are
 * no complaint.
 */
export function judge(containers: readonly ObservedContainer[], crashes: number): Complaint | null {
  // Nearly always there is none, and a sort for each tenant of a host makes garbage.
  const bad = containers.filter((each) => complaintOf(each, crashes) !== null);
  const [first] = bad.sort((a, b) => (a.name < b.name ? -1 : 1));
  return first === undefined ? null : complaintOf(first, crashes);
}

function complaintOf(container: ObservedContainer, crashes: number): Complaint | null {
  if (container.role === 'release' || container.exitCode === 0) return null;
  // Docker waits before it starts it once more; the agent may not have been there for the ends before.
  if (container.deaths >= crashes || container.state === 'restarting') return { kind: 'crashes', container };
  if (container.state === 'running' && container.health === 'unhealthy')
    return { kind: 'unhealthy', container };
  return null;
}
