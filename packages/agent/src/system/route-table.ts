import type { RouteTarget } from '@berth/shared/domain/network';
import type { Nft } from './nft.ts';
import type { NftChange } from './nft-changes.ts';
import { elementOf, targetsOf, type KernelRoutes, type Pages } from './nft-routes.ts';

/**
 * What the kernel's route maps hold, read once and remembered until something says that they changed. Observer and
 * executor share it: a switch is seen by the very next observation.
 */
export class RouteTable {
  readonly pages: Pages;
  readonly #nft: Nft;
  #known: KernelRoutes | null = null;
  #targets: ReadonlyMap<string, RouteTarget> | null = null;
  #pending: KernelRoutes | null = null;
  #version = 0;

  constructor(nft: Nft, pages: Pages) {
    this.#nft = nft;
    this.pages = pages;
  }

  /** The raw maps. */
  async kernel(signal?: AbortSignal): Promise<KernelRoutes> {
    if (this.#known !== null) return this.#known;
    const version = this.#version;
    const fresh = await this.#nft.readRoutes(signal);
    // A change that came while we were reading may or may not be in what we read: do not remember it.
    if (version === this.#version) this.#known = fresh;
    return fresh;
  }

  /** The maps in the planner's words. */
  async targets(signal?: AbortSignal): Promise<ReadonlyMap<string, RouteTarget>> {
    if (this.#targets !== null && this.#known !== null) return this.#targets;
    const kernel = await this.kernel(signal);
    const targets = targetsOf(kernel, this.pages);
    if (this.#known === kernel) this.#targets = targets;
    return targets;
  }

  /** What we are about to put there: its echo may come back before `nft` has ended. */
  announce(next: KernelRoutes): void {
    this.#pending = next;
  }

  /** What we ourselves have just put there; asking the kernel again would only cost time. */
  remember(kernel: KernelRoutes): void {
    this.#version += 1;
    this.#pending = null;
    this.#known = kernel;
    this.#targets = null;
  }

  /** Whether a change that was announced is already in what we know: usually our own, coming back. */
  agrees(change: Extract<NftChange, { kind: 'element' }>): boolean {
    return [this.#known, this.#pending].some((state) => {
      if (state === null) return false;
      const holds = elementOf(state, change.map, change.key) === change.value;
      return change.verb === 'add' ? holds : !holds;
    });
  }

  /** Forgets what is known; the next question asks the kernel. */
  invalidate(): void {
    this.#version += 1;
    this.#pending = null;
    this.#known = null;
    this.#targets = null;
  }
}
