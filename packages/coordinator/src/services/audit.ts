import { setImmediate as others } from 'node:timers/promises';
import type { ChainHead } from '@berth/shared/domain/audit';
import type { AuditFilter, AuditRow } from './records.ts';
import type { Store } from './store.ts';

export interface AuditQuery extends AuditFilter {
  /** Newest first, those below this number. */
  before?: number | undefined;
  /** Oldest first, those above this number. */
  after?: number | undefined;
  limit: number;
}

export interface AuditPage {
  items: AuditRow[];
  head: ChainHead;
}

export interface Audit {
  /**
   * A page of records, and the head of the chain. The head is read after the page: every record that it stands for is on
   * this page or one of the next, so that whoever reads on until there misses none.
   */
  page(query: AuditQuery): Promise<AuditPage>;
}

/** The embedded store holds up everything else while it looks through rows: so many at a time take it some 50 ms. */
const ROWS_AT_ONCE = 100_000;

export function createAudit(store: Store, rowsAtOnce = ROWS_AT_ONCE): Audit {
  /** The whole of a long audit is looked through when few records are like that. */
  async function found(below: number | undefined, limit: number, filter: AuditFilter): Promise<AuditRow[]> {
    const items: AuditRow[] = [];
    for (let before = below; items.length < limit;) {
      const [newest] = await store.audit(before, 1);
      if (newest === undefined) break;
      const from = newest.id + 1 - rowsAtOnce;
      items.push(...(await store.audit(newest.id + 1, limit - items.length, { ...filter, from })));
      before = from;
      await others();
    }
    return items;
  }

  return {
    async page({ before, after, limit, ...filter }) {
      const items =
        after === undefined
          ? await found(before, limit, filter)
          : await store.auditAfter(after, limit, filter);
      return { items, head: await store.auditHead() };
    },
  };
}
