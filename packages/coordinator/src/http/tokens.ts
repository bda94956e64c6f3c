import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

type Names =
  'listTokens' | 'createToken' | 'revokeToken' | 'exchangeToken' | 'listTrust' | 'addTrust' | 'removeTrust';

export function tokenHandlers({ access, oidc }: Services): Pick<Handlers, Names> {
  return {
    exchangeToken: ({ body, by }) => oidc.exchange(by, body.token),
    listTrust: async () => ({ items: await oidc.list() }),
    addTrust: ({ body, by }) => oidc.add(by, body),
    async removeTrust({ params, by }) {
      await oidc.remove(by, params.id);
      return { result: 'ok' };
    },
    listTokens: async () => ({ items: await access.list() }),
    createToken: ({ body, by }) => access.create(by, body),
    async revokeToken({ params, by }) {
      await access.revoke(by, params.id);
      return { result: 'ok' };
    },
  };
}
