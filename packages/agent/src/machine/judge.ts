import type { ObservedContainer } from '@berth/shared/domain/observed';

/** What is wrong with a container of a generation that is meant to serve. */
export type Complaint =
  { kind: 'crashes'; container: ObservedContainer } | { kind: 'unhealthy'; container: ObservedContainer };

/** Ends of a process within one generation's life that make a crash loop. */
const CRASHES = 2;

/**
 * The first complaint about these containers, or null. A container that ended once and came back is forgiven; a job that
 * ended well, and a container that was told to stop, are no complaint.
 */
export function judge(containers: readonly ObservedContainer[]): Complaint | null {
  for (const container of [...containers].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (container.role === 'release') continue;
    if (container.deaths >= CRASHES && container.exitCode !== 0) return { kind: 'crashes', container };
    if (container.state === 'restarting' && container.exitCode !== 0) return { kind: 'crashes', container };
    if (container.state === 'running' && container.health === 'unhealthy')
      return { kind: 'unhealthy', container };
  }
  return null;
}
