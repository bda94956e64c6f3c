import { chmod } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_EGRESS, type Egress } from '@berth/shared/domain/egress';
import { runChecked } from '../../system/command.ts';
import { readIfThere, writeDurably } from '../../system/durable-file.ts';
import { createMutex } from '../../system/mutex.ts';
import { routesFile, type KernelRoutes } from '../../system/nft-routes.ts';
import type { KernelTable } from '../../system/nft-table.ts';
import type { ExecuteDeps } from '../context.ts';
import { egressIn } from './egress-rules.ts';
import { assertNoOverlap, readHostNetworks } from './host-networks.ts';
import { readResolvers } from './resolvers.ts';
import {
  addPairs,
  bridgesIn,
  elementsOf,
  ipBatchFile,
  removePairs,
  staticFile,
  type StaticContents,
} from './static-table.ts';

export interface NetworkBase {
  /** `restored`: something of it was not as we had left it. */
  ensure(signal?: AbortSignal): Promise<'whole' | 'restored'>;
  /** Lets the members of one bridge talk to each other and to where its policy allows, now and after a reboot. */
  allowBridge(bridge: string, egress?: Egress): Promise<void>;
  forgetBridge(bridge: string): Promise<void>;
  /** Runs a task while nobody else changes the table. `restore` is `ensure` for use inside. */
  exclusive<T>(task: (restore: () => Promise<void>) => Promise<T>): Promise<T>;
  /** The routes are to be these: a table that somebody replaces gets them back. */
  intend(routes: KernelRoutes): void;
}

/**
 * The parts of the network that all tenants share: two `ip` routes and the nft table, in the kernel and as files from
 * which a boot unit restores them before Docker starts.
 */
export function createNetworkBase(deps: ExecuteDeps): NetworkBase {
  const { system } = deps;
  const { config, paths, nft, routes, egress } = system;
  const exclusive = createMutex();
  let bridges: Set<string> | null = null;
  let resolvers: readonly string[] = [];
  /** Chains and rules as the kernel told of them right after we had loaded them; anything else is somebody's change. */
  let loadedRules: string | null = null;
  let intended: KernelRoutes | null = null;

  const knownBridges = async (): Promise<Set<string>> => {
    if (bridges !== null) return bridges;
    const text = (await readIfThere(paths.staticNft)) ?? '';
    egress.replace(egressIn(text, config.bridgePrefix));
    bridges = new Set(bridgesIn(text, config.bridgePrefix));
    return bridges;
  };

  const contents = async (): Promise<StaticContents> => ({
    bridges: [...(await knownBridges())].sort(),
    egress: egress.policies,
    resolvers,
  });

  const writeStatic = async (): Promise<string> => {
    const text = staticFile(config, await contents());
    await writeIfDifferent(paths.staticNft, text);
    return text;
  };

  /** Whether the kernel holds what we put there, no more and no less. */
  const isAsLoaded = async (table: KernelTable): Promise<boolean> =>
    table.fixed !== null &&
    table.fixed.rules === loadedRules &&
    isDeepStrictEqual(table.fixed.elements, elementsOf(await contents())) &&
    isDeepStrictEqual(table.routes, intended);

  /** Once all was put in place, one look tells whether it still is. */
  const ensure = async (signal?: AbortSignal): Promise<'whole' | 'restored'> => {
    if (loadedRules === null) return await restore(signal);
    const table = await nft.readTable(signal);
    const servers = await readResolvers(config);
    if (!isDeepStrictEqual(servers, resolvers)) {
      // The host got other name servers: nobody's harm, and no event.
      resolvers = servers;
      await replaceTable(await writeStatic(), table.routes);
      return 'whole';
    }
    return (await isAsLoaded(table)) ? 'whole' : await restore(signal);
  };

  const restore = async (signal?: AbortSignal): Promise<'whole' | 'restored'> => {
    assertNoOverlap(config, await readHostNetworks(signal));
    const names = await knownBridges();
    for (const network of await networksIfDockerAnswers(deps, signal)) names.add(network);
    resolvers = await readResolvers(config);
    const text = await writeStatic();
    await writeIfDifferent(paths.ipBatch, ipBatchFile(config));
    await runChecked('ip', ['-batch', paths.ipBatch], { signal });

    const table = await nft.readTable(signal);
    const whole = await isAsLoaded(table);
    // From here on nothing is interrupted: a half-known table is worse than a late abort.
    if (!whole) await replaceTable(text, table.routes);
    routes.invalidate();
    const now = await routes.kernel();
    intended = now;
    await writeIfDifferent(paths.routesNft, routesFile(nft.table, now));
    return whole ? 'whole' : 'restored';
  };

  /**
   * All of the table anew, with its routes, in one transaction: nothing that somebody put there stays, and there is no
   * moment without rules. What we last meant the routes to be counts most; an agent that has just started believes the
   * kernel, since the file may be one switch behind it after a crash; an empty kernel gets the file's.
   */
  const replaceTable = async (text: string, kernel: KernelRoutes): Promise<void> => {
    const fresh = `add table inet ${nft.table}\ndelete table inet ${nft.table}\n${text}`;
    const known = intended ?? (kernel.present ? kernel : null);
    const saved =
      known === null ? ((await readIfThere(paths.routesNft)) ?? '') : routesFile(nft.table, known);
    try {
      await nft.load(fresh + saved);
    } catch {
      // A torn routes file costs the routes, not the isolation; the planner switches them again.
      await nft.load(fresh);
    }
    loadedRules = (await nft.readTable()).fixed?.rules ?? null;
  };

  /** One more or one less bridge is an element; another policy is a table of its own, with the routes that it has. */
  const changeBridge = async (change: string | null): Promise<void> => {
    const text = await writeStatic();
    try {
      if (change !== null && loadedRules !== null) await nft.load(change);
      else await replaceTable(text, await routes.kernel());
    } catch {
      await restore();
    }
  };

  return {
    ensure: (signal) => exclusive(() => ensure(signal)),
    exclusive: (task) =>
      exclusive(() =>
        task(async () => {
          await restore();
        }),
      ),
    intend(next) {
      intended = next;
    },
    allowBridge: (bridge, policy = DEFAULT_EGRESS) =>
      exclusive(async () => {
        (await knownBridges()).add(bridge);
        const changed = egress.set(bridge, policy);
        await changeBridge(changed ? null : `${addPairs(nft.table, [bridge])}\n`);
      }),
    forgetBridge: (bridge) =>
      exclusive(async () => {
        (await knownBridges()).delete(bridge);
        const changed = egress.set(bridge, DEFAULT_EGRESS);
        await changeBridge(changed ? null : removePairs(nft.table, [bridge]));
      }),
  };
}

async function writeIfDifferent(path: string, text: string): Promise<void> {
  if ((await readIfThere(path)) === text) return;
  await writeDurably(path, text);
  await chmod(path, 0o644);
}

async function networksIfDockerAnswers(
  deps: ExecuteDeps,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  try {
    const networks = await deps.system.networks.list(signal);
    return (
      networks
        .map((network) => network.bridge)
        // Whoever makes Docker networks with our label may call a bridge what he likes; only our own names reach nft.
        .filter(
          (name) => name.startsWith(deps.system.config.bridgePrefix) && /^[a-zA-Z0-9_.-]{1,15}$/.test(name),
        )
    );
  } catch {
    // Docker may start later; the file remembers the bridges.
    return [];
  }
}
