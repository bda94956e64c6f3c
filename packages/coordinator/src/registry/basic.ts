import type { Credential } from '@berth/shared/registry/credentials';

/** The header of HTTP's Basic authentication. */
export function basicOf({ username, password }: Credential): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}
