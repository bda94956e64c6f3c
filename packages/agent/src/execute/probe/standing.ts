import type { ExecuteDeps } from '../context.ts';
import { unreachable } from '@berth/shared/domain/errors';
import { readAddresses } from './addresses.ts';
import type { Target } from './attempt.ts';

/** What stands at one moment: a name for each target that is there, which another in its place would not have. */
export interface Standing {
  identityOf(target: Target): string | null;
}

export interface Inmates {
  own: string;
  other: string;
  beyond: string;
  /** The host's address on the cable to the machine beyond it. */
  near: string;
}

/** Looks at the host's addresses and at the probe's containers. */
export async function lookAround(
  deps: { system: { docker: Pick<ExecuteDeps['system']['docker'], 'inspectContainer'> } },
  inmates: Inmates,
  signal: AbortSignal,
): Promise<Standing> {
  const { docker } = deps.system;
  const running = async (id: string): Promise<string | null> => {
    const found = await docker.inspectContainer(id, { signal });
    return found?.state === 'running' ? `${id} ${found.pid}` : null;
  };
  const [addresses, own, other, beyond] = await Promise.all([
    readAddresses(signal),
    running(inmates.own),
    running(inmates.other),
    running(inmates.beyond),
  ]);
  const links = new Map(addresses.map(({ address, link, index }) => [address, `${link} ${index}`]));
  return {
    identityOf(target) {
      switch (target.kind) {
        case 'host':
          return links.get(target.address) ?? null;
        case 'container':
          return target.whose === 'own' ? own : other;
        case 'beyond': {
          const cable = links.get(inmates.near);
          return cable === undefined || beyond === null ? null : `${beyond} ${cable}`;
        }
        case 'elsewhere':
          return 'elsewhere';
        default:
          return unreachable(target);
      }
    },
  };
}

/** Whether a target was there all the time between two looks. */
export function stood(target: Target | undefined, before: Standing, after: Standing): 'there' | 'gone' {
  if (target === undefined) return 'there';
  const identity = before.identityOf(target);
  return identity !== null && identity === after.identityOf(target) ? 'there' : 'gone';
}
