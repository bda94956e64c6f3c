import { unreachable } from '@berth/shared/domain/errors';
import type { DatabaseAddress } from './address.ts';
import { connectionOf } from './connection.ts';
import { openRemoteSession } from './remote-session.ts';
import { openSession, type Session } from './session.ts';

/** Errors: `backup_database_unavailable`, `backup_database_refused`, `invalid_request`. */
export async function openSessionAt(address: DatabaseAddress, signal: AbortSignal): Promise<Session> {
  signal.throwIfAborted();
  switch (address.kind) {
    case 'url':
      return await openSession(connectionOf(address.url));
    case 'exec':
      return await openRemoteSession(address, signal);
    default:
      return unreachable(address);
  }
}
