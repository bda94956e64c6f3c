import type { ApiClient } from '@berth/shared/api/client';
import { BerthError } from '@berth/shared/domain/errors';
import { HostId } from '@berth/shared/domain/ids';
import { allPages } from './pages.ts';

/** A host's id from what a person typed: the id itself, or a name that only one host has. */
export async function hostIdOf(api: ApiClient, typed: string, signal: AbortSignal): Promise<string> {
  if (HostId.safeParse(typed).success) return typed;
  const hosts = await allPages((query) => api.listHosts({ query }, signal));
  const named = hosts.filter((host) => host.name === typed);
  if (named.length > 1) {
    const ids = named.map((host) => host.host).join(', ');
    throw new BerthError(
      'conflict',
      `${named.length} hosts are named ${typed}: say which by its id (${ids}).`,
    );
  }
  const found = named[0];
  if (found === undefined)
    throw new BerthError('not_found', `There is no host ${typed}. See: berth host list`);
  return found.host;
}
