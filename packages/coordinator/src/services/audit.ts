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

export function createAudit(store: Store): Audit {
  return {
    async page({ before, after, limit, ...filter }) {
      const items =
        after === undefined
          ? await store.audit(before, limit, filter)
          : await store.auditAfter(after, limit, filter);
      return { items, head: await store.auditHead() };
    },
  };
}
