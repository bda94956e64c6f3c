import type { Decision } from '../rollout/types.ts';

/** Tenants in one transaction: the embedded store holds up everything else while it writes. */
const TENANTS_PER_TRANSACTION = 100;

/** Decisions in their order; those about one tenant that follow each other are never parted. */
export function* chunksOf(
  decisions: readonly Decision[],
  most = TENANTS_PER_TRANSACTION,
): Generator<Decision[]> {
  let chunk: Decision[] = [];
  let last: string | null = null;
  let tenants = 0;
  for (const decision of decisions) {
    const tenant = 'tenant' in decision ? decision.tenant : null;
    if (tenant !== null && tenant !== last) {
      if (tenants >= most) {
        yield chunk;
        chunk = [];
        tenants = 0;
      }
      tenants += 1;
    }
    last = tenant;
    chunk.push(decision);
  }
  if (chunk.length > 0) yield chunk;
}

/** Decisions for the audit: names by what happens to them, and the rest as it is. */
export function summaryOf(decisions: readonly Decision[]): Record<string, unknown> {
  const tenants: Record<string, string[]> = {};
  const others: Decision[] = [];
  for (const decision of decisions) {
    if (!('tenant' in decision)) {
      others.push(decision);
      continue;
    }
    const what = decision.kind === 'progress' ? decision.progress.kind : decision.kind;
    (tenants[what] ??= []).push(decision.tenant);
  }
  return { tenants, decisions: others };
}
