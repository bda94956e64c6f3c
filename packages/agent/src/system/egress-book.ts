import { DEFAULT_EGRESS, egressText, type Egress } from '@berth/shared/domain/egress';

/**
 * Which policy holds for which tenant bridge, as it was last loaded into the kernel. Bridges with the default are not
 * in it. Observer and executor share it.
 */
export class EgressBook {
  #policies: ReadonlyMap<string, Egress> = new Map();

  /** The same map until a policy changes. */
  get policies(): ReadonlyMap<string, Egress> {
    return this.#policies;
  }

  /** False when it was so already. */
  set(bridge: string, egress: Egress): boolean {
    const before = egressText(this.#policies.get(bridge) ?? DEFAULT_EGRESS);
    if (before === egressText(egress)) return false;
    const next = new Map(this.#policies);
    if (egressText(egress) === DEFAULT_EGRESS) next.delete(bridge);
    else next.set(bridge, egress);
    this.#policies = next;
    return true;
  }

  replace(policies: ReadonlyMap<string, Egress>): void {
    this.#policies = new Map(policies);
  }
}
