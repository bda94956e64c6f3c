import type { Clock } from './ports.ts';
import { realDisk, type Disk } from './disk.ts';
import { openDesired, type DesiredStore } from './desired.ts';
import { openIdentity, type Identity } from './identity.ts';
import { openSigners, type SignersStore } from './signers.ts';
import { openStatuses, type StatusStore } from './status.ts';

/** Everything an agent keeps across restarts. */
export interface AgentState {
  identity: Identity;
  desired: DesiredStore;
  statuses: StatusStore;
  signers: SignersStore;
  /** Tenants whose status was there and could not be read. */
  lost: ReadonlySet<string>;
  /** Files that could not be understood and were set aside: worth an event each, and no reason to stop anything. */
  quarantined: string[];
}

/** Opens, or makes, an agent's state directory. Errors: `state_unwritable`. */
export async function openState(dir: string, deps: { clock: Clock; disk?: Disk }): Promise<AgentState> {
  const disk = deps.disk ?? realDisk;
  await disk.makeDirectory(dir);
  const { identity, quarantined: keys } = await openIdentity(dir, disk, deps.clock);
  const { desired, quarantined: entries } = await openDesired(dir, disk, deps.clock);
  const { statuses, quarantined: slots, lost } = await openStatuses(dir, disk, deps.clock);
  const { signers, quarantined: pins } = await openSigners(dir, disk, deps.clock);
  return {
    identity,
    desired,
    statuses,
    signers,
    lost,
    quarantined: [...keys, ...entries, ...slots, ...pins],
  };
}
