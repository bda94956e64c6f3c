import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

type Names =
  | 'listApps'
  | 'showApp'
  | 'applyApp'
  | 'setApp'
  | 'deleteApp'
  | 'freezeApp'
  | 'unfreezeApp'
  | 'listReleases'
  | 'createRelease'
  | 'showRelease'
  | 'diffReleases'
  | 'signRelease';

export function appHandlers({ apps, releases }: Services): Pick<Handlers, Names> {
  return {
    listApps: ({ query, scope }) => apps.list({ ...query, scope }),
    showApp: ({ params }) => apps.show(params.app),
    applyApp: ({ params, body, by }) => apps.apply(by, params.app, body),
    setApp: ({ params, body, by }) => releases.setVariables(by, params.app, body.variables),
    async deleteApp({ params, by }) {
      await apps.remove(by, params.app);
      return { result: 'ok' };
    },
    freezeApp: ({ params, body, by }) => apps.freeze(by, params.app, body.reason),
    unfreezeApp: ({ params, by }) => apps.freeze(by, params.app, null),
    listReleases: ({ params, query }) => apps.releases(params.app, query),
    createRelease: ({ params, body, by }) => releases.create(by, params.app, body),
    signRelease: ({ params, body, by }) => releases.sign(by, params.app, params.release, body),
    diffReleases: ({ params }) => releases.diff(params.app, params.from, params.to),
    showRelease: ({ params }) => apps.release(params.app, params.release),
  };
}
