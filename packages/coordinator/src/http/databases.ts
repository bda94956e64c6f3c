import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

type Names =
  | 'listDatabaseServers'
  | 'showDatabaseServer'
  | 'setDatabaseServer'
  | 'checkDatabaseServer'
  | 'removeDatabaseServer'
  | 'dropTenantDatabase';

export function databaseHandlers({ databases }: Services): Pick<Handlers, Names> {
  return {
    listDatabaseServers: async () => ({ items: await databases.list() }),
    showDatabaseServer: ({ params }) => databases.show(params.server),
    setDatabaseServer: ({ params, body, by }) => databases.set(by, params.server, body),
    checkDatabaseServer: ({ params }) => databases.check(params.server),
    removeDatabaseServer: async ({ params, query, by }) => {
      await databases.remove(by, params.server, query.left);
      return { result: 'ok' };
    },
    dropTenantDatabase: ({ params, by }) => databases.drop(by, params.tenant),
  };
}
