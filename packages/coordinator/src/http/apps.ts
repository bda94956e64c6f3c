import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

type Names = 'listApps' | 'showApp' | 'applyApp' | 'deleteApp' | 'listReleases' | 'showRelease';

export function appHandlers({ apps }: Services): Pick<Handlers, Names> {
  return {
    listApps: ({ query }) => apps.list(query),
    showApp: ({ params }) => apps.show(params.app),
    applyApp: ({ params, body, by }) => apps.apply(by, params.app, body),
    async deleteApp({ params, by }) {
      await apps.remove(by, params.app);
      return { result: 'ok' };
    },
    listReleases: ({ params, query }) => apps.releases(params.app, query),
    showRelease: ({ params }) => apps.release(params.app, params.release),
  };
}
