import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

type Names = 'listSecrets' | 'setSecrets' | 'removeSecret' | 'secretKeys' | 'rotateSecretKey';

export function secretHandlers({ secrets }: Services): Pick<Handlers, Names> {
  return {
    listSecrets: async ({ params }) => ({ items: await secrets.list(params.tenant) }),
    setSecrets: ({ params, body, by, scope }) =>
      secrets.set(
        by,
        params.tenant,
        body.secrets,
        body.despiteLostKeys ? 'despite' : 'refuse',
        scope === undefined ? 'all' : 'own',
      ),
    removeSecret: async ({ params, by }) => ({
      result: 'ok',
      ...(await secrets.remove(by, params.tenant, params.secret)),
    }),
    secretKeys: ({ query }) => secrets.keys(query.closed),
    rotateSecretKey: ({ body, by }) => secrets.rotateKey(by, body.despiteLostKeys ? 'despite' : 'refuse'),
  };
}
