import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

export function tokenHandlers({
  access,
}: Services): Pick<Handlers, 'listTokens' | 'createToken' | 'revokeToken'> {
  return {
    listTokens: async () => ({ items: await access.list() }),
    createToken: ({ body, by }) => access.create(by, body),
    async revokeToken({ params, by }) {
      await access.revoke(by, params.id);
      return { result: 'ok' };
    },
  };
}
