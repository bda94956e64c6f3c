import type { Services } from '../services/index.ts';
import type { Handlers } from './call.ts';

export function statusHandlers({ status }: Services): Pick<Handlers, 'status' | 'confirmEpoch'> {
  return {
    status: ({ scope }) => status.show(scope),
    confirmEpoch: ({ by }) => status.confirmEpoch(by),
  };
}
