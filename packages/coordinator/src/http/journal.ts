import type { Store } from '../services/store.ts';
import type { Handlers } from './call.ts';

export function journalHandlers(store: Store): Pick<Handlers, 'listEvents' | 'listAudit'> {
  return {
    async listEvents({ query: { after, limit, ...filter } }) {
      // Read first: whoever goes on after `last` may see an event twice, and never misses one.
      const last = await store.lastEvent();
      return { items: await store.events(filter, after, limit), last };
    },
    listAudit: async ({ query }) => ({ items: await store.audit(query.before, query.limit) }),
  };
}
