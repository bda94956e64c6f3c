import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { HostId } from '@berth/shared/domain/ids';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { isMissing } from '../config.ts';
import { runJson } from './command.ts';
import { listNetworks, type Docker } from './docker.ts';
import type { Home } from './home.ts';
import { freePort } from './ports.ts';
import { chooseSlices, foreignUses, parseRange, usesOf, type Use } from './ranges.ts';

/** What one local instance has chosen for itself, kept for later starts. */
export const Instance = z.object({
  /** Short random name: the label of all it makes (berth.agent, berth.built), its nft table, its bridges. */
  agent: z.string().regex(/^[a-z0-9]{1,8}$/),
  bridgePrefix: z.string().max(6),
  coordinatorPort: z.int(),
  httpPort: z.int(),
  internalPort: z.int(),
  virtualCidr: z.string(),
  tenantCidr: z.string(),
  dockerSocket: z.string(),
  /** The coordinator's id of this host, once enrolled. */
  host: HostId.nullable(),
  /** Registry part of the example's image names; null is the template's own default. */
  registry: z.string().nullable().default(null),
  /** Tenants that `up --example` made, so that they can be checked after a stop. */
  example: z.array(z.object({ tenant: z.string(), domain: z.string() })),
});
export type Instance = z.infer<typeof Instance>;

/** Undefined when there is none. Errors: BerthError when the file is there and not understood. */
export function readInstance(home: Home): Instance | undefined {
  let text: string;
  try {
    text = readFileSync(home.instanceFile, 'utf8');
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new BerthError('internal', `${home.instanceFile} could not be read: ${messageOf(cause)}`, {
      cause,
    });
  }
  try {
    return Instance.parse(JSON.parse(text));
  } catch (cause) {
    throw new BerthError(
      'internal',
      `${home.instanceFile} is damaged. What this instance made carries Docker labels berth.agent=…; restore the file or remove those by hand.`,
      { cause },
    );
  }
}

export function writeInstance(home: Home, instance: Instance): void {
  const staged = `${home.instanceFile}.new`;
  writeFileSync(staged, `${JSON.stringify(instance, null, 2)}\n`, { mode: 0o600 });
  renameSync(staged, home.instanceFile);
}

/** Everything on this host that uses IPv4 addresses, networks of Docker that are not up included. */
export async function usedAddresses(docker: Docker): Promise<Use[]> {
  const routes = await runJson('ip', ['-j', '-4', 'route', 'show', 'table', 'all']);
  const uses = usesOf(routes, await runJson('ip', ['-j', '-4', 'addr']));
  for (const network of await listNetworks(docker)) {
    for (const config of network.IPAM?.Config ?? []) {
      const range = config.Subnet === undefined ? undefined : parseRange(config.Subnet);
      if (range !== undefined) uses.push({ range, dev: undefined, type: `docker network ${network.Name}` });
    }
  }
  return uses;
}

export interface Wishes {
  coordinatorPort: number | undefined;
  httpPort: number | undefined;
}

/** Chooses everything a new instance needs. Errors: BerthError when ports or ranges have run out. */
export async function makeInstance(docker: Docker, wishes: Wishes, random: () => number): Promise<Instance> {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
  const word = (length: number): string =>
    Array.from({ length }, () => letters[Math.floor(random() * letters.length)] ?? 'a').join('');
  const agent = word(6);
  const coordinatorPort = await portFor('API', wishes.coordinatorPort, 7700, new Set());
  const httpPort = await portFor('HTTP', wishes.httpPort, 8080, new Set([coordinatorPort]));
  const internalPort = await portFor('internal', undefined, 17_700, new Set([coordinatorPort, httpPort]));
  const slices = chooseSlices(await usedAddresses(docker), Math.floor(random() * 16));
  if (slices === undefined) {
    throw new BerthError(
      'address_exhausted',
      'All sixteen /20 slices of 198.18.0.0/16 and 198.19.0.0/16 are in use on this host. Remove an instance (npm stop, berth down) or remove the routes.',
    );
  }
  return {
    agent,
    bridgePrefix: `bt${agent.slice(0, 3)}-`,
    coordinatorPort,
    httpPort,
    internalPort,
    ...slices,
    dockerSocket: docker.socket,
    host: null,
    registry: null,
    example: [],
  };
}

async function portFor(
  what: string,
  wish: number | undefined,
  usual: number,
  taken: ReadonlySet<number>,
): Promise<number> {
  const found = await freePort(wish ?? usual, taken);
  if (found === undefined || (wish !== undefined && found !== wish)) {
    throw new BerthError(
      'conflict',
      wish === undefined
        ? `No ${what} port from ${usual} to ${usual + 49} is free.`
        : `Port ${wish} is taken, so it cannot be the ${what} port. Choose another one, or leave it out.`,
    );
  }
  return found;
}

/** What in this instance's address slices belongs to someone else now; empty when all is well. */
export async function intruders(docker: Docker, instance: Instance): Promise<Use[]> {
  const own = new Set(
    (await listNetworks(docker, instance.agent)).map((network) => `docker network ${network.Name}`),
  );
  const uses = await usedAddresses(docker);
  return foreignUses(uses, instance, instance.bridgePrefix).filter((use) => !own.has(use.type ?? ''));
}
