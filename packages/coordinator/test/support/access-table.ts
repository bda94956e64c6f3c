import type { RouteDefinition } from '@berth/shared/api/route';
import { API_PREFIX, routes } from '@berth/shared/api/routes';
import { unreachable } from '@berth/shared/domain/errors';

export const ROLES = ['viewer', 'deployer', 'operator', 'admin'] as const;
export type RoleName = (typeof ROLES)[number];

export const ROUTES: readonly (readonly [string, RouteDefinition])[] = Object.entries(routes);

/** What becomes of a request, by who asks and whose the thing is. */
export type Outcome = 'let in' | 'unauthenticated' | 'forbidden' | 'not there';
export type Whose = 'own' | 'foreign' | 'unknown';

/**
 * The table: what a route answers to a caller. `role` null is nobody, `scope` 'all' a token without a scope. `sees`:
 * whether a token with this scope has its own thing of this kind in scope at all.
 */
export function expected(
  route: Pick<RouteDefinition, 'access' | 'on'>,
  caller: { role: RoleName; scope: 'all' | 'apps' | 'pools' | 'tenants' } | null,
  whose: Whose,
): Outcome {
  if (route.access === 'public') return 'let in';
  if (caller === null) return 'unauthenticated';
  if (ROLES.indexOf(caller.role) < ROLES.indexOf(route.access)) return 'forbidden';
  if (caller.scope === 'all') return 'let in';
  if (route.on === 'coordinator') return 'forbidden';
  if (route.on === 'nothing' || route.on === 'listed') return 'let in';
  return whose === 'own' && REACHED[caller.scope].includes(route.on) ? 'let in' : 'not there';
}

/** Which things a scope of one kind reaches. */
const REACHED: Readonly<Record<'apps' | 'pools' | 'tenants', readonly string[]>> = {
  apps: ['app', 'tenant', 'new-tenant', 'rollout'],
  pools: ['pool', 'host', 'tenant', 'new-tenant'],
  tenants: ['tenant'],
};

/** The same for people: rows of a Markdown table. */
export function accessTable(): string[][] {
  const rows = ROUTES.map(([, route]) => [
    `\`${route.method} ${API_PREFIX}${route.path}\``,
    ...(route.access === 'public'
      ? ['no token', 'no token', 'no token', 'no token']
      : ROLES.map((role) => (expected(route, { role, scope: 'all' }, 'own') === 'let in' ? 'yes' : '–'))),
    scopeWord(route),
  ]);
  return [['Route', ...ROLES, 'With a scope'], ...rows];
}

function scopeWord({ on, access }: RouteDefinition): string {
  if (access === 'public') return '';
  switch (on) {
    case 'nothing':
      return 'the same';
    case 'coordinator':
      return 'no';
    case 'listed':
      return 'shows only what is in scope';
    case 'app':
      return 'apps named';
    case 'pool':
      return 'pools named';
    case 'host':
      return 'hosts of pools named';
    case 'rollout':
      return 'rollouts of apps named';
    case 'tenant':
      return 'tenants named, of apps or in pools named';
    case 'new-tenant':
      return 'of apps or in pools named';
    default:
      return unreachable(on);
  }
}
