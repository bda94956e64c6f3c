import { createAudit } from '../services/audit.ts';
import type { Store } from '../services/store.ts';
import type { Handlers } from './call.ts';

export function journalHandlers(store: Store): Pick<Handlers, 'listEvents' | 'listAudit'> {
  const audit = createAudit(store);
  return {
    async listEvents({ query: { after, limit, ...filter }, scope }) {
      // Read first: whoever goes on after `last` may see an event twice, and never misses one.
      const last = await store.lastEvent();
      return { items: await store.events({ ...filter, scope }, after, limit), last };
    },
    listAudit: ({ query }) => audit.page(query),
  };
}
