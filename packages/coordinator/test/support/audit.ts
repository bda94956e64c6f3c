import { createChainCheck, type ChainFault, type ChainHead } from '@berth/shared/domain/audit';
import type { Store } from '../../src/services/store.ts';

/** Reads the chain of a store page by page, as `berth audit verify` does. Null: it holds. */
export async function faultOf(store: Store, kept: readonly ChainHead[] = []): Promise<ChainFault | null> {
  const check = createChainCheck(undefined, kept);
  for (let after = 0; ;) {
    const page = await store.auditAfter(after, 7);
    for (const record of page) {
      const fault = check.next(record);
      if (fault !== null) return fault;
    }
    const last = page.at(-1);
    if (last === undefined) return check.end(await store.auditHead());
    after = last.id;
  }
}
