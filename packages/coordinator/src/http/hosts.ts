import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

type Names =
  | 'listHosts'
  | 'showHost'
  | 'createJoinToken'
  | 'enrolChallenge'
  | 'enrolHost'
  | 'reenrolHost'
  | 'probeHost'
  | 'cordonHost'
  | 'uncordonHost'
  | 'removeHost';

export function hostHandlers({ hosts }: Services): Pick<Handlers, Names> {
  return {
    listHosts: ({ query, scope }) => hosts.list({ ...query, scope }),
    showHost: ({ params }) => hosts.show(params.host),
    createJoinToken: ({ body, by }) => hosts.joinToken(by, body),
    enrolChallenge: () => Promise.resolve().then(() => hosts.challenge()),
    enrolHost: ({ body, by }) => hosts.enrol(by, body),
    reenrolHost: ({ params, by }) => hosts.reenrol(by, params.host),
    probeHost: ({ params, by }) => hosts.probe(by, params.host),
    cordonHost: ({ params, by }) => hosts.schedule(by, params.host, 'cordoned'),
    uncordonHost: ({ params, by }) => hosts.schedule(by, params.host, 'open'),
    async removeHost({ params, by }) {
      await hosts.remove(by, params.host);
      return { result: 'ok' };
    },
  };
}
