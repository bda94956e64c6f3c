import { chmod } from 'node:fs/promises';
import { runChecked } from '../../system/command.ts';
import { readIfThere, writeDurably } from '../../system/durable-file.ts';
import { createMutex } from '../../system/mutex.ts';
import { routesFile, type KernelRoutes } from '../../system/nft-routes.ts';
import type { ExecuteDeps } from '../context.ts';
import { assertNoOverlap, readHostNetworks } from './host-networks.ts';
import { addPairs, bridgesIn, ipBatchFile, removePairs, staticFile } from './static-table.ts';

export interface NetworkBase {
  ensure(signal?: AbortSignal): Promise<void>;
  /** Lets the members of one bridge talk to each other, now and after a reboot. */
  allowBridge(bridge: string): Promise<void>;
  forgetBridge(bridge: string): Promise<void>;
  /** Runs a task while nobody else changes the table. `restore` is `ensure` for use inside. */
  exclusive<T>(task: (restore: () => Promise<void>) => Promise<T>): Promise<T>;
}

/**
 * The parts of the network that all tenants share: two `ip` routes and the nft table, in the kernel and as files from
 * which a boot unit restores them before Docker starts.
 */
export function createNetworkBase(deps: ExecuteDeps): NetworkBase {
  const { system } = deps;
  const { config, paths, nft, routes } = system;
  const exclusive = createMutex();
  let bridges: Set<string> | null = null;
  /** The rules as the kernel printed them right after we had loaded them; anything else means someone changed them. */
  let loadedRules: string | null = null;

  const knownBridges = async (): Promise<Set<string>> => {
    bridges ??= new Set(bridgesIn((await readIfThere(paths.staticNft)) ?? '', config.bridgePrefix));
    return bridges;
  };

  const writeStatic = async (names: ReadonlySet<string>): Promise<string> => {
    const text = staticFile(config, [...names].sort());
    await writeIfDifferent(paths.staticNft, text);
    return text;
  };

  const restore = async (signal?: AbortSignal): Promise<void> => {
    assertNoOverlap(config, await readHostNetworks(signal));
    const names = await knownBridges();
    for (const network of await networksIfDockerAnswers(deps, signal)) names.add(network);
    const text = await writeStatic(names);
    await writeIfDifferent(paths.ipBatch, ipBatchFile(config));
    await runChecked('ip', ['-batch', paths.ipBatch], { signal });

    const rules = await nft.rules(signal);
    const kernel = await nft.readRoutes(signal);
    if (rules === null || rules !== loadedRules) {
      // From here on nothing is interrupted: a half-known table is worse than a late abort.
      if (kernel.present) await loadOver(text, kernel);
      else await loadFromFiles(text);
      loadedRules = await nft.rules();
    }
    routes.invalidate();
    // While the table exists the kernel is the truth: the file may be one switch behind it after a crash.
    const now = await routes.kernel();
    await writeIfDifferent(paths.routesNft, routesFile(nft.table, now));
  };

  /** Into an empty kernel: all of it at once, so that there is no moment with rules and without routes. */
  const loadFromFiles = async (text: string): Promise<void> => {
    const saved = (await readIfThere(paths.routesNft)) ?? '';
    try {
      await nft.load(text + saved);
    } catch {
      // A torn routes file costs the routes, not the isolation; the planner switches them again.
      await nft.load(text);
    }
  };

  /** Over a living table; one of an older shape is replaced as a whole, with its routes, in one transaction. */
  const loadOver = async (text: string, kernel: KernelRoutes): Promise<void> => {
    try {
      await nft.load(text);
    } catch {
      await nft.load(`delete table inet ${nft.table}\n${text}${routesFile(nft.table, kernel)}`);
    }
  };

  return {
    ensure: (signal) => exclusive(() => restore(signal)),
    exclusive: (task) => exclusive(() => task(() => restore())),
    allowBridge: (bridge) =>
      exclusive(async () => {
        const names = await knownBridges();
        names.add(bridge);
        await writeStatic(names);
        try {
          await nft.load(`${addPairs(nft.table, [bridge])}\n`);
        } catch {
          await restore();
        }
      }),
    forgetBridge: (bridge) =>
      exclusive(async () => {
        const names = await knownBridges();
        names.delete(bridge);
        await writeStatic(names);
        try {
          await nft.load(removePairs(nft.table, [bridge]));
        } catch {
          await restore();
        }
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
    return networks
      .map((network) => network.bridge)
      .filter((name) => name.startsWith(deps.system.config.bridgePrefix));
  } catch {
    // Docker may start later; the file remembers the bridges.
    return [];
  }
}
